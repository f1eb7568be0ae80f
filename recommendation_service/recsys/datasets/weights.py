"""What an act is worth, and how the acts of one user on one startup become one cell.

A cell is the sum over types of weight * (1 + ln(times done)). The latest explicit signal wins: an
active dislike makes the cell exactly the dislike weight; an explicit positive after it erases it.
Views and clicks never overrule a dislike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsys.errors import ConfigError, DataError
from recsys.types import BoolArray, Float32Array, Float64Array, Int64Array, UInt8Array

# The position of a type is its bit in the type mask: never reorder, only append.
SIGNALS = ("view", "click", "like", "dislike", "favorite", "apply", "interest")
DEFAULT_WEIGHTS: Mapping[str, float] = {
    "view": 0.5,
    "click": 1.0,
    "like": 2.0,
    "dislike": -1.0,
    "favorite": 2.5,
    "apply": 3.0,
    "interest": 3.5,
}
DISLIKE = SIGNALS.index("dislike")
EXPLICIT_POSITIVE = tuple(SIGNALS.index(name) for name in ("like", "favorite", "apply", "interest"))
SECONDS_A_DAY = 86_400.0
# Cells are float32 and training squares them: within these no cell is 0 and no sum overflows.
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-6, 1e6
SMALLEST_POSITIVE = np.float32(1e-6)  # a positive that decayed for years is still an act


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Acts as columns, in any order; all (n_events,).

    `user_index` and `item_index` int64; `type_code` uint8, the position in SIGNALS;
    `occurred_at` float64 UTC seconds; `event_order` int64, which breaks ties of time.
    """

    user_index: Int64Array
    item_index: Int64Array
    type_code: UInt8Array
    occurred_at: Float64Array
    event_order: Int64Array

    def __len__(self) -> int:
        return len(self.type_code)

    def select(self, keep: BoolArray) -> EventColumns:
        """The acts where `keep` is true."""
        return EventColumns(
            self.user_index[keep],
            self.item_index[keep],
            self.type_code[keep],
            self.occurred_at[keep],
            self.event_order[keep],
        )


@dataclass(frozen=True, slots=True)
class Cells:
    """One row a (user, item) pair, sorted by user, then item; all (n_cells,).

    `weight` float32, signed; `last_event_at` float64 UTC seconds; `type_mask` uint8.
    """

    user_index: Int64Array
    item_index: Int64Array
    weight: Float32Array
    last_event_at: Float64Array
    type_mask: UInt8Array

    def __len__(self) -> int:
        return len(self.weight)


def check_weights(weights: Mapping[str, float]) -> None:
    """Refuse weights that would change what a signal means.

    Raises:
        ConfigError: a type is missing or unknown, or a weight has the wrong sign (only a dislike is
            negative) or a size outside 1e-6 to 1,000,000.
    """
    missing, unknown = set(SIGNALS) - set(weights), set(weights) - set(SIGNALS)
    if missing or unknown:
        raise ConfigError(
            f"Weights must name exactly {', '.join(SIGNALS)}; "
            f"missing: {sorted(missing) or 'none'}; unknown: {sorted(unknown) or 'none'}."
        )
    for name, weight in weights.items():
        sign = -1 if name == "dislike" else 1
        if not SMALLEST_WEIGHT <= weight * sign <= LARGEST_WEIGHT:
            limits = "-1,000,000 to -0.000001" if name == "dislike" else "0.000001 to 1,000,000"
            raise ConfigError(f"The weight of {name} is {weight}; it must be a number from {limits}.")


def resolve_cells(
    events: EventColumns,
    weights: Mapping[str, float],
    *,
    as_of_s: float | None = None,
    half_life_days: float | None = None,
    dislike_ttl_days: float | None = None,
) -> Cells:
    """Every (user, item) pair of the events as one signed cell.

    Args:
        events: the acts, retracted ones already left out.
        weights: what a type is worth; see `check_weights`.
        as_of_s: "now" in UTC seconds for decay and expiry; by default the latest act.
        half_life_days: a positive type's share halves with the age of its latest act; off if None.
        dislike_ttl_days: dislikes older than this are as if never made; off if None.

    Raises:
        ConfigError: the weights are unusable, or a number of days is not above zero.
        DataError: a type code is unknown or a time is not finite.
    """
    check_weights(weights)
    _check_days(half_life_days=half_life_days, dislike_ttl_days=dislike_ttl_days)
    _check_events(events)
    now_s = as_of_s if as_of_s is not None else float(events.occurred_at.max(initial=0.0))
    if dislike_ttl_days is not None:
        expired = (events.type_code == DISLIKE) & (
            events.occurred_at < now_s - dislike_ttl_days * SECONDS_A_DAY
        )
        events = events.select(~expired)

    pair_of_event, users, items = _number_pairs(events)
    n_pairs = len(users)
    weight = _positive_sums(events, pair_of_event, n_pairs, weights, now_s, half_life_days)
    weight[_is_disliked(events, pair_of_event, n_pairs)] = weights["dislike"]

    last_event_at = np.full(n_pairs, -np.inf)
    np.maximum.at(last_event_at, pair_of_event, events.occurred_at)
    type_mask = np.zeros(n_pairs, np.uint8)
    np.bitwise_or.at(type_mask, pair_of_event, np.left_shift(np.uint8(1), events.type_code))
    return Cells(users, items, weight, last_event_at, type_mask)


def _check_days(**options: float | None) -> None:
    for name, days in options.items():
        if days is not None and not (math.isfinite(days) and days > 0):
            raise ConfigError(f"{name} is {days}; give a number of days above zero, or leave it out.")


def _check_events(events: EventColumns) -> None:
    if len(events) and int(events.type_code.max()) >= len(SIGNALS):
        raise DataError(
            f"An act has type code {int(events.type_code.max())}; known: 0 to {len(SIGNALS) - 1}."
        )
    if not np.isfinite(events.occurred_at).all():
        raise DataError("An act has a time that is not a number; correct occurred_at in the source.")


def _number_pairs(events: EventColumns) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Number the (user, item) pairs 0.. in (user, item) order: pair of each event, users, items."""
    n_items = int(events.item_index.max(initial=0)) + 1
    keys, pair_of_event = np.unique(events.user_index * n_items + events.item_index, return_inverse=True)
    return pair_of_event, keys // n_items, keys % n_items


def _positive_sums(
    events: EventColumns,
    pair_of_event: Int64Array,
    n_pairs: int,
    weights: Mapping[str, float],
    now_s: float,
    half_life_days: float | None,
) -> Float32Array:
    total = np.zeros(n_pairs)
    for code, name in enumerate(SIGNALS):
        if code == DISLIKE:
            continue
        of_type = events.type_code == code
        pairs = pair_of_event[of_type]
        times = np.bincount(pairs, minlength=n_pairs)
        done = times > 0
        share = np.zeros(n_pairs)
        share[done] = weights[name] * (1.0 + np.log(times[done]))
        if half_life_days is not None:
            latest = np.full(n_pairs, -np.inf)
            np.maximum.at(latest, pairs, events.occurred_at[of_type])
            age_days = np.maximum(now_s - latest[done], 0.0) / SECONDS_A_DAY
            share[done] *= 0.5 ** (age_days / half_life_days)
        total += share
    weight = total.astype(np.float32)
    if half_life_days is not None:
        np.maximum(weight, SMALLEST_POSITIVE, out=weight)
    return weight


def _is_disliked(events: EventColumns, pair_of_event: Int64Array, n_pairs: int) -> BoolArray:
    """True where the latest explicit signal of a pair is a dislike."""
    explicit = np.isin(events.type_code, (DISLIKE, *EXPLICIT_POSITIVE))
    pairs = pair_of_event[explicit]
    order = np.lexsort((events.event_order[explicit], events.occurred_at[explicit], pairs))
    latest_code = np.full(n_pairs, -1, np.int64)
    latest_code[pairs[order]] = events.type_code[explicit][order]  # the last write of a pair stays
    disliked: BoolArray = latest_code == DISLIKE
    return disliked
