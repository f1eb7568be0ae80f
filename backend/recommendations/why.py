"""Why a startup is, or is not, recommended to a user: what the database knows, and what the service says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from accounts.models import User
from config.big_tables import as_uuid
from interactions.models import UserInteraction
from recommendations.inference import InferenceClient
from recsys.errors import InvalidRequestError, NotFoundError
from startups.models import Startup

NEW_STARTUP = "new"  # the source of a place kept for one
SHOWN_AT_MOST = 5
ACTS_AT_MOST = 10
NOT_KNOWN_THERE = (
    "the inference service does not know it, though it is in the database: manage.py sync_live_profiles "
    "tells it, and the next training learns it"
)
NEW = (
    "it came after the release: content scores it by its text, some places of a list are kept for new "
    "startups, and the next training learns it"
)
NOBODY_ACTED = "nobody had acted on it by the release: als and the ensemble do not know it"


@dataclass(frozen=True, slots=True)
class Why:
    """Whether it is in the list and why; `said` is the service's own answer, None where it has none.

    `answered_by` says who makes the user's list, and why they do.
    """

    recommended: bool
    reasons: tuple[str, ...]
    said: Mapping[str, Any] | None = None
    answered_by: str = ""


def find_user(text: str) -> User:
    """By id, or by username.

    Raises:
        NotFoundError: there is none.
    """
    return _one_of(User.objects.all(), text, Q(username=text), "user", "the username in full, or the id")


def find_startup(text: str) -> Startup:
    """By id, or by name in any case.

    Raises:
        NotFoundError: there is none.
        InvalidRequestError: several have this name.
    """
    return _one_of(
        Startup.objects.all(), text, Q(name__iexact=text), "startup", "the name in full, or the id"
    )


def explain_why(user: User, startup: Startup, client: InferenceClient, *, limit: int) -> Why:
    """Where the startup stands for the user, in a list of `limit`.

    Raises:
        UnavailableError: the inference service cannot be asked.
    """
    ready = client.ready()
    try:
        said = client.explain(str(user.pk), str(startup.pk), {"limit": limit})
    except InvalidRequestError as error:
        if "startup_id" not in error.detail:
            raise
        return Why(False, rules_of_database(user, startup) or (NOT_KNOWN_THERE,))
    answered_by = _who_answers(user, said, ready)
    if said["kept_out_by"]:
        return Why(False, tuple(each["why"] for each in said["kept_out_by"]), said, answered_by)
    if said["rank"] is None:
        return Why(False, (f"{_place(said)}, below the list of {limit}",), said, answered_by)
    kept_place = ", a place kept for new startups" if said["source"] == NEW_STARTUP else ""
    return Why(True, (f"rank {said['rank']} in the list of {limit}{kept_place}",), said, answered_by)


def rules_of_database(user: User, startup: Startup) -> tuple[str, ...]:
    """The rules that keep it out and that need no release to be told."""
    own = startup.owner_id is not None and startup.owner_id == user.pk
    rules = ((not startup.is_active, "the startup is not active"), (own, "it is the user's own"))
    return tuple(words for holds, words in rules if holds)


def lines_of_database(user: User, startup: Startup) -> Iterator[str]:
    """Who and what it is about, and what the user did."""
    yield f"User     {user.username} ({user.pk}){', opted out' if user.opted_out else ''}"
    yield f"Startup  {startup.name} ({startup.pk}){'' if startup.is_active else ', inactive'}"
    acts = "; ".join(_acts(user, startup))
    if acts:
        yield f"Acts     {acts}"


def lines_of_service(why: Why) -> Iterator[str]:
    """The verdict, and what it follows from."""
    verdict = "recommended" if why.recommended else "not recommended"
    yield f"Verdict  {verdict}: {'; '.join(why.reasons)}"
    if why.said is not None:
        yield f"List     {why.answered_by}"
        yield from _score_lines(why.said)


def _one_of(rows: QuerySet[Any], text: str, named: Q, kind: str, how: str) -> Any:
    key: UUID | None = as_uuid(text)
    found: Sequence[Model] = list(rows.filter(Q(pk=key) if key else named)[: SHOWN_AT_MOST + 1])
    if not found:
        raise NotFoundError(f"No {kind} is {text!r}; give {how}.")
    if len(found) > 1:
        ids = ", ".join(str(row.pk) for row in found[:SHOWN_AT_MOST])
        raise InvalidRequestError(f"Several {kind}s are {text!r}; give the id of one: {ids}.")
    return found[0]


def _acts(user: User, startup: Startup) -> Iterator[str]:
    """What the user did to it, the latest first; acts taken back are told as such."""
    rows = UserInteraction.objects.filter(user=user, startup=startup).order_by("-occurred_at", "-pk")
    for row in rows[:ACTS_AT_MOST]:
        taken_back = ", taken back" if row.retracted_at else ""
        yield f"{row.type} on {row.occurred_at:%Y-%m-%d %H:%M} UTC{taken_back}"


def _who_answers(user: User, said: Mapping[str, Any], ready: Mapping[str, Any]) -> str:
    count, method = said["interaction_count"], said["method_used"]
    if user.opted_out:
        return f"{method}: the user opted out, so nothing personal is used"
    cold, hot = ready["cold_below"], ready["hot_from"]
    tier = f"below {cold}" if count < cold else f"{hot} or more" if count >= hot else f"{cold} to {hot - 1}"
    degraded = f" ({said['degraded']})" if said["degraded"] else ""
    return f"{method}: {count} startups acted on ({tier}); release {said['model_version']}{degraded}"


def _place(said: Mapping[str, Any]) -> str:
    scored_by = "content" if said["source"] == NEW_STARTUP else said["source"]
    return f"{said['overall_rank']:,} of {said['n_candidates']:,} by {scored_by}"


def _score_lines(said: Mapping[str, Any]) -> Iterator[str]:
    would = "" if said["offered"] else ", were it let in"
    yield f"Score    {said['score']:.4f} (raw {said['raw_score']:.4f}), {_place(said)}{would}"
    if said["n_users"] is None:
        yield f"Known    {NEW}"
    elif said["n_users"] == 0:
        yield f"Known    {NOBODY_ACTED}"
    else:
        yield f"Known    {said['n_users']:,} users of the release acted on it"
    if said["reason"]:
        yield f"Reason   {said['reason']}"
    yield from _parts(said)


def _parts(said: Mapping[str, Any]) -> Iterator[str]:
    """What the raw score is made of, the largest first."""
    for act in said["acts"][:SHOWN_AT_MOST]:
        did = act["did"] or "act"
        yield f"  {act['share']:+.4f}  {did} on {act['name']} (without it {-act['effect']:+.4f})"
    if len(said["acts"]) > SHOWN_AT_MOST:
        rest = sum(act["share"] for act in said["acts"][SHOWN_AT_MOST:])
        yield f"  {rest:+.4f}  {len(said['acts']) - SHOWN_AT_MOST} other acts"
    if said["interests"]:
        yield f"  {said['interests']['share']:+.4f}  interests, the closest {said['interests']['closest']!r}"
    if said["popularity"]:
        popularity = said["popularity"]
        yield f"  {popularity['share']:+.4f}  popularity: {popularity['users']:,} users liked it"
    if abs(said["other"]) >= 0.00005:
        yield f"  {said['other']:+.4f}  other"
    if said["lowered"]:
        yield f"  {-said['lowered']['amount']:+.4f}  lowered for the disliked {said['lowered']['name']}"
    shared = [part["term"] for part in (*said["tags"], *said["words"])]
    if shared:
        yield f"  shared with what the user chose: {', '.join(shared[:ACTS_AT_MOST])}"
