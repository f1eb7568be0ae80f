"""A visitor nobody knows: the startups of one visit stand for a history, and nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from recsys.datasets.weights import DEFAULT_WEIGHTS, SIGNALS
from recsys.errors import InvalidRequestError
from recsys.serving.explanations import Asker
from recsys.serving.live_state import UserState
from recsys.serving.seen import DatedActs
from recsys.serving.served import Served
from recsys.types import History

MAX_SESSION_STARTUPS = 500  # as many as a live profile holds
MAX_WEIGHT = 100.0
DEFAULT_TYPE = "click"  # whoever opened a page looked into the startup
NOBODY = ""


@dataclass(frozen=True, slots=True)
class Session:
    """What a visitor did, in order: `startup_ids`, the latest last; one that comes twice counts once.

    `types` says what was done to some of them (a signal's name; by default a click), `weights` what
    that is worth instead of the signal's weight: below zero it was a dislike.
    """

    startup_ids: Sequence[str]
    types: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    interests: Sequence[str] = ()

    def __post_init__(self) -> None:
        if len(self.startup_ids) > MAX_SESSION_STARTUPS:
            raise InvalidRequestError(
                f"The session has {len(self.startup_ids):,} startup ids; send the latest "
                f"{MAX_SESSION_STARTUPS}."
            )
        given = set(self.startup_ids)
        for name, values in (("types", self.types), ("weights", self.weights)):
            stray = next((startup_id for startup_id in values if startup_id not in given), None)
            if stray is not None:
                raise InvalidRequestError(f"{name} names {stray!r:.80}, which is not in startup_ids.")
        for startup_id, signal in self.types.items():
            if signal not in SIGNALS:
                raise InvalidRequestError(
                    f"types says {signal!r:.80} of {startup_id!r:.80}; there are {', '.join(SIGNALS)}."
                )
        for startup_id, weight in self.weights.items():
            if not 0 < abs(weight) <= MAX_WEIGHT:
                raise InvalidRequestError(
                    f"weights says {weight} of {startup_id!r:.80}; give a number other than 0 "
                    f"from -{MAX_WEIGHT:.0f} to {MAX_WEIGHT:.0f}."
                )


def state_of_session(
    served: Served, session: Session, degraded: str | None, *, now_s: float
) -> tuple[UserState, tuple[str, ...]]:
    """A visit as what is known of a user, and the ids that are no startup here.

    Args:
        served: whose index space the state is in.
        session: the visit.
        degraded: what an answer made from `served` must admit to.
        now_s: UTC seconds; acts are dated a second apart, the last at this moment.
    """
    latest_first = list(dict.fromkeys(reversed(session.startup_ids)))
    indices = served.items.indices(latest_first)
    known_ids = [i for i, index in zip(latest_first, indices, strict=True) if index >= 0]
    worth = _signal_weights(served)
    types = [session.types.get(i, DEFAULT_TYPE) for i in known_ids]
    weights = [session.weights.get(i, worth[t]) for i, t in zip(known_ids, types, strict=True)]
    times = now_s - np.arange(len(known_ids), dtype=np.float64)
    history = History(
        indices[indices >= 0],
        np.array(weights, np.float32),
        times,
        tuple(session.interests),
    )
    masks = np.array([1 << SIGNALS.index(signal) for signal in types], np.uint8)
    state = UserState(
        NOBODY,
        len(known_ids),
        Asker(history, masks),
        history.item_indices,
        degraded=degraded,
        dated_acts=DatedActs.of_likes(history, masks),
    )
    given_order = dict.fromkeys(session.startup_ids)
    return state, tuple(i for i in given_order if i not in served.items)


def _signal_weights(served: Served) -> Mapping[str, float]:
    """What each signal was worth when the release was trained."""
    manifest = served.release.manifest
    trained = {} if manifest is None else manifest.dataset.get("weights") or {}
    return {**DEFAULT_WEIGHTS, **trained}
