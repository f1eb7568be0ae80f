"""What can be asked beside a user's list: for a visit, startups like one, an audience, and why."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.errors import InvalidRequestError, NotFoundError, UnavailableError
from recsys.serving.answers import (
    AudienceList,
    LikelyUser,
    RankedList,
    RankedStartup,
    SessionAnswer,
    join_reasons,
    make_recommendation_id,
)
from recsys.serving.audience import find_audience
from recsys.serving.breakdown import Breakdown, break_down, find_standing
from recsys.serving.filling import NEW, Places, reasons_for, why_not
from recsys.serving.live_state import UserState
from recsys.serving.router import PLAIN, Router
from recsys.serving.seen import SeenPolicy
from recsys.serving.served import Served
from recsys.serving.session import Session, state_of_session
from recsys.serving.similar import BLEND, explain_similar, find_similar
from recsys.serving.steering import MAX_LIMIT, Narrowed, Steering, check_limit, narrow

WHOLE_LIST = Steering(limit=MAX_LIMIT)


@dataclass(frozen=True, slots=True)
class KeptOut:
    """A rule that keeps a startup out of a user's list: a code, and the same in words."""

    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where one startup stands for one user, and why.

    `method_used` made the user's list and `source` scores this startup; `rank` is its place in the
    list, None when it is not in it; `score` is between 0 and 1, `breakdown.score` the raw one. A
    startup no rule keeps out is `offered`, even if it is too low for the list; `overall_rank` is its
    place among all `n_candidates` that may be offered and that `source` knows, by the raw score, and
    itself. `n_users` of the release acted on it, None when the release does not know it.
    """

    user_id: str
    interaction_count: int
    startup_id: str
    name: str
    offered: bool
    kept_out_by: tuple[KeptOut, ...]
    rank: int | None
    overall_rank: int
    n_candidates: int
    n_users: int | None
    score: float
    method_used: str
    source: str
    reason: str
    breakdown: Breakdown
    model_version: str
    degraded: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain values; the parts of the breakdown stand beside the rest."""
        fields = dataclasses.asdict(self)
        breakdown = fields.pop("breakdown")
        return {**fields, "raw_score": breakdown.pop("score"), **breakdown}


class Questions:
    """Asks the router's release and live state what the router does not."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def recommend_session(self, session: Session, asked: Steering = PLAIN) -> SessionAnswer:
        """A list for a visitor nobody knows, routed by how many startups they acted on.

        Raises:
            InvalidRequestError: as for `Router.recommend`.
            UnavailableError: there is no release, or nothing in it can answer.
        """
        served, degraded = self._router.live.of_catalogue(self._router.release())
        now_s = time.time()
        state, ignored = state_of_session(served, session, degraded, now_s=now_s)
        made = self._router.rules.list_for(served, state, asked, now_s=now_s)
        return SessionAnswer(
            made.startups,
            made.method_used,
            made.model_version,
            made.recommendation_id,
            made.degraded,
            state.interaction_count,
            ignored,
        )

    def similar(self, startup_id: str, *, limit: int = 10, method: str = BLEND) -> RankedList:
        """The startups most like one; see `find_similar`.

        Raises:
            InvalidRequestError: the limit is out of range, or the method cannot compare this startup.
            NotFoundError: the startup is not known.
            UnavailableError: there is no release, or nothing in it compares startups.
        """
        check_limit(limit)
        served, degraded = self._router.live.of_catalogue(self._router.release())
        item_index = _find_startup(served, startup_id)
        found = find_similar(served, item_index, limit, method)
        indices = found.ranked.item_indices
        reasons = explain_similar(served, item_index, indices, found.sources)
        columns = zip(indices.tolist(), found.scores.tolist(), found.sources, reasons, strict=True)
        version = served.release.version
        return RankedList(
            tuple(
                RankedStartup(served.items.ids[index], rank, score, source, reason)
                for rank, (index, score, source, reason) in enumerate(columns, start=1)
            ),
            found.method,
            version,
            make_recommendation_id(version, found.method),
            join_reasons(degraded, *found.declined, served.release.notice),
        )

    def audience(self, startup_id: str, *, limit: int = 10) -> AudienceList:
        """The users most likely to act on a startup; see `find_audience`.

        Raises:
            InvalidRequestError: the limit is out of range.
            NotFoundError: the startup is not known.
            UnavailableError: there is no release, or nothing in it can score users.
        """
        check_limit(limit)
        served, degraded = self._router.live.of_catalogue(self._router.release())
        item_index = _find_startup(served, startup_id)
        found = find_audience(served, self._router.live, item_index, limit)
        return AudienceList(
            startup_id,
            tuple(
                LikelyUser(user_id, rank, score)
                for rank, (user_id, score) in enumerate(
                    zip(found.user_ids, found.scores.tolist(), strict=True), start=1
                )
            ),
            found.method,
            served.release.version,
            join_reasons(degraded, *found.degraded, served.release.notice),
        )

    def explain(self, user_id: str, startup_id: str, asked: Steering = WHOLE_LIST) -> Explanation:
        """Where a startup stands in the list a user would get, and what its score is made of.

        Args:
            user_id: as for `Router.recommend`.
            startup_id: any startup, offered or not.
            asked: of which list; `rank` is the place in it.

        Raises:
            InvalidRequestError: the method asked for cannot answer for this user, or does not know
                the startup.
            NotFoundError: the startup is not known.
            UnavailableError: there is no release, or nothing in it scores the startup.
        """
        served, state = self._router.live.of_user(user_id, self._router.release())
        item_index, now_s = _find_startup(served, startup_id), time.time()
        rules = self._router.rules
        this_one = np.array([item_index], np.int32)
        made = rules.list_for(served, state, asked, now_s=now_s, with_reasons_of=this_one)
        place = next((startup for startup in made.startups if startup.id == startup_id), None)
        order = rules.order_for(served, state, asked.method)
        scorer = _who_scores(served, state, item_index, order, asked.method)
        if place is not None:
            scorer = "content" if place.source == NEW else place.source
        breakdown = break_down(served, served.recommenders[scorer], state.asker, item_index)
        if place is None:
            place = _place_apart(served, state, item_index, scorer, breakdown.score, now_s)
        narrowed = narrow(served, state, asked, seen=rules.seen, now_s=now_s)
        kept_out = tuple(_kept_out(served, state, asked, narrowed, item_index, rules.seen, now_s))
        standing = find_standing(
            served.recommenders[scorer], state.asker.history, narrowed.allowed, item_index, breakdown.score
        )
        return Explanation(
            user_id,
            state.interaction_count,
            startup_id,
            served.name_of(item_index),
            not kept_out,
            kept_out,
            place.rank or None,
            standing.rank,
            standing.n_candidates,
            _n_users(served, item_index),
            place.score,
            made.method_used,
            place.source,
            place.reason,
            breakdown,
            made.model_version,
            made.degraded,
        )


def _place_apart(
    served: Served, state: UserState, item_index: int, source: str, raw_score: float, now_s: float
) -> RankedStartup:
    """A startup that is not in the list, as if it were the only one; its rank is 0."""
    index = np.array([item_index], np.int32)
    scores = served.release.scale(source, np.array([raw_score], np.float32))
    places = Places.none().followed_by(index, scores, source)
    (reason,) = reasons_for(served, places, state.asker, now_s=now_s)
    return RankedStartup(served.items.ids[item_index], 0, float(scores[0]), source, reason)


def _n_users(served: Served, item_index: int) -> int | None:
    """How many users of the release acted on a startup; None when it came after the release."""
    if item_index >= len(served.release.items):
        return None
    return int(served.n_users_of_item[item_index]) if item_index < served.n_acted_on else 0


def _find_startup(served: Served, startup_id: str) -> int:
    item_index = served.items.get(startup_id)
    if item_index is None:
        raise NotFoundError(
            f"The startup {startup_id} is not known here; check its id, or save it again if it is new.",
            startup_id=startup_id,
        )
    return item_index


def _who_scores(
    served: Served, state: UserState, item_index: int, order: tuple[str, ...], method: str | None
) -> str:
    """The first in the order that answers for the user and knows the startup."""
    for name in order:
        can_answer = why_not(served, name, state.asker.history) is None
        if can_answer and item_index < served.recommenders[name].n_items:
            return name
    if method is not None:
        raise InvalidRequestError(f"{method} does not know this startup.", method=method)
    raise UnavailableError(
        f"Nothing in release {served.release.version} scores this startup; train all models again."
    )


def _kept_out(
    served: Served,
    state: UserState,
    asked: Steering,
    narrowed: Narrowed,
    item_index: int,
    seen: SeenPolicy,
    now_s: float,
) -> Iterator[KeptOut]:
    """Every rule that keeps the startup out of the list."""
    policy = seen if asked.seen is None else asked.seen
    if not served.active[item_index]:
        yield KeptOut("inactive", "the startup is not active")
    if item_index in served.owned.get(state.user_id):
        yield KeptOut("own", "it is the user's own")
    if item_index in state.asker.history.disliked:
        yield KeptOut("disliked", "the user disliked it")
    elif item_index in state.acted_on and item_index not in policy.shown_again(state.dated_acts, now_s):
        yield KeptOut("acted_on", f"the user acted on it, which hides it: {policy}")
    if served.items.ids[item_index] in asked.exclude:
        yield KeptOut("excluded", "the caller excluded it")
    for each in narrowed.filters:
        if not each.meets[item_index]:
            yield KeptOut("filter", f"it is not one {each.words}")
