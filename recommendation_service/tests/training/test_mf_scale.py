"""The generated set of ratings is what it says, and exact ALS is exact."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.datasets.ratings import Ratings
from recsys.errors import DataError
from recsys.recommenders.mf import MFFactors, Pairs
from recsys.training import mf_scale
from recsys.training.mf_scale import EpochClock, fit_exact_als, generate_world
from recsys.types import ProgressReport

SHAPE = (900, 700)


def pairs(ratings: Ratings) -> Pairs:
    return Pairs(ratings.user_index, ratings.item_index, ratings.points)


def world(n_ratings: int = 40_000, seed: int = 0) -> mf_scale.World:
    return generate_world(n_users=SHAPE[0], n_items=SHAPE[1], n_ratings=n_ratings, rank=4, seed=seed)


def test_pairs_come_once_in_order_in_half_stars_and_exactly_as_many() -> None:
    ratings = world().ratings
    assert len(ratings) == 40_000
    assert (ratings.user_index.dtype, ratings.points.dtype) == (np.int32, np.float32)
    assert (np.diff(ratings.user_index.astype(np.int64) * SHAPE[1] + ratings.item_index) > 0).all()
    assert set(np.unique(ratings.points)) == set(np.arange(1, 11) / 2)
    assert ratings.user_index.max() < SHAPE[0]
    assert ratings.item_index.max() < SHAPE[1]


def test_few_users_have_many_ratings_and_few_items_too() -> None:
    ratings = world().ratings
    for index, n in ((ratings.user_index, SHAPE[0]), (ratings.item_index, SHAPE[1])):
        counts = np.bincount(index, minlength=n)
        assert np.median(counts) < 0.8 * counts.mean()
        assert counts.max() > 2.5 * counts.mean()


def test_blocks_of_users_give_the_same_shape_as_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mf_scale, "USERS_AT_ONCE", 100)
    ratings = world().ratings
    assert len(ratings) == 40_000
    assert (np.diff(ratings.user_index.astype(np.int64) * SHAPE[1] + ratings.item_index) > 0).all()
    blocks = np.bincount(ratings.user_index // 100, minlength=9)
    assert blocks.min() > 1_000


def test_the_truth_errs_by_the_noise_and_the_rounding_alone() -> None:
    generated = world()
    error = generated.truth.mean_squared_error(pairs(generated.ratings))
    expected = mf_scale.NOISE**2 + mf_scale.POINT_STEP**2 / 12
    assert 0.85 * expected < error < expected  # points cut at the ends of the range err less
    assert error < 0.6 * np.var(generated.ratings.points)


def test_one_seed_gives_one_set() -> None:
    np.testing.assert_array_equal(world(seed=3).ratings.points, world(seed=3).ratings.points)
    assert not np.array_equal(world(seed=3).ratings.points, world(seed=4).ratings.points)


def test_a_set_that_would_be_too_full_is_refused() -> None:
    with pytest.raises(DataError, match=r"fill more than 25% of 900 x 700 cells"):
        world(n_ratings=200_000)


@pytest.mark.parametrize("power", [0.0, 0.5])
def test_each_half_step_of_exact_als_zeroes_its_gradient(power: float) -> None:
    ratings = generate_world(n_users=60, n_items=50, n_ratings=700, rank=2, seed=0).ratings
    penalty, bias_penalty = 3.0, 2.0
    told: list[MFFactors] = []
    fit_exact_als(
        ratings, (60, 50), factors=3, regularization=penalty, bias_regularization=bias_penalty,
        power=power, iterations=3, seed=0, told=lambda _, fitted: told.append(fitted),
    )  # fmt: skip
    last = told[-1]
    users, items = (part.astype(np.float64) for part in (last.user_factors, last.item_factors))
    errors = np.zeros((60, 50))
    u, i = ratings.user_index, ratings.item_index
    fitted = last.offset + last.user_biases[u] + last.item_biases[i] + (users @ items.T)[u, i]
    errors[u, i] = fitted - ratings.points
    # Items were solved last.
    counts = np.bincount(i, minlength=50)
    held = (counts / counts[counts > 0].mean()) ** power
    np.testing.assert_allclose(errors.T @ users + penalty * held[:, None] * items, 0, atol=2e-3)
    np.testing.assert_allclose(errors.sum(axis=0) + bias_penalty * held * last.item_biases, 0, atol=2e-3)
    if power == 0:
        objectives = [_objective(ratings, one, penalty, bias_penalty) for one in told]
        assert objectives[0] > objectives[1] > objectives[2]


def test_exact_als_comes_near_the_truth_and_leaves_who_has_no_rating_alone() -> None:
    generated = world(n_ratings=100_000)
    fitted = fit_exact_als(
        generated.ratings, (SHAPE[0] + 1, SHAPE[1]), factors=4, regularization=3.0,
        bias_regularization=2.5, power=0.0, iterations=6, seed=0,
    )  # fmt: skip
    users, items = (np.random.default_rng(1).integers(0, n, 5_000, np.int32) for n in SHAPE)
    true, predicted = generated.truth.predict(users, items), fitted.predict(users, items)
    assert np.square(predicted - true).mean() < 0.15 * np.var(true)
    assert not fitted.user_factors[-1].any()
    assert fitted.user_biases[-1] == 0


def _objective(ratings: Ratings, fitted: MFFactors, penalty: float, bias_penalty: float) -> float:
    u, i = ratings.user_index, ratings.item_index
    raw = fitted.score_users(np.arange(60, dtype=np.int32))[u, i].astype(np.float64)
    lengths = sum(float(np.square(part).sum()) for part in (fitted.user_factors, fitted.item_factors))
    biases = sum(float(np.square(part).sum()) for part in (fitted.user_biases, fitted.item_biases))
    return float(np.square(raw - ratings.points).sum()) + penalty * lengths + bias_penalty * biases


def test_the_clock_of_epochs_counts_those_that_were_run_and_passes_reports_on() -> None:
    told: list[ProgressReport] = []
    clock = EpochClock(10, told.append)
    reports = [ProgressReport("fitting", (epoch + done) / 10) for epoch in range(3) for done in (0.5, 1.0)]
    for report in reports:
        clock(report)
    seconds = clock.epochs()
    assert told == reports
    assert len(seconds) == 3
    assert all(wall >= 0 and cpu >= 0 for wall, cpu in seconds)
