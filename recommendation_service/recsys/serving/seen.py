"""Which startups that a user acted on are not shown to them again, and for how long."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np

from recsys.datasets.weights import DISLIKE, SECONDS_A_DAY, SIGNALS
from recsys.errors import InvalidRequestError
from recsys.types import Float64Array, History, Int32Array, UInt8Array

MAX_DAYS = 36_500
POLICY_FORM = "write types and days such as view:7,click:30; a type left out hides for ever, 0 hides nothing"


@dataclass(frozen=True, slots=True)
class DatedActs:
    """Startups acted on whose acts are known, in the index space of a Served; no active dislikes.

    `item_indices` (n,) int32; aligned `last_event_at` (n,) UTC seconds and `type_masks` (n,), the
    bits of SIGNALS.
    """

    item_indices: Int32Array
    last_event_at: Float64Array
    type_masks: UInt8Array

    @classmethod
    def none(cls) -> DatedActs:
        """Of somebody whose acts are not known, or not when and what they were."""
        return cls(np.empty(0, np.int32), np.empty(0, np.float64), np.empty(0, np.uint8))

    @classmethod
    def of_likes(cls, history: History, type_masks: UInt8Array) -> DatedActs:
        """Of a history whose times are known; `type_masks` (n_history,) aligned with it."""
        if history.last_event_at is None:
            return cls.none()
        liked = history.weights > 0
        if liked.all():
            return cls(history.item_indices, history.last_event_at, type_masks)
        return cls(history.item_indices[liked], history.last_event_at[liked], type_masks[liked])


@dataclass(frozen=True, slots=True)
class SeenPolicy:
    """After how many days without an act a startup comes back, by type of act.

    The longest of the types done counts, and a type not named in `days` hides for ever: by default
    everything does. An active dislike hides whatever the policy.
    """

    days: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """In words.

        >>> str(SeenPolicy()), str(SeenPolicy({"view": 7.0}))
        ('for ever', 'view for 7 days, others for ever')
        """
        named = [f"{signal} for {days:g} days" for signal, days in self.days.items()]
        return ", ".join([*named, "others for ever"]) if named else "for ever"

    def shown_again(self, acts: DatedActs, now_s: float) -> Int32Array:
        """(k,) indices of the startups that may be shown again at `now_s`, UTC seconds."""
        if not self.days:
            return np.empty(0, np.int32)
        hidden_days = np.full(8, math.inf)  # a day number for each bit of a mask
        hidden_days[: len(SIGNALS)] = [self.days.get(signal, math.inf) for signal in SIGNALS]
        hidden_days[DISLIKE] = 0.0  # one that a later act erased hides nothing
        done = np.unpackbits(acts.type_masks[:, None], axis=1, bitorder="little")
        longest = np.where(done == 1, hidden_days, 0.0).max(axis=1, initial=0.0)
        longest[acts.type_masks == 0] = math.inf
        # A client's clock may run ahead of ours: nothing hidden is nothing hidden even then.
        is_over = (longest == 0) | (now_s - acts.last_event_at >= longest * SECONDS_A_DAY)
        shown: Int32Array = acts.item_indices[is_over]
        return shown


HIDE_FOR_EVER = SeenPolicy()


def parse_seen_policy(text: str) -> SeenPolicy:
    """Read "view:7,click:30"; nothing at all is the policy that hides everything for ever.

    Raises:
        InvalidRequestError: names what cannot be read and how to write it.
    """
    days: dict[str, float] = {}
    for entry in filter(None, (entry.strip() for entry in text.split(","))):
        signal, _, number = (part.strip() for part in entry.partition(":"))
        _check_signal(signal, entry)
        if signal in days:
            raise InvalidRequestError(f"seen names {signal} twice; {POLICY_FORM}.")
        days[signal] = _days(number, entry)
    return SeenPolicy(days)


def _check_signal(signal: str, entry: str) -> None:
    if signal == SIGNALS[DISLIKE]:
        raise InvalidRequestError("seen cannot name dislike: what is disliked is never shown.")
    if signal not in SIGNALS:
        near = get_close_matches(signal, SIGNALS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(SIGNALS)}."
        raise InvalidRequestError(f"seen holds {entry[:80]!r}, which is no type of act; {hint}")


def _days(number: str, entry: str) -> float:
    try:
        days = float(number)
    except ValueError:
        days = math.nan
    if not 0 <= days <= MAX_DAYS:
        raise InvalidRequestError(f"seen holds {entry[:80]!r}; {POLICY_FORM}, at most {MAX_DAYS}.")
    return days
