"""Who answers for which user, from what they did up to this second.

Few acts: content. Some: als, by fold-in. Many: the ensemble. What cannot answer hands down to the
next; the answer names who really made it and says what stood in the way. What a caller asks of the
list is `steering`, who fills its places `filling`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np

from recsys.artifacts.release import Release
from recsys.errors import ConfigError, InvalidRequestError, UnavailableError
from recsys.serving.answers import Answer, RankedList
from recsys.serving.diversity import shortlist_size
from recsys.serving.explanations import Asker
from recsys.serving.filling import (
    NEW_STARTUPS,
    Filled,
    NewStartupShare,
    as_list,
    diversify,
    fill,
    keep_places_for_new,
    reasons_for,
    why_not,
)
from recsys.serving.live_state import LiveState, UserState
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.seen import HIDE_FOR_EVER, SeenPolicy
from recsys.serving.served import Served
from recsys.serving.steering import METHODS, Narrowed, Steering, check_limit, narrow, why_nothing
from recsys.types import History, Int32Array

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
class Rules:
    """How lists are made of what is known of a user, whoever asks.

    `thresholds` pick who answers; `seen` is the policy of callers who name none; `new_startups` the
    places kept for those.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    seen: SeenPolicy = HIDE_FOR_EVER
    new_startups: NewStartupShare = NEW_STARTUPS

    def order_for(self, served: Served, state: UserState, method: str | None) -> tuple[str, ...]:
        """Whom to ask, one after the other.

        Raises:
            InvalidRequestError: the method cannot answer for this user.
        """
        if state.opted_out:
            return IMPERSONAL  # of somebody without a history here
        if method is not None:
            refusal = why_not(served, method, state.asker.history)
            if refusal is not None:
                raise InvalidRequestError(f"{method} cannot answer: {refusal}.", method=method)
            return (method,)
        chosen = METHODS.index(self.thresholds.method_for(state.interaction_count))
        # Upwards only when nothing below can answer: als alone beats no answer.
        return (*METHODS[chosen:], *reversed(METHODS[:chosen]))

    def list_for(
        self,
        served: Served,
        state: UserState,
        asked: Steering,
        *,
        now_s: float,
        with_reasons_of: Int32Array | None = None,
    ) -> RankedList:
        """The startups to show somebody next.

        Args:
            served, state: what can be offered, and what is known of them.
            asked: how long a list, of which startups, and by whom.
            now_s: UTC seconds.
            with_reasons_of: see `finish`.

        Raises:
            InvalidRequestError: the method cannot answer for this user, or no startup has a value
                that a filter asks for.
            UnavailableError: nothing in the release can answer.
        """
        narrowed = narrow(served, state, asked, seen=self.seen, now_s=now_s)
        filled = self.fill_for(served, state, asked, narrowed)
        return self.finish(
            served, state, asked, narrowed, filled, now_s=now_s, with_reasons_of=with_reasons_of
        )

    def fill_for(self, served: Served, state: UserState, asked: Steering, narrowed: Narrowed) -> Filled:
        """The best startups by whoever answers: the list, or what a diverse one is chosen from."""
        n_places = asked.limit if asked.diversity == 0 else shortlist_size(asked.limit)
        order = self.order_for(served, state, asked.method)
        return fill(served, state.asker.history, narrowed.allowed, n_places, order)

    def finish(
        self,
        served: Served,
        state: UserState,
        asked: Steering,
        narrowed: Narrowed,
        filled: Filled,
        *,
        now_s: float,
        with_reasons_of: Int32Array | None = None,
    ) -> RankedList:
        """Diverse if asked for, with its places for new startups, and with reasons.

        Reasons cost more than the list: those of startups not in `with_reasons_of` (item indices)
        are left empty. By default all have one.
        """
        history = state.asker.history
        places, not_diverse = diversify(served, filled.places, asked.limit, asked.diversity)
        if asked.method is None and not state.opted_out:
            places = keep_places_for_new(
                served,
                history,
                places,
                narrowed.allowed,
                limit=asked.limit,
                n_kept=self.new_startups.n_places(asked.limit, history),
                now_s=now_s,
            )
        reasons = reasons_for(served, places, state.asker, now_s=now_s, wanted=with_reasons_of)
        why_short = _why_short(served, narrowed, filled, len(places), asked.limit)
        notices = (state.degraded, *filled.declined, *narrowed.notices, not_diverse, why_short)
        return as_list(served, replace(filled, places=places), reasons, notices)


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
        self.live = live
        self.rules = Rules(thresholds, seen, new_startups)

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
        served, state = self.live.of_user(user_id, self.release())
        made = self.rules.list_for(served, state, asked, now_s=time.time())
        return Answer.from_list(made, user_id, state.interaction_count)

    def popular(self, *, limit: int = 10) -> RankedList:
        """The startups most people liked lately; the same for everybody.

        Raises:
            InvalidRequestError: the limit is out of range.
            UnavailableError: there is no release, or popularity is not in it.
        """
        check_limit(limit)
        nobody, now_s = Asker(History.empty()), time.time()
        served, degraded = self.live.of_catalogue(self.release())
        filled = fill(served, nobody.history, served.active, limit, ("popularity",))
        reasons = reasons_for(served, filled.places, nobody, now_s=now_s)
        return as_list(served, filled, reasons, [degraded, *filled.declined])

    def release(self) -> Release:
        """The served release.

        Raises:
            UnavailableError: there is none yet.
        """
        release = self._watcher.release
        if release is None:
            raise UnavailableError(self._watcher.failure or NO_RELEASE)
        return release


def _why_short(served: Served, narrowed: Narrowed, filled: Filled, n_places: int, limit: int) -> str | None:
    """Why a list is empty, or shorter than the catalogue would let it be."""
    if n_places == limit:
        return None
    n_allowed = int(np.count_nonzero(narrowed.allowed))
    if n_allowed == 0:
        return why_nothing(served, narrowed)
    n_unknown = n_allowed - n_places
    return f"{n_unknown:,} more may be offered, unknown to {', '.join(filled.asked)}" if n_unknown else None
