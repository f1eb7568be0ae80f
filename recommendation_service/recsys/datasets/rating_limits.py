"""What of a source of ratings is kept: no zeros, points within the scale, some users and items, a k-core."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from recsys.datasets.ratings import RatingBatch
from recsys.errors import ConfigError, DataError
from recsys.types import BoolArray, Int32Array, Int64Array

ZEROS = ("drop", "keep")
LARGEST = float(np.finfo(np.float32).max)  # points are kept as float32
SAMPLE_SIZES = {"small": 10_000, "medium": 100_000, "large": 1_000_000, "full": None}


@dataclass(frozen=True)
class RatingLimits:
    """`scale` (lowest, highest) or None; the others None or 1 where they limit nothing.

    In this order: zeros, the scale, a random sample of the ratings, random users and the most rated
    items, then the k-core: users and items with at least k others, until nothing more falls out.
    """

    zeros: str = "drop"  # a 0 says "no rating given"; keep: it is a rating
    scale: tuple[float, float] | None = None
    sample: int | None = None
    max_users: int | None = None
    max_items: int | None = None
    k_core: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.zeros not in ZEROS:
            raise ConfigError(f"zeros is {self.zeros!r}; it must be one of {', '.join(ZEROS)}.")
        if self.scale is not None and not -LARGEST <= self.scale[0] < self.scale[1] <= LARGEST:
            raise ConfigError(
                f"The scale goes from {self.scale[0]:g} to {self.scale[1]:g}; write it like 1:5."
            )
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}; it must be a whole number from 0.")
        for name in ("sample", "max_users", "max_items", "k_core"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be a whole number from 1.")

    @property
    def need_all_rows(self) -> bool:
        """Whether more than a batch must be known to tell which rows stay."""
        return self.k_core > 1 or not (self.sample is self.max_users is self.max_items is None)


def clean(
    batches: Iterable[RatingBatch], limits: RatingLimits, changed: Counter[str]
) -> Iterator[RatingBatch]:
    """Without zeros and within the scale, a batch at a time; `changed` counts what is.

    Raises:
        DataError: there are ratings, and every one is a zero that is dropped.
    """
    found = False
    for batch in batches:
        points = np.asarray(batch.ratings, np.float32)
        if limits.zeros == "drop" and not points.all():
            changed["zeros_dropped"] += int((points == 0).sum())
            batch, points = rows_of(batch, points != 0), points[points != 0]
        if limits.scale is not None:
            # A kept zero stays one: below the scale it says something of its own.
            within = np.where(points == 0, points, points.clip(*limits.scale)).astype(np.float32)
            is_other = (within != points) & np.isfinite(points)  # what is no number is refused later, by name
            changed["clipped"] += int(is_other.sum())
            points = np.where(is_other, within, points)
        if len(points):
            found = True
            yield replace(batch, ratings=points)
    if not found and changed["zeros_dropped"]:
        raise DataError(
            f"No ratings found: all {changed['zeros_dropped']:,} are 0, which says that none was given; "
            "--zeros keep takes them for points."
        )


def rows_of(batch: RatingBatch, keep: BoolArray) -> RatingBatch:
    """The rows of a batch where `keep` (n,) is true."""
    mask = pa.array(keep)

    def some(values: Any) -> Any:
        if values is None:
            return None
        return values[keep] if isinstance(values, np.ndarray) else pa.array(values).filter(mask)

    return RatingBatch(
        some(batch.user_ids),
        some(batch.item_ids),
        some(np.asarray(batch.ratings)),
        some(batch.rated_at),
        some(batch.texts),
        some(batch.parts),
    )


def choose_rows(user_index: Int32Array, item_index: Int32Array, limits: RatingLimits) -> BoolArray:
    """(n,) true for the rows the limits leave; a pair that comes twice counts once and stays whole.

    Raises:
        DataError: nothing is left.
    """
    rng = np.random.default_rng(limits.seed)
    keep = np.ones(len(user_index), np.bool_)
    if limits.sample is not None and limits.sample < len(keep):
        keep[rng.permutation(len(keep))[limits.sample :]] = False
    if limits.max_users is not None:
        people = np.unique(user_index[keep])
        keep &= np.isin(user_index, rng.permutation(people)[: limits.max_users])
    if limits.max_items is not None:
        counts = np.bincount(item_index[keep], minlength=1)
        keep &= np.isin(item_index, np.argsort(-counts, kind="stable")[: limits.max_items])
    if limits.k_core > 1:
        keep[keep] = _core(user_index[keep], item_index[keep], limits.k_core)
    if not keep.any():
        raise DataError(
            f"Nothing is left of {len(keep):,} ratings by {_describe(limits)}; lower k-core or the caps."
        )
    return keep


def repeats(user_index: Int32Array, item_index: Int32Array) -> BoolArray:
    """(n,) true where the pair came before."""
    keys = _pair_keys(user_index, item_index)
    order: Int64Array = np.argsort(keys, kind="stable")
    repeated = np.zeros(len(keys), np.bool_)
    ordered = keys[order]
    repeated[order[1:]] = ordered[1:] == ordered[:-1]
    return repeated


def count_repeats(user_index: Int32Array, item_index: Int32Array) -> int:
    """How many rows have a pair that came before: `repeats` added up, in less time and memory."""
    keys = _pair_keys(user_index, item_index)
    keys.sort()
    return int((keys[1:] == keys[:-1]).sum())


def _pair_keys(user_index: Int32Array, item_index: Int32Array) -> Int64Array:
    """(n,) a number a pair."""
    keys: Int64Array = user_index.astype(np.int64)
    keys *= int(item_index.max(initial=0)) + 1
    keys += item_index
    return keys


def _core(user_index: Int32Array, item_index: Int32Array, k: int) -> BoolArray:
    """(n,) true where both the user and the item keep k pairs among themselves."""
    counted = ~repeats(user_index, item_index)
    users, items = user_index[counted], item_index[counted]
    n_users, n_items = int(user_index.max(initial=0)) + 1, int(item_index.max(initial=0)) + 1
    while True:
        stays_user = np.bincount(users, minlength=n_users) >= k
        stays_item = np.bincount(items, minlength=n_items) >= k
        stays = stays_user[users] & stays_item[items]
        if stays.all():
            in_core: BoolArray = stays_user[user_index] & stays_item[item_index]
            return in_core
        users, items = users[stays], items[stays]


def _describe(limits: RatingLimits) -> str:
    given = {
        "sample": limits.sample,
        "max-users": limits.max_users,
        "max-items": limits.max_items,
        "k-core": limits.k_core if limits.k_core > 1 else None,
    }
    return ", ".join(f"{name} {value}" for name, value in given.items() if value is not None)
