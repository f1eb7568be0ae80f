"""How sure a mean over users is: percentile bootstrap intervals (Efron, 1979), 95 %.

Users are drawn again with replacement, all of one user's values together, so that two
recommenders measured on the same users are compared user by user.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from recsys.errors import DataError
from recsys.types import Float64Array

RESAMPLES = 1_000
LOW, HIGH = 0.025, 0.975
DRAWS_AT_ONCE = 4_000_000  # about 64 MB of drawn users and their counts


class Interval(TypedDict):
    """A mean and the 95 % interval around it."""

    mean: float
    low: float
    high: float


def in_per_cent(interval: Interval) -> Interval:
    """A relative difference, in per cent.

    Example:
        >>> in_per_cent(Interval(mean=0.5, low=0.25, high=0.75))["low"]
        25.0
    """
    return Interval(mean=100 * interval["mean"], low=100 * interval["low"], high=100 * interval["high"])


def mean_interval(values: Float64Array, seed: int) -> Interval:
    """The mean of (n_users,) finite values with its interval.

    Raises:
        DataError: there are no values, or one is not finite.

    Example:
        >>> interval = mean_interval(np.array([0.0, 1.0] * 50), seed=0)
        >>> interval["mean"], round(interval["low"], 1), round(interval["high"], 1)
        (0.5, 0.4, 0.6)
    """
    return mean_intervals({"": values}, seed)[""]


def mean_intervals(columns: dict[str, Float64Array], seed: int) -> dict[str, Interval]:
    """`mean_interval` of several values a user, all over the same draws of users."""
    values = _as_table(columns)
    means = resampled_means(values, seed)
    lows, highs = np.quantile(means, [LOW, HIGH], axis=0, method="inverted_cdf")
    return {
        name: Interval(mean=float(mean), low=float(low), high=float(high))
        for name, mean, low, high in zip(columns, values.mean(axis=0), lows, highs, strict=True)
    }


def paired_difference_interval(
    a: Float64Array, b: Float64Array, seed: int, *, relative: bool = False
) -> Interval:
    """mean(a) - mean(b) over the same users, or (mean(a) - mean(b)) / mean(b), with its interval.

    Args:
        a, b: (n_users,) finite values of the same user at the same place.
        relative: divide by the mean of b, which must not be zero.

    Raises:
        DataError: the two have different lengths or are empty, a value is not finite, or b's mean
            is zero where the difference shall be relative.

    Example:
        >>> paired_difference_interval(np.array([2.0, 4.0]), np.array([1.0, 3.0]), seed=0)["low"]
        1.0
    """
    values = _as_table({"a": a, "b": b})
    if relative and values[:, 1].mean() == 0:
        raise DataError("A difference cannot be relative to a mean of zero; compare the plain difference.")
    means = resampled_means(values, seed)
    differences = _differences(means, relative=relative)
    low, high = np.quantile(differences, [LOW, HIGH], method="inverted_cdf")
    mean = _differences(values.mean(axis=0, keepdims=True), relative=relative)[0]
    return Interval(mean=float(mean), low=float(low), high=float(high))


def resampled_means(values: Float64Array, seed: int, resamples: int = RESAMPLES) -> Float64Array:
    """(resamples, n_columns) column means of (n_users, n_columns), users drawn with replacement."""
    rng = np.random.default_rng(seed)
    n_users = len(values)
    means = np.empty((resamples, values.shape[1]))
    step = max(DRAWS_AT_ONCE // n_users, 1)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, n_users, (rows, n_users)) + np.arange(rows)[:, np.newaxis] * n_users
        times_drawn = np.bincount(drawn.ravel(), minlength=rows * n_users).reshape(rows, n_users)
        means[start : start + rows] = times_drawn @ values / n_users
    return means


def _as_table(columns: dict[str, Float64Array]) -> Float64Array:
    lengths = {len(values) for values in columns.values()}
    if lengths == {0} or len(lengths) != 1:
        raise DataError(f"A bootstrap needs values of the same users, at least one; found {sorted(lengths)}.")
    values: Float64Array = np.column_stack(list(columns.values())).astype(np.float64, copy=False)
    if not np.isfinite(values).all():
        raise DataError("A bootstrap needs finite values; leave out users without a relevant item.")
    return values


def _differences(means: Float64Array, *, relative: bool) -> Float64Array:
    """Of an (n, 2) table; a draw whose base is zero counts as infinitely better, or as equal."""
    difference: Float64Array = means[:, 0] - means[:, 1]
    if not relative:
        return difference
    base = means[:, 1]
    of_zero = np.where(difference == 0, 0.0, np.inf)
    return np.divide(difference, base, out=of_zero, where=base != 0)
