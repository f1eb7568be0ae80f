"""A generated set of ratings as large as one likes whose truth is known, and exact ALS to set beside mf.

The set has the shape of the largest public ones: many ratings of few items, a median user with half of
the mean user's, points in half stars. It is drawn a block of users at a time, so that what is held is
the ratings and the truth. `fit_exact_als` is the peer: plain NumPy, each row's system built and solved as
it stands, at the rank of the truth. It is too slow to train by and simple enough to trust. `EpochClock`
times the epochs of mf.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from recsys.datasets.ratings import Ratings
from recsys.errors import DataError
from recsys.progress import ignore_progress
from recsys.recommenders.mf import MFFactors
from recsys.types import Float32Array, Float64Array, Int32Array, Int64Array, ProgressCallback, ProgressReport

LOW, HIGH, POINT_STEP = 0.5, 5.0, 0.5
MEAN, USER_SPREAD, ITEM_SPREAD, TASTE_SPREAD, NOISE = 3.5, 0.43, 0.45, 0.6, 0.7  # standard deviations
USER_TAIL = 1.2  # deviation of the logarithm of a user's ratings
ITEM_HEAD, ITEM_TAIL = 150.0, 1.6  # an item's share is (its rank + head) ** -tail
USERS_AT_ONCE = 4_000
OVERDRAWN = 1.3  # drawn for every rating wanted: some pairs are drawn twice
FULLEST = 0.25  # no user, and not all of them together, has more than this share of the cells


@dataclass(frozen=True)
class World:
    """Ratings, each pair once, sorted by user, then item; `truth` predicts them as well as can be."""

    ratings: Ratings
    truth: MFFactors


def generate_world(*, n_users: int, n_items: int, n_ratings: int, rank: int, seed: int) -> World:
    """Exactly `n_ratings` points from 0.5 to 5: biases, `rank` factors, normal noise, rounded to halves.

    The product of the factors has a deviation of TASTE_SPREAD; the variance of the j-th is in proportion
    to 1 / j. Who rates what depends on how active and how popular they are, not on taste.

    Raises:
        DataError: so many ratings fill more than a quarter of the cells.
    """
    if n_ratings > FULLEST * n_users * n_items:
        raise DataError(
            f"{n_ratings:,} ratings fill more than {FULLEST:.0%} of {n_users:,} x {n_items:,} cells; "
            "ask for fewer, or for more users and items."
        )
    rng = np.random.default_rng(seed)
    truth = _draw_truth(rng, n_users, n_items, rank)
    wanted = rng.lognormal(0.0, USER_TAIL, n_users)
    wanted = np.minimum(wanted * (n_ratings / wanted.sum()), FULLEST * n_items)
    shares = (np.arange(n_items) + ITEM_HEAD) ** -ITEM_TAIL
    line = np.cumsum(shares / shares.sum())
    item_of_rank = rng.permutation(n_items).astype(np.int32)
    starts = np.arange(0, n_users, USERS_AT_ONCE)
    reached = np.append(np.cumsum(wanted)[starts - 1][1:], wanted.sum())
    targets = np.diff(np.round(reached / wanted.sum() * n_ratings).astype(np.int64), prepend=0)
    users, items = np.empty(n_ratings, np.int32), np.empty(n_ratings, np.int32)
    points = np.empty(n_ratings, np.float32)
    done = 0
    for start, target in zip(starts.tolist(), targets.tolist(), strict=True):
        part = slice(done, done + target)
        mine = wanted[start : start + USERS_AT_ONCE]
        users[part], items[part] = _draw_pairs(rng, mine, line, item_of_rank, target)
        users[part] += start
        points[part] = _draw_points(rng, truth, users[part], items[part])
        done += target
    return World(Ratings(users, items, points, None), truth)


def fit_exact_als(
    ratings: Ratings,
    shape: tuple[int, int],
    *,
    factors: int,
    regularization: float,
    bias_regularization: float,
    power: float,
    iterations: int,
    seed: int,
    told: Callable[[int, MFFactors], None] = lambda *_: None,
) -> MFFactors:
    """Alternate exact solves of all users and of all items, a vector and its bias in one system.

    Minimises the sum of squared errors plus `regularization` times the squared vectors and
    `bias_regularization` times the squared biases, each row weighed by (its ratings / the mean number of
    ratings) ** `power`.

    Args:
        ratings: sorted by user.
        shape: (n_users, n_items).
        factors: length of a vector.
        regularization, bias_regularization: above 0.
        power: 0 holds every row alike; 1 is ALS-WR (Zhou et al., AAIM 2008).
        iterations: one solves all users, then all items.
        seed: of the items' start.
        told: called with each iteration's number and factors.
    """
    by_user, by_item = (_group(ratings, side, n) for side, n in zip((0, 1), shape, strict=True))
    mean = float(ratings.points.mean(dtype=np.float64))
    penalties = np.full(factors + 1, regularization)
    penalties[-1] = bias_regularization
    # The last column is the bias.
    items = np.random.default_rng(seed).normal(0.0, 0.1, (shape[1], factors + 1)).astype(np.float32)
    items[:, -1] = 0
    for iteration in range(1, iterations + 1):
        users = _solve_rows(by_user, items, penalties, power, mean)
        items = _solve_rows(by_item, users, penalties, power, mean)
        fitted = MFFactors(
            *(users[:, :-1], users[:, -1], items[:, :-1], items[:, -1]), mean, LOW, HIGH, "linear"
        )
        told(iteration, fitted)
    return fitted


def _draw_truth(rng: np.random.Generator, n_users: int, n_items: int, rank: int) -> MFFactors:
    variances = np.arange(1, rank + 1) ** -1.0
    scale = (variances * (TASTE_SPREAD**2 / variances.sum())) ** 0.25  # of both sides' vectors
    users, items = ((rng.standard_normal((n, rank)) * scale).astype(np.float32) for n in (n_users, n_items))
    biases = (
        rng.normal(0, spread, n).astype(np.float32)
        for spread, n in ((USER_SPREAD, n_users), (ITEM_SPREAD, n_items))
    )
    user_biases, item_biases = biases
    return MFFactors(users, user_biases, items, item_biases, MEAN, LOW, HIGH, "linear")


def _draw_pairs(
    rng: np.random.Generator, wanted: Float64Array, line: Float64Array, item_of_rank: Int32Array, n: int
) -> tuple[Int32Array, Int32Array]:
    """(n,) users, counted from the first of these, and items: distinct pairs, about `wanted` a user."""
    rows = np.repeat(np.arange(len(wanted)), np.ceil(OVERDRAWN * wanted).astype(np.int64))
    keys = np.empty(0, np.int64)
    while len(keys) < n:
        ranks = np.minimum(np.searchsorted(line, rng.random(len(rows))), len(line) - 1)
        keys = np.unique(np.append(keys, rows * len(line) + item_of_rank[ranks]))
    kept = np.sort(rng.choice(len(keys), n, replace=False))
    users, items = np.divmod(keys[kept], len(line))
    return users.astype(np.int32), items.astype(np.int32)


def _draw_points(
    rng: np.random.Generator, truth: MFFactors, users: Int32Array, items: Int32Array
) -> Float32Array:
    noisy = truth.predict(users, items) + rng.normal(0, NOISE, len(users))
    points: Float32Array = np.clip(np.round(noisy / POINT_STEP) * POINT_STEP, LOW, HIGH).astype(np.float32)
    return points


@dataclass(frozen=True)
class _Rows:
    """The ratings of each row of a side: `starts` (n_rows + 1,), the other side's index, the points."""

    starts: Int64Array
    others: Int32Array
    points: Float32Array


def _group(ratings: Ratings, side: int, n_rows: int) -> _Rows:
    index = (ratings.user_index, ratings.item_index)
    own, other = index[side], index[1 - side]
    starts = np.append(0, np.cumsum(np.bincount(own, minlength=n_rows)))
    order = slice(None) if side == 0 else np.argsort(own, kind="stable")
    return _Rows(starts, other[order], ratings.points[order])


def _solve_rows(
    rows: _Rows, fixed: Float32Array, penalties: Float64Array, power: float, mean: float
) -> Float32Array:
    """(n_rows, factors + 1) exact minima, all of the other side held; 0 for who has no rating."""
    solved = np.zeros((len(rows.starts) - 1, len(penalties)), np.float32)
    design = fixed.copy()
    design[:, -1] = 1  # of the row's own bias
    counts = np.diff(rows.starts)
    weights = (counts / counts[counts > 0].mean()) ** power
    for row, (start, end) in enumerate(pairwise(rows.starts.tolist())):
        if start == end:
            continue
        others = rows.others[start:end]
        seen = design[others]
        left = rows.points[start:end] - np.float32(mean) - fixed[others, -1]
        system = seen.T @ seen + np.diag(weights[row] * penalties)
        solved[row] = np.linalg.solve(system, (seen.T @ left).astype(np.float64))
    return solved


class EpochClock:
    """A progress callback that notes when each epoch starts and passes on what it is told.

    Args:
        n_epochs: the most the training will run, which its fractions are of.
        progress: told everything too.
    """

    def __init__(self, n_epochs: int, progress: ProgressCallback = ignore_progress) -> None:
        self.n_epochs, self.progress = n_epochs, progress
        self._starts: list[tuple[float, float]] = []

    def __call__(self, report: ProgressReport) -> None:
        """An epoch starts where the fraction is past the end of the one before."""
        if int(np.ceil(report.fraction * self.n_epochs - 1e-6)) > len(self._starts):
            self._starts.append(self._now())
        self.progress(report)

    def epochs(self) -> list[tuple[float, float]]:
        """Seconds of the clock and of the processor for each epoch; to be asked when training has ended."""
        ends = [*self._starts, self._now()]
        return [(wall - before[0], cpu - before[1]) for before, (wall, cpu) in pairwise(ends)]

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()
