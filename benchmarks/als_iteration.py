"""Seconds an iteration of ALS by our loop over those of the engine's own, for `implicit` and `irspack`.

python benchmarks/als_iteration.py FOLDER                              (train.txt in it)
python benchmarks/als_iteration.py FOLDER --factors 64 --repeats 9

Both get the same matrix in memory, parameters and seed. Ours is the whole fit of the recommender: the
library's iterations with a look at the factors after each, progress, the rotation at the end and the
condition numbers. A side is warmed up once, then the sides take turns; medians, per iteration.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # implicit asks for it: its own threads do the work

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import implicit.cpu.als
import irspack
from machine import describe_machine

from recsys.datasets.public_split import load_public_split
from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.engines.factors import available_cpus
from recsys.recommenders.als import ALSRecommender

MOST = 1.05  # of the engine's own seconds


def main() -> int:
    """Measure both engines; 1 where one costs more than it may."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("split", type=Path)
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    train = load_public_split(options.split / "train.txt", options.split / "test.txt").train
    too_slow = False
    for engine, own in {"implicit": _by_implicit, "irspack": _by_irspack}.items():
        config = ALSConfig.default(engine=engine, factors=options.factors, iterations=options.iterations)
        sides = {engine: own, "recsys": _by_recsys}
        wall, cpu = _measure(sides, train, config, options.repeats)
        print(f"{options.split.name}, {engine}, {options.factors} factors, medians of {options.repeats}")
        for what, seconds in (("wall", wall), ("CPU", cpu)):
            medians = [statistics.median(runs) / options.iterations for runs in seconds.values()]
            print(
                f"  {what}: {medians[0]:.4f} s an iteration by itself, {medians[1]:.4f} s ours, "
                f"ratio {medians[1] / medians[0]:.3f}"
            )
        too_slow |= medians[1] > MOST * medians[0]  # CPU: a machine is seldom idle
    print(describe_machine("numpy", "implicit", "irspack"))
    return int(too_slow)


def _measure(
    sides: dict[str, Callable[[Dataset, ALSConfig], object]], train: Dataset, config: ALSConfig, repeats: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Wall and CPU seconds of every run, by side."""
    wall: dict[str, list[float]] = {side: [] for side in sides}
    cpu: dict[str, list[float]] = {side: [] for side in sides}
    for repeat in range(-1, repeats):
        for side in list(sides) if repeat % 2 == 0 else list(sides)[::-1]:
            began = time.perf_counter(), time.process_time()
            sides[side](train, config)
            if repeat >= 0:
                wall[side].append(time.perf_counter() - began[0])
                cpu[side].append(time.process_time() - began[1])
    return wall, cpu


def _by_recsys(train: Dataset, config: ALSConfig) -> object:
    return ALSRecommender(config).fit(train)


def _by_implicit(train: Dataset, config: ALSConfig) -> object:
    model = implicit.cpu.als.AlternatingLeastSquares(
        factors=config.factors,
        regularization=config.regularization,
        alpha=config.alpha,
        iterations=config.iterations,
        random_state=config.seed,
        num_threads=available_cpus(),
    )
    model.fit(train.user_items, show_progress=False)
    return model


def _by_irspack(train: Dataset, config: ALSConfig) -> object:
    model = irspack.IALSRecommender(
        train.user_items,
        n_components=config.factors,
        alpha0=config.alpha0,
        reg=config.regularization,
        nu=config.nu,
        random_seed=config.seed,
        n_threads=available_cpus(),
    )
    model.start_learning()
    for _ in range(config.iterations):
        model.run_epoch()
    return model


if __name__ == "__main__":
    raise SystemExit(main())
