"""Who answers for which user, from what they did up to this second.

Few acts: content. Some: als, by fold-in. Many: the ensemble. What cannot answer hands down to the
next; the answer names who really made it and says what stood in the way. What a caller asks of the
list is `steering`, who fills its places `filling`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsys.artifacts.release import Release
from recsys.errors import ConfigError, InvalidRequestError, NotFoundError, UnavailableError
from recsys.recommenders.base import NO_ITEMS, Recommender
from recsys.serving.answers import Answer, RankedList, RankedStartup, join_reasons, make_recommendation_id
from recsys.serving.diversity import shortlist_size
from recsys.serving.explanations import Asker, explain_similar
from recsys.serving.filling import (
    NEW_STARTUPS,
    Filled,
    NewStartupShare,
    as_list,
    diversify,
    fill,
    keep_places_for_new,
    not_trained,
    reasons_for,
    why_not,
)
from recsys.serving.live_state import LiveState, UserState
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.seen import HIDE_FOR_EVER, SeenPolicy
from recsys.serving.served import Served
from recsys.serving.steering import METHODS, Narrowed, Steering, check_limit, narrow, why_nothing
from recsys.types import Float64Array, History, Recommendation

MIN_USERS_FOR_ALS_SIMILARITY = 5  # with fewer, a startup's factors tell those users' other tastes
PLAIN = Steering()
IMPERSONAL = ("popularity", "content")
NO_RELEASE = (
    "No trained release is loaded yet; run ./train_all_models.sh, or python train_als.py after an export. "
    "It is picked up without a restart."
)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """`cold_below` startups acted on: content; from `hot_from` on: the ensemble; between: als."""

    cold_below: int = 5
    hot_from: int = 20

    def __post_init__(self) -> None:
        if not 0 <= self.cold_below <= self.hot_from:
            raise ConfigError(
                f"COLD_BELOW is {self.cold_below} and HOT_FROM is {self.hot_from}; "
                "give whole numbers with 0 <= COLD_BELOW <= HOT_FROM."
            )

    def method_for(self, interaction_count: int) -> str:
        """Who is asked first.

        >>> [Thresholds().method_for(n) for n in (4, 5, 19, 20)]
        ['content', 'als', 'als', 'ensemble']
        """
        if interaction_count < self.cold_below:
            return "content"
        return "als" if interaction_count < self.hot_from else "ensemble"


@dataclass(frozen=True, slots=True)
class Handed:
    """A list, who made it, and why those asked before did not."""

    recommender: Recommender
    ranked: Recommendation
    declined: tuple[str, ...]


class Router:
    """Answers from the served release and the live state."""

    def __init__(
        self,
        watcher: ReleaseWatcher,
        live: LiveState,
        thresholds: Thresholds,
        *,
        seen: SeenPolicy = HIDE_FOR_EVER,
        new_startups: NewStartupShare = NEW_STARTUPS,
    ) -> None:
        """`seen` is the policy of callers who name none; `new_startups` the places kept for those."""
        self._watcher = watcher
        self._live = live
        self._thresholds = thresholds
        self._seen = seen
        self._new_startups = new_startups

    def recommend(self, user_id: str, asked: Steering = PLAIN) -> Answer:
        """The startups to show a user next.

        Args:
            user_id: anybody; somebody unknown is a user who did nothing yet.
            asked: how long a list, of which startups, and by whom.

        Raises:
            InvalidRequestError: the method cannot answer for this user, or no startup has a value
                that a filter asks for.
            UnavailableError: there is no release, or nothing in it can answer.
        """
        served, state = self._live.of_user(user_id, self._release())
        history, now_s = state.asker.history, time.time()
        narrowed = narrow(served, state, asked, seen=self._seen, now_s=now_s)
        order = self._order_for(served, state, asked.method)
        n_places = asked.limit if asked.diversity == 0 else shortlist_size(asked.limit)
        filled = fill(served, history, narrowed.allowed, n_places, order)
        places, not_diverse = diversify(served, filled.places, asked.limit, asked.diversity)
        if asked.method is None and not state.opted_out:
            places = keep_places_for_new(
                served,
                history,
                places,
                narrowed.allowed,
                limit=asked.limit,
                n_kept=self._new_startups.n_places(asked.limit, history),
                now_s=now_s,
            )
        reasons = reasons_for(served, places, state.asker, now_s=now_s)
        why_short = _why_short(served, narrowed, filled, len(places), asked.limit)
        notices = (state.degraded, *filled.declined, *narrowed.notices, not_diverse, why_short)
        made = as_list(served, replace(filled, places=places), reasons, notices)
        return Answer.from_list(made, user_id, state.interaction_count)

    def similar(self, startup_id: str, *, limit: int = 10) -> RankedList:
        """The startups most like one.

        Raises:
            InvalidRequestError: the limit is out of range.
            NotFoundError: the startup is not known.
            UnavailableError: there is no release, or nothing in it compares startups.
        """
        check_limit(limit)
        served, degraded = self._live.of_catalogue(self._release())
        item_index = served.items.get(startup_id)
        if item_index is None:
            raise NotFoundError(
                f"The startup {startup_id} is not known here; check its id, or save it again if it is new.",
                startup_id=startup_id,
            )
        handed = _first_to_compare(served, item_index, limit)
        reasons = explain_similar(served, item_index, handed.ranked.item_indices)
        # Cosines, from -1 to 1: half their size around a half is within (0, 1) whatever they round to.
        scores = 0.5 + 0.499 * handed.ranked.scores.astype("float64")
        return make_list(served, handed, scores, reasons, degraded)

    def popular(self, *, limit: int = 10) -> RankedList:
        """The startups most people liked lately; the same for everybody.

        Raises:
            InvalidRequestError: the limit is out of range.
            UnavailableError: there is no release, or popularity is not in it.
        """
        check_limit(limit)
        nobody, now_s = Asker(History.empty()), time.time()
        served, degraded = self._live.of_catalogue(self._release())
        filled = fill(served, nobody.history, served.active, limit, ("popularity",))
        reasons = reasons_for(served, filled.places, nobody, now_s=now_s)
        return as_list(served, filled, reasons, [degraded, *filled.declined])

    def _release(self) -> Release:
        release = self._watcher.release
        if release is None:
            raise UnavailableError(self._watcher.failure or NO_RELEASE)
        return release

    def _order_for(self, served: Served, state: UserState, method: str | None) -> tuple[str, ...]:
        """Whom to ask, one after the other."""
        if state.opted_out:
            return IMPERSONAL  # of somebody without a history here
        if method is not None:
            refusal = why_not(served, method, state.asker.history)
            if refusal is not None:
                raise InvalidRequestError(f"{method} cannot answer: {refusal}.", method=method)
            return (method,)
        chosen = METHODS.index(self._thresholds.method_for(state.interaction_count))
        # Upwards only when nothing below can answer: als alone beats no answer.
        return (*METHODS[chosen:], *reversed(METHODS[:chosen]))


def _why_short(served: Served, narrowed: Narrowed, filled: Filled, n_places: int, limit: int) -> str | None:
    """Why a list is empty, or shorter than the catalogue would let it be."""
    if n_places == limit:
        return None
    n_allowed = int(np.count_nonzero(narrowed.allowed))
    if n_allowed == 0:
        return why_nothing(served, narrowed)
    n_unknown = n_allowed - n_places
    return f"{n_unknown:,} more may be offered, unknown to {', '.join(filled.asked)}" if n_unknown else None


def _first_to_compare(served: Served, item_index: int, limit: int) -> Handed:
    """als for a startup that people acted on, content for the others; the other one if need be."""
    users = served.n_users_of_item[item_index] if item_index < served.n_acted_on else 0
    order = ("als", "content") if users >= MIN_USERS_FOR_ALS_SIMILARITY else ("content", "als")
    declined: list[str] = []
    emptied: Recommender | None = None
    for name in order:
        recommender = served.recommenders.get(name)
        if recommender is None:
            declined.append(not_trained(served, name))
        elif item_index >= recommender.n_items:
            declined.append(f"{name} does not know this startup")
        else:
            ranked = recommender.similar_items(item_index, limit, candidates=served.active)
            if len(ranked.item_indices) > 0:
                return Handed(recommender, ranked, tuple(declined))
            declined.append(f"{name} knows nothing of this startup")
            emptied = emptied or recommender
    if emptied is not None:
        return Handed(emptied, NO_ITEMS, tuple(declined))
    raise UnavailableError(
        f"Nothing in release {served.release.version} can compare this startup ({'; '.join(declined)}); "
        "train all models again."
    )


def make_list(
    served: Served, handed: Handed, scores: Float64Array, reasons: Sequence[str], degraded: str | None
) -> RankedList:
    method, version = handed.recommender.name, served.release.version
    indices = handed.ranked.item_indices.tolist()
    return RankedList(
        startups=tuple(
            RankedStartup(served.items.ids[index], place + 1, score, method, reason)
            for place, (index, score, reason) in enumerate(
                zip(indices, scores.tolist(), reasons, strict=True)
            )
        ),
        method_used=method,
        model_version=version,
        recommendation_id=make_recommendation_id(version, method),
        degraded=join_reasons(degraded, *handed.declined, served.release.notice),
    )
