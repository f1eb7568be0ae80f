"""Who answers for which user, from what they did up to this second.

Few acts: content. Some: als, by fold-in. Many: the ensemble. What cannot answer hands down to the
next; the answer names who really made it and says what stood in the way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from recsys.artifacts.release import Release
from recsys.errors import ConfigError, InvalidRequestError, NotFoundError, UnavailableError
from recsys.recommenders.base import NO_ITEMS, Recommender
from recsys.serving.answers import (
    Answer,
    RankedList,
    RankedStartup,
    join_reasons,
    make_recommendation_id,
)
from recsys.serving.explanations import Asker, explain, explain_similar
from recsys.serving.live_state import LiveState, UserState
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.retrieval import rank, rank_with_new
from recsys.serving.served import Served
from recsys.types import BoolArray, Float64Array, History, Recommendation

METHODS = ("ensemble", "als", "content", "popularity")  # each hands down to the next
MIN_USERS_FOR_ALS_SIMILARITY = 5  # with fewer, a startup's factors tell those users' other tastes
MAX_LIMIT = 100
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

    def __init__(self, watcher: ReleaseWatcher, live: LiveState, thresholds: Thresholds) -> None:
        self._watcher = watcher
        self._live = live
        self._thresholds = thresholds

    def recommend(
        self, user_id: str, *, limit: int = 10, exclude: Sequence[str] = (), method: str | None = None
    ) -> Answer:
        """The startups to show a user next.

        Args:
            user_id: anybody; somebody unknown is a user who did nothing yet.
            limit: how many at most, 1 to 100; fewer only when fewer are left.
            exclude: startups not to show; unknown ones are ignored.
            method: ask only this recommender, whatever the user did.

        Raises:
            InvalidRequestError: the limit is out of range, or the method cannot answer for this user.
            UnavailableError: there is no release, or nothing in it can answer.
        """
        check_limit(limit)
        release = self._release()
        served, state = self._live.of_user(user_id, release)
        now_s = time.time()
        allowed = _allowed(served, state, exclude)
        order = self._order_for(served, state, method)
        handed = _first_to_answer(served, state.asker.history, allowed, limit, order, now_s=now_s)
        made = make_list(
            served,
            handed,
            release.scale(handed.recommender.name, handed.ranked.scores),
            explain(served, handed.recommender, state.asker, handed.ranked.item_indices, now_s=now_s),
            state.degraded,
        )
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
        release, now_s, nobody = self._release(), time.time(), History.empty()
        served, degraded = self._live.of_catalogue(release)
        handed = _first_to_answer(served, nobody, served.active, limit, ("popularity",), now_s=now_s)
        scores = release.scale(handed.recommender.name, handed.ranked.scores)
        reasons = explain(served, handed.recommender, Asker(nobody), handed.ranked.item_indices, now_s=now_s)
        return make_list(served, handed, scores, reasons, degraded)

    def _release(self) -> Release:
        release = self._watcher.release
        if release is None:
            raise UnavailableError(self._watcher.failure or NO_RELEASE)
        return release

    def _order_for(self, served: Served, state: UserState, method: str | None) -> tuple[str, ...]:
        """Whom to ask, one after the other."""
        if state.opted_out:
            return ("popularity",)
        if method is not None:
            why_not = _why_not(served, method, state.asker.history)
            if why_not is not None:
                raise InvalidRequestError(f"{method} cannot answer: {why_not}.", method=method)
            return (method,)
        chosen = METHODS.index(self._thresholds.method_for(state.interaction_count))
        # Upwards only when nothing below can answer: als alone beats no answer.
        return (*METHODS[chosen:], *reversed(METHODS[:chosen]))


def check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequestError(f"limit is {limit}; ask for 1 to {MAX_LIMIT}.", limit=limit)


def _allowed(served: Served, state: UserState, exclude: Sequence[str]) -> BoolArray:
    """(n_items,) what may be offered: active, not acted on, not their own, not excluded."""
    allowed = served.active.copy()
    excluded = served.items.indices(exclude)
    for indices in (state.acted_on, excluded[excluded >= 0], served.owned.get(state.user_id)):
        if indices is not None:
            allowed[indices] = False
    return allowed


def _first_to_answer(
    served: Served,
    history: History,
    allowed: BoolArray,
    limit: int,
    order: Sequence[str],
    *,
    now_s: float,
) -> Handed:
    """Ask one recommender after the other; an empty list counts only if all lists are empty.

    Raises:
        UnavailableError: none can answer.
    """
    declined: list[str] = []
    emptied: Recommender | None = None
    for name in order:
        why_not = _why_not(served, name, history)
        if why_not is not None:
            declined.append(why_not)
            continue
        recommender = served.recommenders[name]
        ranked = _rank(served, recommender, history, allowed, limit, now_s)
        if len(ranked.item_indices) > 0:
            return Handed(recommender, ranked, tuple(declined))
        declined.append(f"{name} has nothing left to offer")
        emptied = emptied or recommender
    if emptied is not None:
        return Handed(emptied, NO_ITEMS, tuple(declined))
    raise UnavailableError(
        f"Nothing in release {served.release.version} can answer ({'; '.join(declined)}); "
        "train all models again."
    )


def _rank(
    served: Served, recommender: Recommender, history: History, allowed: BoolArray, limit: int, now_s: float
) -> Recommendation:
    knows_nothing_yet = len(history.item_indices) == 0
    if recommender.name == "content" and knows_nothing_yet:
        return rank_with_new(recommender, history, limit, allowed, served.is_new(now_s))
    return rank(
        recommender, history, limit, allowed, vector_lengths=served.vector_lengths.get(recommender.name)
    )


def _first_to_compare(served: Served, item_index: int, limit: int) -> Handed:
    """als for a startup that people acted on, content for the others; the other one if need be."""
    users = served.n_users_of_item[item_index] if item_index < served.n_acted_on else 0
    order = ("als", "content") if users >= MIN_USERS_FOR_ALS_SIMILARITY else ("content", "als")
    declined: list[str] = []
    emptied: Recommender | None = None
    for name in order:
        recommender = served.recommenders.get(name)
        if recommender is None:
            declined.append(_not_trained(served, name))
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


def _why_not(served: Served, name: str, history: History) -> str | None:
    recommender = served.recommenders.get(name)
    return _not_trained(served, name) if recommender is None else recommender.why_not(history)


def _not_trained(served: Served, name: str) -> str:
    if name == "ensemble" and "two_tower" not in served.recommenders:
        return "two_tower not trained"
    return f"{name} not trained"


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
