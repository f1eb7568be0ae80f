"""The lists of every method side by side, asked all at once, and what moved since an act."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from accounts.models import User
from recommendations.inference import inference_client
from recsys.errors import InvalidRequestError
from recsys.serving.similar import METHODS as WAYS_TO_COMPARE
from startups.models import Startup

ROUTED = "routed"
METHODS = ("popularity", "content", "als", "two_tower", "ensemble")
LIST_LENGTHS = (10, 20, 50)
TITLES = {ROUTED: "What the user gets", "two_tower": "two-tower"}

T = TypeVar("T")
Order = Mapping[str, Sequence[str]]  # list -> ids, the best first


@dataclass(frozen=True, slots=True)
class Place:
    """One place of a list; `move` in words, `change` for its colour."""

    id: str
    name: str
    rank: int
    score: float
    source: str
    reason: str
    change: str = ""  # new, up or down
    move: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """What was in the list before."""

    id: str
    name: str
    rank: int


@dataclass(frozen=True, slots=True)
class ShownList:
    """A list, or in `refusal` why there is none, in the service's own words."""

    key: str
    title: str
    method_used: str = ""
    degraded: str | None = None
    model_version: str = ""
    interaction_count: int | None = None
    refusal: str = ""
    places: list[Place] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    n_moved: int = 0


Answers = Mapping[str, dict[str, Any] | InvalidRequestError]


def ask_lists(user_id: UUID, limit: int) -> Answers:
    """The routed list and that of every method; a refusal in place of a list that cannot be.

    Raises:
        UnavailableError: the service does not answer.
    """
    asked = {ROUTED: {"limit": limit}} | {name: {"limit": limit, "method": name} for name in METHODS}
    client = inference_client()
    return ask_together(
        {key: lambda o=options: client.recommend(str(user_id), o) for key, options in asked.items()}
    )


def ask_similar(startup_id: UUID, limit: int) -> Answers:
    """The startups like one by each model and by all together.

    Raises:
        UnavailableError: the service does not answer.
    """
    client = inference_client()
    ways = ("blend", *(way for way in WAYS_TO_COMPARE if way != "blend"))
    return ask_together(
        {way: lambda w=way: client.similar(str(startup_id), {"limit": limit, "method": w}) for way in ways}
    )


def ask_together(questions: Mapping[str, Callable[[], T]]) -> dict[str, T | InvalidRequestError]:
    """Ask all at once; what is refused stands as the refusal.

    Raises:
        UnavailableError: one of them found nobody to answer.
    """
    with ThreadPoolExecutor(len(questions)) as threads:
        # Each in a copy of the context: the request's id goes along into the service's log.
        asked = {key: threads.submit(copy_context().run, _or_refusal, ask) for key, ask in questions.items()}
    return {key: one.result() for key, one in asked.items()}


def order_of(answers: Answers) -> dict[str, list[str]]:
    """The ids of each list, for a comparison later."""
    return {
        key: [startup["id"] for startup in answer["startups"]]
        for key, answer in answers.items()
        if not isinstance(answer, InvalidRequestError)
    }


def show_lists(answers: Answers, before: Order | None = None) -> list[ShownList]:
    """The lists with names, and with what moved since `before`."""
    orders = [*order_of(answers).values(), *(before or {}).values()]
    names = _names({startup_id for ids in orders for startup_id in ids})
    return [_shown(key, answer, names, (before or {}).get(key)) for key, answer in answers.items()]


def show_audience(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The users of an audience with their usernames."""
    ids = [user["user_id"] for user in answer["users"]]
    names = {str(pk): name for pk, name in User.objects.filter(pk__in=ids).values_list("pk", "username")}
    return [{**user, "name": names.get(user["user_id"], "a user who is gone")} for user in answer["users"]]


def _or_refusal(ask: Callable[[], T]) -> T | InvalidRequestError:
    try:
        return ask()
    except InvalidRequestError as refusal:
        return refusal


def _names(ids: set[str]) -> Mapping[str, str]:
    return {str(pk): name for pk, name in Startup.objects.filter(pk__in=ids).values_list("pk", "name")}


def _name(names: Mapping[str, str], startup_id: str) -> str:
    return names.get(startup_id, f"{startup_id} (deleted)")


def _shown(
    key: str,
    answer: dict[str, Any] | InvalidRequestError,
    names: Mapping[str, str],
    before: Sequence[str] | None,
) -> ShownList:
    title = TITLES.get(key, key)
    if isinstance(answer, InvalidRequestError):
        return ShownList(key, title, refusal=str(answer), gone=_gone((), before, names))
    places = [_place(startup, names, before) for startup in answer["startups"]]
    gone = _gone([place.id for place in places], before, names)
    return ShownList(
        key,
        title,
        answer["method_used"],
        answer["degraded"],
        answer["model_version"],
        answer.get("interaction_count"),
        places=places,
        gone=gone,
        n_moved=sum(place.change != "" for place in places),
    )


def _place(startup: Mapping[str, Any], names: Mapping[str, str], before: Sequence[str] | None) -> Place:
    rank, change, move = startup["rank"], "", ""
    if before is not None and startup["id"] not in before:
        change, move = "new", "new in the list"
    elif before is not None:
        risen = before.index(startup["id"]) + 1 - rank
        if risen:
            change, move = ("up" if risen > 0 else "down"), f"{'up' if risen > 0 else 'down'} {abs(risen)}"
    fields = {name: startup[name] for name in ("id", "rank", "score", "source", "reason")}
    return Place(name=_name(names, startup["id"]), change=change, move=move, **fields)


def _gone(now: Sequence[str], before: Sequence[str] | None, names: Mapping[str, str]) -> list[Gone]:
    return [
        Gone(startup_id, _name(names, startup_id), rank)
        for rank, startup_id in enumerate(before or (), start=1)
        if startup_id not in now
    ]
