"""mf on a generated set of 25 million ratings beside exact ALS at the true rank and the noise itself.

python benchmarks/mf_scale.py
python benchmarks/mf_scale.py --size 0.1 --validation   # how the parameters were chosen; no test part is read

162,000 users x 59,000 items, points from 0.5 to 5, few items with most of the ratings; the truth is biases
and 64 factors. Split 80/10/10 over all ratings with a seed; mf and ALS keep the epoch or iteration that did
best on the validation part, the test part is read once. What is chosen on a tenth of the size holds at full
size in ALS's terms: the penalty of a row beside the sum of its squared errors. mf's decay stands beside
their mean, so it is that penalty over the number of ratings.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import resource
import time
from itertools import product

import numpy as np
from machine import describe_machine

from recsys.config import parse_assignments
from recsys.datasets.rating_splits import GLOBAL, RatingSplit, split_ratings
from recsys.datasets.ratings import Ratings
from recsys.recommenders.mf import MFConfig, MFFactors, MFRecommender, Pairs
from recsys.recommenders.rating_base import RatingData
from recsys.training.mf_scale import HIGH, LOW, EpochClock, World, fit_exact_als, generate_world

N_USERS, N_ITEMS, N_RATINGS, RANK, SEED = 162_000, 59_000, 25_000_000, 64, 0
SHARES = (0.8, 0.1, 0.1)
MF = {"factors": 64, "epochs": 10, "patience": 2, "batch_size": 8192, "history": False, "threads": 2}
MF_PENALTY = 20.0  # weight_decay times the number of ratings
ALS_PENALTY, ALS_BIAS_PENALTY, ALS_POWER, ALS_ITERATIONS = 16.0, 2.5, 0.5, 10
MF_GRID = (10.0, 20.0, 40.0)
ALS_GRID = tuple(product((8.0, 16.0, 32.0), (0.0, 0.5, 1.0)))
SMALLEST = 0.02
MOST_ABOVE, MOST_SECONDS, MOST_GB = 0.05, 150.0, 6.0


def main() -> int:
    """Print a row each; exit code 1 when mf is too far from the oracle, an epoch too slow, or too large."""
    options = _parse_options()
    shape = (round(N_USERS * options.size), round(N_ITEMS * options.size))
    started = time.perf_counter()
    world = generate_world(
        n_users=shape[0], n_items=shape[1], n_ratings=round(N_RATINGS * options.size), rank=RANK, seed=SEED
    )
    split = split_ratings(world.ratings, SHARES, SEED, by=GLOBAL)
    _describe(world, shape, time.perf_counter() - started)
    overrides = parse_assignments(options.set)
    if options.validation:
        return _choose(split, shape, overrides)
    test = _pairs(split.test)
    floor = world.truth.mean_squared_error(test) ** 0.5
    mf, longest = _measure_mf(split, shape, MF_PENALTY, overrides)
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    oracle = _fit_als(split, shape, ALS_PENALTY, ALS_POWER)
    biases = _fit_als(split, shape, 1e9, ALS_POWER, factors=1)
    of_mf, of_als, of_biases = (one.mean_squared_error(test) ** 0.5 for one in (mf, oracle, biases))
    print(f"\ntest part of {len(test):,}, read once; RMSE")
    print(f"the truth itself          {floor:.4f}")
    print(f"exact ALS, {RANK} factors     {of_als:.4f}")
    print(f"biases alone              {of_biases:.4f}")
    above = of_mf / of_als - 1
    print(f"mf                        {of_mf:.4f}   {above:+.1%} of exact ALS")
    print(f"longest epoch of mf {longest:.0f} s; peak {gigabytes:.2f} GB when mf was trained")
    print(describe_machine("numpy", "numba", "torch"))
    return 0 if above <= MOST_ABOVE and longest <= MOST_SECONDS and gigabytes <= MOST_GB else 1


def _choose(split: RatingSplit, shape: tuple[int, int], overrides: dict[str, object]) -> int:
    for penalty in MF_GRID:
        print(f"mf, weight_decay x ratings {penalty:g}")
        _measure_mf(split, shape, penalty, overrides)
    for penalty, power in ALS_GRID:
        print(f"exact ALS, penalty {penalty:g}, power {power:g}")
        _fit_als(split, shape, penalty, power)
    return 0


def _measure_mf(
    split: RatingSplit, shape: tuple[int, int], penalty: float, overrides: dict[str, object]
) -> tuple[MFFactors, float]:
    """The factors, and the seconds of the longest epoch, its losses included."""
    config = MFConfig.default(**{**MF, "weight_decay": penalty / len(split.train), **overrides})
    clock = EpochClock(config.epochs)
    data = RatingData(split.train, *shape, (LOW, HIGH))
    fitted = MFRecommender(config).fit(data, split.validation, clock)
    seconds = clock.epochs()
    for point, (wall, cpu) in zip(fitted.curve, seconds, strict=True):
        print(
            f"  epoch {point.epoch}: RMSE train {point.train**0.5:.4f}, "
            f"validation {(point.validation or 0.0) ** 0.5:.4f}; {wall:.0f} s, {cpu:.0f} s of CPU",
            flush=True,
        )
    return fitted.factors, max(wall for wall, _ in seconds)


def _fit_als(
    split: RatingSplit, shape: tuple[int, int], penalty: float, power: float, factors: int = RANK
) -> MFFactors:
    """Those of the iteration that did best on the validation part."""
    validation, started = _pairs(split.validation), time.process_time()
    best: list[tuple[float, MFFactors]] = []

    def tell(iteration: int, fitted: MFFactors) -> None:
        error = fitted.mean_squared_error(validation) ** 0.5
        if not best or error < best[0][0]:
            best[:] = [(error, fitted)]
        seconds = time.process_time() - started
        print(f"  iteration {iteration}: RMSE validation {error:.4f}; {seconds:.0f} s of CPU", flush=True)

    fit_exact_als(
        split.train, shape, factors=factors, regularization=penalty, bias_regularization=ALS_BIAS_PENALTY,
        power=power, iterations=ALS_ITERATIONS, seed=SEED, told=tell,
    )  # fmt: skip
    return best[0][1]


def _describe(world: World, shape: tuple[int, int], seconds: float) -> None:
    ratings = world.ratings
    print(f"{len(ratings):,} ratings, {shape[0]:,} users x {shape[1]:,} items, {RANK} factors, seed {SEED}")
    for name, index, n in zip(
        ("a user", "an item"), (ratings.user_index, ratings.item_index), shape, strict=True
    ):
        tenth, median, most = np.percentile(np.bincount(index, minlength=n), [10, 50, 100])
        print(f"ratings of {name}: {tenth:.0f} (10 %), {median:.0f} (median), {most:,.0f} at most")
    print(f"points have a deviation of {ratings.points.std():.3f}; drawn and divided in {seconds:.0f} s\n")


def _pairs(ratings: Ratings) -> Pairs:
    return Pairs(ratings.user_index, ratings.item_index, ratings.points)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=float, default=1.0, help="share of the users, items and ratings")
    parser.add_argument("--validation", action="store_true", help="the grids; no test part is read")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="of mf, instead of ours")
    options = parser.parse_args()
    if not SMALLEST <= options.size <= 1:
        parser.error(
            f"--size {options.size:g} is not from {SMALLEST:g} to 1: smaller sets would be nearly full"
        )
    return options


if __name__ == "__main__":
    raise SystemExit(main())
