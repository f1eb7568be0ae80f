"""The small types every layer speaks."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
UInt8Array = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class History:
    """What one user did, in the item index space of a release or a dataset.

    `item_indices` (n,) int32, each item once; `weights` (n,) float32, signed: above 0 what they
    liked, below 0 an active dislike; `last_event_at` (n,) float64 UTC seconds, or None when the
    times are not known; `interests` are the user's own words.
    """

    item_indices: Int32Array
    weights: Float32Array
    last_event_at: Float64Array | None = None
    interests: tuple[str, ...] = ()
    _worked_out: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, key: Hashable, work_out: Callable[[], T]) -> T:
        """What `work_out` makes of this history, made once: a list and its reasons ask for the same."""
        if key not in self._worked_out:
            self._worked_out[key] = work_out()
        worked_out: T = self._worked_out[key]
        return worked_out

    @classmethod
    def empty(cls, interests: tuple[str, ...] = ()) -> History:
        """The history of somebody who has done nothing yet."""
        return cls(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.float64), interests)

    def without(self, position: int) -> History:
        """The same history as if the act at a position of it had not been done."""
        times = None if self.last_event_at is None else np.delete(self.last_event_at, position)
        return History(
            np.delete(self.item_indices, position), np.delete(self.weights, position), times, self.interests
        )

    @property
    def liked(self) -> Int32Array:
        """Items with a weight above zero."""
        return self.item_indices[self.weights > 0]

    @property
    def disliked(self) -> Int32Array:
        """Items with an active dislike."""
        return self.item_indices[self.weights < 0]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A ranked list: best first, ties by the lower item index.

    `item_indices` (k,) int32 and `scores` (k,) float32, the recommender's raw scores.
    """

    item_indices: Int32Array
    scores: Float32Array


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """How far a long job is: `fraction` of the whole from 0 to 1, seconds left when known."""

    stage: str
    fraction: float
    seconds_left: float | None = None
    facts: dict[str, float] = field(default_factory=dict)


ProgressCallback = Callable[[ProgressReport], None]
