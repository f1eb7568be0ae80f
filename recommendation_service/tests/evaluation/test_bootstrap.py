"""Bootstrap intervals: known coverage, seeds, pairing, and the table of draws against a loop."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from recsys.errors import DataError
from recsys.evaluation import bootstrap
from recsys.evaluation.bootstrap import (
    mean_interval,
    mean_intervals,
    paired_difference_interval,
    resampled_means,
)


def test_the_examples_in_the_docstrings_are_true() -> None:
    results = doctest.testmod(bootstrap)
    assert results.attempted >= 3
    assert results.failed == 0


def test_an_interval_is_as_wide_as_the_normal_approximation_of_many_users() -> None:
    values = np.random.default_rng(1).random(2_000)
    standard_error = values.std(ddof=1) / np.sqrt(len(values))

    interval = mean_interval(values, seed=7)
    assert interval["mean"] == pytest.approx(values.mean())
    assert interval["low"] == pytest.approx(values.mean() - 1.96 * standard_error, abs=0.2 * standard_error)
    assert interval["high"] == pytest.approx(values.mean() + 1.96 * standard_error, abs=0.2 * standard_error)


def test_95_of_100_intervals_hold_the_true_mean() -> None:
    rng = np.random.default_rng(3)
    intervals = [mean_interval((rng.random(150) < 0.3).astype(float), seed=0) for _ in range(300)]

    held = np.mean([interval["low"] <= 0.3 <= interval["high"] for interval in intervals])
    assert 0.90 <= held <= 0.99


def test_one_seed_gives_one_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(1).random(50)

    assert mean_interval(values, seed=4) == mean_interval(values, seed=4)
    assert mean_interval(values, seed=4) != mean_interval(values, seed=5)


def test_memory_is_bounded_without_changing_the_means(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random((40, 3))
    at_once = resampled_means(values, seed=9, resamples=25)

    monkeypatch.setattr(bootstrap, "DRAWS_AT_ONCE", 100)  # 2 resamples at a time
    np.testing.assert_allclose(resampled_means(values, seed=9, resamples=25), at_once, rtol=1e-12)


def test_a_resample_is_the_mean_of_the_users_drawn() -> None:
    values = np.random.default_rng(1).random((7, 2))
    rng = np.random.default_rng(11)

    expected = [values[rng.integers(0, 7, 7)].mean(axis=0) for _ in range(12)]
    np.testing.assert_allclose(resampled_means(values, seed=11, resamples=12), expected)


def test_columns_share_their_draws() -> None:
    values = np.random.default_rng(1).random(60)
    intervals = mean_intervals({"a": values, "b": 2 * values}, seed=0)

    assert intervals["b"]["low"] == pytest.approx(2 * intervals["a"]["low"])
    assert intervals["a"] == pytest.approx(mean_interval(values, seed=0))


def test_pairing_sees_a_small_steady_gain_under_large_differences_between_users() -> None:
    base = np.random.default_rng(2).random(100)
    better = base + 0.01

    paired = paired_difference_interval(better, base, seed=0)
    assert paired["low"] == pytest.approx(0.01)
    assert paired["high"] == pytest.approx(0.01)
    assert mean_interval(better, seed=0)["low"] < base.mean()


def test_a_relative_difference_is_in_shares_of_the_base() -> None:
    base = np.random.default_rng(2).random(100)

    interval = paired_difference_interval(1.1 * base, base, seed=0, relative=True)
    assert [interval["mean"], interval["low"], interval["high"]] == pytest.approx([0.1, 0.1, 0.1])


def test_a_draw_whose_base_is_zero_counts_as_infinitely_better() -> None:
    interval = paired_difference_interval(
        np.array([1.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0]), seed=0, relative=True
    )
    assert interval["mean"] == pytest.approx(2.0)
    assert interval["low"] == 0.0
    assert interval["high"] == np.inf


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [], "at least one"),
        ([1.0], [1.0, 2.0], "same users"),
        ([np.nan], [1.0], "finite"),
        ([1.0], [0.0], "mean of zero"),
    ],
)
def test_values_that_cannot_be_compared_are_refused(a: list[float], b: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        paired_difference_interval(np.array(a), np.array(b), seed=0, relative=True)
