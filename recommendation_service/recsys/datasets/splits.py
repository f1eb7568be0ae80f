"""Ways to hold part of a dataset back: what a recommender learns from, and what it must guess.

Only positive cells are held back as the answer; dislikes stay in the train part, for nobody is to be
offered what they disliked. The train part keeps the dataset's mappings and shape. When the split
goes by time, no cell from after it is left in the train part, whatever its sign: not even a dislike
may leak.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.user_items import Dataset, cells_where, check_user_items
from recsys.errors import ConfigError, DataError
from recsys.types import BoolArray, Float64Array, Int64Array


@dataclass(frozen=True, slots=True)
class Split:
    """A train dataset and the relevant cells it lacks.

    `test` is an (n_users, n_items) float32 CSR of cells above zero, none of them in `train`. It may
    have more columns than `train`: items nobody acted on in it, which no recommender can offer.
    `cut_s` is the UTC second the split was made at, for a global cut; `strategy` says how, in words.
    """

    train: Dataset
    test: csr_matrix
    strategy: str
    cut_s: float | None = None


def split_for_training(
    dataset: Dataset, test_fraction: float, seed: int, *, popularity_power: float = 0.0
) -> Split:
    """By time when the dataset tells one act's time from another's, else at random.

    With a `popularity_power` above 0 always at random, cells of popular items more often (`split_random`).
    """
    if popularity_power:
        return split_random(dataset, test_fraction, seed, popularity_power=popularity_power)
    times = dataset.last_event_at
    if times is not None and times.nnz and times.data.min() < times.data.max():
        return split_by_time(dataset, test_fraction)
    return split_random(dataset, test_fraction, seed)


def split_by_time(dataset: Dataset, test_fraction: float) -> Split:
    """One cut for everybody: learn from what was before it, guess the positive cells after it.

    At most `test_fraction` of the positive cells are later than the cut, more only when so many
    share the last second. Later dislikes are dropped.

    Raises:
        ConfigError: the fraction is not between 0 and 1.
        DataError: there are no times, no positive cell, or nothing would be left on one side of the cut.
    """
    _check_fraction(test_fraction)
    times = _times(dataset)
    positive = _positive(dataset)
    cut_s = _find_cut(times[positive], test_fraction)
    before = times <= cut_s
    when = datetime.fromtimestamp(cut_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    share = f"{np.mean(~before[positive]):.0%} of the positive cells later"
    return _split(dataset, before, positive & ~before, f"global time cut at {when} ({share})", cut_s)


def split_last(dataset: Dataset) -> Split:
    """Hold back each user's latest positive cell, and drop what they did after it.

    Users with a single positive cell keep it. Of cells at the same second the one of the highest
    item index is held back.

    Raises:
        DataError: there are no times, or no user has two positive cells.
    """
    times = _times(dataset)
    positive = np.flatnonzero(_positive(dataset))
    users = _users_of_cells(dataset.user_items)
    order = positive[np.lexsort((positive, times[positive], users[positive]))]
    held_back = _last_of_two_or_more(users, order)
    cut_of_user = np.full(dataset.n_users, np.inf)
    cut_of_user[users[held_back]] = times[held_back]
    is_test = _mask(held_back, len(users))
    return _split(
        dataset, (times <= cut_of_user[users]) & ~is_test, is_test, "each user's last positive cell"
    )


def split_leave_one_out(dataset: Dataset, seed: int) -> Split:
    """Hold back one positive cell, drawn at random, of each user who has two or more.

    Raises:
        DataError: no user has two positive cells.
    """
    positive = np.flatnonzero(_positive(dataset))
    users = _users_of_cells(dataset.user_items)
    shuffled = np.random.default_rng(seed).permutation(positive)
    order = shuffled[np.argsort(users[shuffled], kind="stable")]
    is_test = _mask(_last_of_two_or_more(users, order), len(users))
    return _split(dataset, ~is_test, is_test, f"one random positive cell a user (seed {seed})")


def split_random(
    dataset: Dataset, test_fraction: float, seed: int, *, popularity_power: float = 0.0
) -> Split:
    """Hold back this share of all positive cells, drawn at random.

    Args:
        popularity_power: a cell is drawn with a chance that grows with the number of users of its
            item to this power; 0: all alike. For choosing by what a test part is like whose items
            are known to be more popular than those of the train part.

    Raises:
        ConfigError: the fraction is not between 0 and 1, or the power is not between 0 and 1.
        DataError: nothing would be left on one side.
    """
    _check_fraction(test_fraction)
    positive = np.flatnonzero(_positive(dataset))
    drawn = _draw(dataset, positive, popularity_power, seed)[: round(test_fraction * len(positive))]
    is_test = _mask(drawn, dataset.user_items.nnz)
    chance = f", by popularity ^ {popularity_power:g}" if popularity_power else ""
    strategy = f"{test_fraction:.0%} of the positive cells at random{chance} (seed {seed})"
    return _split(dataset, ~is_test, is_test, strategy)


def _draw(dataset: Dataset, cells: Int64Array, popularity_power: float, seed: int) -> Int64Array:
    """The cells in the order they are drawn (without replacement: Gumbel keys, largest first)."""
    if not 0 <= popularity_power <= 1:
        raise ConfigError(f"The popularity power is {popularity_power}; it must be from 0 to 1.")
    rng = np.random.default_rng(seed)
    if popularity_power == 0:
        return rng.permutation(cells)
    items = dataset.user_items.indices[cells]
    log_users = np.log(np.bincount(items)[items])
    return cells[np.argsort(-(popularity_power * log_users + rng.gumbel(size=len(cells))), kind="stable")]


def _split(
    dataset: Dataset, is_train: BoolArray, is_test: BoolArray, strategy: str, cut_s: float | None = None
) -> Split:
    n_train, n_test = int((dataset.user_items.data[is_train] > 0).sum()), int(is_test.sum())
    if n_train == 0 or n_test == 0:
        raise DataError(
            f"A split by {strategy} leaves {n_train:,} positive cells to learn from, {n_test:,} to test on, "
            f"of {dataset.user_items.nnz:,}; collect more interactions, or measure nothing (--test-split 0)."
        )
    train = replace(
        dataset,
        user_items=cells_where(dataset.user_items, is_train),
        last_event_at=_cells_where_known(dataset.last_event_at, is_train),
        event_types=_cells_where_known(dataset.event_types, is_train),
    )
    return Split(train, cells_where(dataset.user_items, is_test), strategy, cut_s)


def _cells_where_known(matrix: csr_matrix | None, keep: BoolArray) -> csr_matrix | None:
    return None if matrix is None else cells_where(matrix, keep)


def _find_cut(times: Float64Array, test_fraction: float) -> float:
    """The time of the last positive cell to learn from; cells of one second stay together."""
    ordered = np.sort(times)
    n_test = max(round(test_fraction * len(ordered)), 1)
    cut_s = ordered[max(len(ordered) - n_test - 1, 0)]
    earlier = ordered[ordered < ordered[-1]]
    return float(min(cut_s, earlier[-1]) if len(earlier) else cut_s)


def _last_of_two_or_more(users: Int64Array, order: Int64Array) -> Int64Array:
    """Of cells ordered by user, the last one of each user who has at least two."""
    user_of = users[order]
    is_last = np.append(user_of[1:] != user_of[:-1], True)
    has_another = np.bincount(user_of)[user_of] > 1
    return order[is_last & has_another]


def _positive(dataset: Dataset) -> BoolArray:
    check_user_items(dataset.user_items)
    positive: BoolArray = dataset.user_items.data > 0
    return positive


def _times(dataset: Dataset) -> Float64Array:
    if dataset.last_event_at is None:
        raise DataError(
            "The dataset has no times (als_last_event.npz), so it cannot be split by time; "
            "export it again, or split at random."
        )
    times: Float64Array = dataset.last_event_at.data
    return times


def _users_of_cells(user_items: csr_matrix) -> Int64Array:
    return np.repeat(np.arange(user_items.shape[0]), np.diff(user_items.indptr))


def _mask(positions: Int64Array, size: int) -> BoolArray:
    mask = np.zeros(size, dtype=np.bool_)
    mask[positions] = True
    return mask


def _check_fraction(test_fraction: float) -> None:
    if not 0 < test_fraction < 1:
        raise ConfigError(f"The test fraction is {test_fraction}; it must be between 0 and 1, such as 0.2.")
