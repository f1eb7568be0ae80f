"""Parts of ratings: every rating in one of them, no pair in two, the same ones for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.rating_splits import (
    check_no_pair_shared,
    join_ratings,
    k_folds,
    split_ratings,
    take_ratings,
)
from recsys.datasets.ratings import Ratings
from recsys.errors import ConfigError, DataError


def make_ratings(n_users: int = 40, n_items: int = 30, density: float = 0.4, seed: int = 0) -> Ratings:
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < density)
    points = rng.integers(1, 6, len(users)).astype(np.float32)
    return Ratings(users.astype(np.int32), items.astype(np.int32), points, np.arange(len(users), dtype=float))


def pairs_of(ratings: Ratings) -> set[tuple[int, int]]:
    return set(zip(ratings.user_index.tolist(), ratings.item_index.tolist(), strict=True))


@given(st.integers(0, 5), st.sampled_from(["user", "global"]))
def test_every_rating_is_in_one_part_with_its_points_and_time(seed: int, by: str) -> None:
    ratings = make_ratings()
    split = split_ratings(ratings, (0.6, 0.2, 0.2), seed, by=by)

    parts = (split.train, split.validation, split.test)
    check_no_pair_shared(*parts)
    assert set().union(*map(pairs_of, parts)) == pairs_of(ratings)
    joined = join_ratings(join_ratings(split.train, split.test), split.validation)
    for mine, whole in zip(
        (joined.user_index, joined.item_index, joined.points, joined.rated_at),
        (ratings.user_index, ratings.item_index, ratings.points, ratings.rated_at),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, whole)


@pytest.mark.parametrize("by", ["user", "global"])
def test_the_shares_are_met_and_the_seed_decides(by: str) -> None:
    ratings = make_ratings(200, 60)
    split = split_ratings(ratings, seed=3, by=by)

    assert len(split.validation) / len(ratings) == pytest.approx(0.1, abs=0.01)
    assert len(split.test) / len(ratings) == pytest.approx(0.1, abs=0.01)
    again, other = split_ratings(ratings, seed=3, by=by), split_ratings(ratings, seed=4, by=by)
    assert pairs_of(again.test) == pairs_of(split.test) != pairs_of(other.test)
    assert "(seed 3)" in split.strategy


def test_by_user_everybody_keeps_a_rating_to_learn_from_and_few_ratings_are_divided_too() -> None:
    few = make_ratings(3_000, 3, density=0.7)
    split = split_ratings(few, (0.5, 0.25, 0.25), seed=1)

    assert set(split.train.user_index.tolist()) == set(few.user_index.tolist())
    assert min(len(split.validation), len(split.test)) > 0.1 * len(few)


def test_no_validation_part_is_made_when_its_share_is_zero() -> None:
    split = split_ratings(make_ratings(), (0.9, 0.0, 0.1), by="global")
    assert len(split.validation) == 0
    assert len(split.test) > 0


@given(st.integers(2, 6), st.integers(0, 3))
def test_each_rating_is_in_one_fold_and_never_on_both_sides(n: int, seed: int) -> None:
    ratings = make_ratings()
    tests: list[tuple[int, int]] = []
    for train, test in k_folds(ratings, n, seed):
        check_no_pair_shared(train, test)
        assert len(train) + len(test) == len(ratings)
        assert abs(len(test) - len(ratings) / n) <= 1
        tests += pairs_of(test)
    assert sorted(tests) == sorted(pairs_of(ratings))


def test_a_pair_on_two_sides_is_found() -> None:
    ratings = make_ratings()
    first = take_ratings(ratings, np.arange(5))
    with pytest.raises(DataError, match="1 pairs are on two sides of a split, the first user"):
        check_no_pair_shared(first, take_ratings(ratings, np.arange(4, 9)))
    with pytest.raises(DataError, match="5 pairs are on two sides"):
        join_ratings(first, first)


@pytest.mark.parametrize("shares", [(0.8, 0.3, 0.1), (0.0, 0.5, 0.5), (1.1, -0.2, 0.1)])
def test_shares_that_cannot_be_used_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="three that add up to 1"):
        split_ratings(make_ratings(), shares)


def test_what_cannot_be_divided_is_refused() -> None:
    tiny = take_ratings(make_ratings(), np.arange(2))
    with pytest.raises(DataError, match="collect more ratings"):
        split_ratings(tiny, by="global")
    with pytest.raises(DataError, match="cannot be divided into 3 folds"):
        next(k_folds(tiny, 3, seed=0))
    with pytest.raises(ConfigError, match="2 or more"):
        next(k_folds(tiny, 1, seed=0))
    with pytest.raises(ConfigError, match="by 'time' is unknown"):
        split_ratings(tiny, by="time")
