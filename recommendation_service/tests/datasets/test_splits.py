"""Splits: what is held back, what stays, and that nothing leaks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.splits import (
    Split,
    split_by_time,
    split_for_training,
    split_last,
    split_leave_one_out,
    split_random,
)
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError, DataError

N_ITEMS = 12


def dataset_of(cells: dict[tuple[int, int], tuple[float, float]], n_users: int = 4) -> Dataset:
    """A dataset from {(user, item): (weight, last event at)}; the type mask is the item's number."""
    keys = sorted(cells)
    rows, columns = [user for user, _ in keys], [item for _, item in keys]
    shape = (n_users, N_ITEMS)

    def matrix(values: list[float], dtype: type) -> csr_matrix:
        built = csr_matrix((np.ones(len(keys), dtype), (rows, columns)), shape)
        built.data = np.array(values, dtype)  # keys are sorted: a time of 0 stays a stored cell
        return built

    return Dataset(
        matrix([cells[key][0] for key in keys], np.float32),
        IdMap(f"u{user}" for user in range(n_users)),
        IdMap(f"i{item}" for item in range(N_ITEMS)),
        last_event_at=matrix([cells[key][1] for key in keys], np.float64),
        event_types=matrix([float(item) for item in columns], np.uint8),
    )


def as_dataset(likes: np.ndarray) -> Dataset:
    """A dataset without times from (n_users, n_items) weights."""
    n_users, n_items = likes.shape
    return Dataset(csr_matrix(likes), IdMap(map(str, range(n_users))), IdMap(map(str, range(n_items))))


def without_times(dataset: Dataset) -> Dataset:
    return Dataset(dataset.user_items, dataset.user_mapping, dataset.item_mapping)


def cells_of(matrix: csr_matrix) -> set[tuple[int, int]]:
    """Stored cells; zeros count, since a time may be 0."""
    users = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return set(zip(users.tolist(), matrix.indices.tolist(), strict=True))


# Two likes and a dislike each before and after second 100; u3 only came later.
TIMED = dataset_of(
    {
        (0, 0): (2.0, 10.0),
        (0, 1): (-1.0, 50.0),
        (0, 2): (1.0, 120.0),
        (0, 3): (-1.0, 130.0),
        (1, 0): (3.0, 100.0),
        (1, 4): (0.5, 90.0),
        (2, 1): (2.5, 0.0),
        (3, 5): (3.5, 140.0),
    }
)


def test_a_time_cut_holds_back_later_positives_and_drops_later_dislikes() -> None:
    split = split_by_time(TIMED, test_fraction=1 / 3)

    assert split.cut_s == 100.0
    assert cells_of(split.test) == {(0, 2), (3, 5)}
    assert split.test[3, 5] == 3.5
    assert cells_of(split.train.user_items) == {(0, 0), (0, 1), (1, 0), (1, 4), (2, 1)}
    assert split.strategy == "global time cut at 1970-01-01T00:01:40Z (33% of the positive cells later)"


def test_cells_of_the_same_second_stay_on_one_side_of_a_cut() -> None:
    dataset = dataset_of({(user, 0): (1.0, 5.0) for user in range(3)} | {(3, 0): (1.0, 1.0)})

    assert split_by_time(dataset, test_fraction=0.25).test.nnz == 3
    assert split_by_time(dataset, test_fraction=0.9).test.nnz == 3


def test_each_users_last_positive_is_held_back_with_what_they_did_after_it_dropped() -> None:
    split = split_last(TIMED)

    assert cells_of(split.test) == {(0, 2), (1, 0)}
    assert cells_of(split.train.user_items) == {(0, 0), (0, 1), (1, 4), (2, 1), (3, 5)}
    assert split.cut_s is None


def test_leaving_one_out_draws_one_positive_of_every_user_with_two() -> None:
    dataset = dataset_of(
        {(0, item): (1.0, 0.0) for item in range(10)} | {(1, 0): (1.0, 0.0), (1, 1): (-1.0, 0.0)}
    )

    drawn = [cells_of(split_leave_one_out(dataset, seed).test) for seed in range(30)]
    assert all(len(cells) == 1 for cells in drawn)
    assert {user for cells in drawn for user, _ in cells} == {0}
    assert len({item for cells in drawn for _, item in cells}) > 5
    assert cells_of(split_leave_one_out(dataset, seed=3).test) == drawn[3]


def test_a_random_split_holds_back_the_share_asked_for() -> None:
    dataset = dataset_of({(user, item): (1.0, 0.0) for user in range(4) for item in range(10)})

    split = split_random(dataset, 0.25, seed=1)
    assert split.test.nnz == 10
    assert cells_of(split.test) == cells_of(split_random(dataset, 0.25, seed=1).test)
    assert cells_of(split.test) != cells_of(split_random(dataset, 0.25, seed=2).test)


def test_training_splits_by_time_only_when_times_tell_acts_apart() -> None:
    same_second = dataset_of({(user, item): (1.0, 7.0) for user in range(4) for item in range(5)})

    assert split_for_training(TIMED, 0.2, seed=0).cut_s is not None
    assert "at random" in split_for_training(same_second, 0.2, seed=0).strategy
    assert "at random" in split_for_training(without_times(TIMED), 0.2, seed=0).strategy


STRATEGIES: dict[str, Callable[[Dataset, float], Split]] = {
    "time": split_by_time,
    "last": lambda dataset, _: split_last(dataset),
    "random": lambda dataset, fraction: split_random(dataset, fraction, seed=5),
    "leave one out": lambda dataset, _: split_leave_one_out(dataset, seed=5),
}
some_cells = st.dictionaries(
    st.tuples(st.integers(0, 3), st.integers(0, N_ITEMS - 1)),
    st.tuples(st.sampled_from([-1.0, 0.5, 3.0]), st.integers(0, 6).map(float)),
    min_size=1,
)


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(cells=some_cells, fraction=st.sampled_from([0.1, 0.2, 0.5, 0.9]))
def test_a_split_never_leaks(
    strategy: str, cells: dict[tuple[int, int], tuple[float, float]], fraction: float
) -> None:
    dataset = dataset_of(cells)
    try:
        split = STRATEGIES[strategy](dataset, fraction)
    except DataError:
        return
    train, test = cells_of(split.train.user_items), cells_of(split.test)

    assert test
    assert train.isdisjoint(test)
    assert train | test <= set(cells)
    assert all(cells[cell][0] > 0 for cell in test)
    assert any(cells[cell][0] > 0 for cell in train)
    assert split.test.shape == split.train.user_items.shape == dataset.user_items.shape
    assert split.train.user_mapping is dataset.user_mapping
    assert split.train.item_mapping is dataset.item_mapping
    if strategy == "time":
        assert max(cells[cell][1] for cell in train) <= split.cut_s < min(cells[cell][1] for cell in test)
        assert train | test == {c for c in cells if cells[c][0] > 0 or cells[c][1] <= split.cut_s}
    if strategy == "last":
        for user, item in test:
            of_user = [cells[cell][1] for cell in train if cell[0] == user]
            assert of_user
            assert max(of_user) <= cells[user, item][1]
    if strategy in ("random", "leave one out"):
        assert train | test == set(cells)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_times_and_types_stay_aligned_with_the_cells_of_the_train_part(strategy: str) -> None:
    train = STRATEGIES[strategy](TIMED, 0.4).train

    assert train.last_event_at is not None
    assert train.event_types is not None
    for matrix in (train.last_event_at, train.event_types):
        np.testing.assert_array_equal(matrix.indptr, train.user_items.indptr)
        np.testing.assert_array_equal(matrix.indices, train.user_items.indices)
    assert train.event_types.data.tolist() == train.user_items.indices.tolist()
    for user in range(train.n_users):
        history = train.history(user)
        assert history.last_event_at is not None
        for item, time in zip(history.item_indices, history.last_event_at, strict=True):
            assert TIMED.last_event_at is not None
            assert time == TIMED.last_event_at[user, item]


def test_a_dataset_without_times_says_what_is_missing() -> None:
    for split in (lambda: split_by_time(without_times(TIMED), 0.2), lambda: split_last(without_times(TIMED))):
        with pytest.raises(DataError, match="no times"):
            split()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "cells",
    [{(0, 0): (1.0, 1.0)}, {(0, 0): (-1.0, 1.0), (0, 1): (-1.0, 2.0)}],
    ids=["one positive cell", "only dislikes"],
)
def test_a_split_that_leaves_nothing_is_refused(
    strategy: str, cells: dict[tuple[int, int], tuple[float, float]]
) -> None:
    with pytest.raises(DataError, match=r"0 to test on|are dislikes"):
        STRATEGIES[strategy](dataset_of(cells), 0.5)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, 20.0, float("nan")])
def test_a_fraction_outside_0_and_1_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        split_by_time(TIMED, fraction)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        split_random(TIMED, fraction, seed=0)


def test_popular_items_are_held_back_more_often_when_asked() -> None:
    rng = np.random.default_rng(1)
    chance = np.linspace(0.05, 0.9, 50)
    dataset = as_dataset((rng.random((400, 50)) < chance).astype(np.float32))
    users_of_item = np.bincount(dataset.user_items.indices, minlength=50)

    def mean_popularity(power: float) -> float:
        split = split_random(dataset, 0.1, seed=3, popularity_power=power)
        assert split.test.nnz == round(0.1 * dataset.user_items.nnz)
        return float(users_of_item[split.test.indices].mean())

    plain, biased = mean_popularity(0.0), mean_popularity(1.0)
    expected = np.average(users_of_item, weights=users_of_item.astype(float) ** 2)
    assert biased > plain
    assert biased == pytest.approx(expected, rel=0.03)


def test_a_popularity_power_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="popularity power is 2"):
        split_random(as_dataset(np.ones((3, 3), np.float32)), 0.5, seed=0, popularity_power=2)
