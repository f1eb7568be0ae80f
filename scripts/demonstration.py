"""What quickstart shows once everything runs: real answers, and how two acts change the next one."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

SHOWN_STARTUPS = 3
SHOWN_CHANGES = 5
COMPARED_STARTUPS = 50


class DemonstrationError(Exception):
    """An answer that is not what it should be, and what was asked."""


@dataclass(frozen=True, slots=True)
class Services:
    """Where both services are, and the keys they ask for; `say` prints one line a person can follow."""

    site: str
    inference: str
    site_key: str
    inference_key: str
    say: Callable[[str], None]

    def ask_inference(self, path: str, **parameters: object) -> Any:
        """GET from the inference service."""
        url = httpx.URL(f"{self.inference}{path}", params=_texts(parameters))
        return _ask("GET", url, self.inference_key)

    def ask_site(self, method: str, path: str, json_body: object = None, **parameters: object) -> Any:
        """Ask the backend's API."""
        url = httpx.URL(f"{self.site}/api/v1{path}", params=_texts(parameters))
        return _ask(method, url, self.site_key, json_body)


def show_answers(services: Services, user_ids: Mapping[str, object], methods: Sequence[str]) -> None:
    """What each user is recommended, as any client would get it, by the method their acts call for."""
    for (name, user_id), method in zip(user_ids.items(), methods, strict=True):
        services.say(f"{name}: GET {services.inference}/recommend?user_id={user_id}&limit={SHOWN_STARTUPS}")
        answer = services.ask_inference("/recommend", user_id=user_id, limit=SHOWN_STARTUPS)
        sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
        if answer["method_used"] != method:
            raise DemonstrationError(
                f"{name} is answered by {answer['method_used']}, not by {method}: {answer['degraded']}."
            )


def show_what_acts_change(services: Services, name: str, user_id: object) -> None:
    """Dislike the first startup of a list and like the second, show the next list, take both back."""
    before = _list_for(services, user_id)
    disliked, liked = before[0], before[1]
    acts = [
        {"user_id": str(user_id), "startup_id": place["id"], "type": act, "event_id": str(uuid.uuid4())}
        for act, place in (("dislike", disliked), ("like", liked))
    ]
    services.say(
        f"{name} dislikes {_name(disliked)} (first) and likes {_name(liked)} (second); the very next answer:"
    )
    services.ask_site("POST", "/interactions", json_body=acts)
    try:
        after = _list_for(services, user_id)
        lines = describe_changes(before, after)
        fallen = fell_most(before, after)
        if fallen is not None:
            told = services.ask_inference("/explain", user_id=user_id, startup_id=fallen["id"])
            lines.append(f"fell most: {_name(fallen)}, {_way(fallen, after)}; {_why_lower(told, disliked)}")
    finally:
        for act in acts:
            services.ask_site("DELETE", f"/interactions/{act['event_id']}")
    sys.stdout.write("\n" + "".join(f"    {line}\n" for line in lines) + "\n")
    again = [place["id"] for place in _list_for(services, user_id)] == [place["id"] for place in before]
    if not again:
        raise DemonstrationError("Both acts were taken back, but the list is not the first one again.")
    services.say("Both acts taken back: the list is the first one again")


def describe_changes(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[str]:
    """The new list's first places with where each was, and what is gone.

    Raises:
        DemonstrationError: a startup that was acted on is still there.
    """
    was = {place["id"]: place["rank"] for place in before}
    now = {place["id"]: place["rank"] for place in after}
    lines = [
        f"{place['rank']:>2}  {_name(place):<24} {_moved(was.get(place['id']), place['rank']):<10} "
        f"{place['reason']}"
        for place in after[:SHOWN_CHANGES]
    ]
    for place in before[:2]:
        if place["id"] in now:
            raise DemonstrationError(f"{_name(place)} was acted on and is still in the list.")
    lines.append(f"gone: {', '.join(_name(place) for place in before[:2])} (acted on)")
    return lines


def fell_most(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The place of the first list, of those not acted on, that lost most ranks; None if none lost any."""
    now = {place["id"]: place["rank"] for place in after}
    rest = before[2:]
    lost = [now.get(place["id"], COMPARED_STARTUPS + 1) - place["rank"] for place in rest]
    most = max(lost, default=0)
    return rest[lost.index(most)] if most > 0 else None


def _way(place: dict[str, Any], after: list[dict[str, Any]]) -> str:
    now = {each["id"]: each["rank"] for each in after}
    return f"from {place['rank']} to {now.get(place['id'], f'below {COMPARED_STARTUPS}')}"


def _why_lower(explained: Mapping[str, Any], disliked: Mapping[str, Any]) -> str:
    """What /explain says of the dislike."""
    lowered = explained["lowered"]
    if lowered is not None:
        return f"lowered by {lowered['amount']:.2f} to {explained['raw_score']:.2f} as like {lowered['name']}"
    for act in explained["acts"]:
        if act["startup_id"] == disliked["id"] and act["effect"] < 0:
            return f"the dislike of {act['name']} takes {-act['effect']:.2f} from its score"
    return "others rose above it"


def _moved(was: int | None, now: int) -> str:
    if was is None:
        return "new"
    return "stayed" if was == now else f"was {was}"


def _list_for(services: Services, user_id: object) -> list[dict[str, Any]]:
    answer = services.ask_site("GET", f"/users/{user_id}/recommendations", limit=COMPARED_STARTUPS)
    if len(answer["startups"]) < SHOWN_CHANGES:
        raise DemonstrationError(f"Only {len(answer['startups'])} startups are recommended to {user_id}.")
    return list(answer["startups"])


def _name(place: Mapping[str, Any]) -> str:
    return str(place["startup"]["name"])


def _texts(parameters: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in parameters.items()}


def _ask(method: str, url: httpx.URL, key: str, json_body: object = None) -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = httpx.request(method, url, headers=headers, json=json_body, timeout=30, trust_env=False)
    if not answer.is_success:
        raise DemonstrationError(f"{method} {url} answered {answer.status_code}: {answer.text}")
    return answer.json() if answer.content else None
