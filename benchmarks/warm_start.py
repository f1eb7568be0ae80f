"""A warm start of ALS beside a cold one, after 5 % of the acts are new: what it ranks, what it takes.

python benchmarks/warm_start.py FOLDER                                 (train.txt and test.txt in it)
python benchmarks/warm_start.py FOLDER --engines irspack --seeds 0 1 2

The new 5 % of train's cells: all cells of 2 % of the users and of 1 % of the items, drawn at random, then
cells at random. For each seed a model is fitted on the other 95 %; it is what is served. Then all of
train is fitted, cold from random factors and warm from the served ones with als.warm_iterations; the
time of carrying factors over and folding new rows in counts as the warm fit's. NDCG@10 is over every
user of the test file, all unseen items ranked; seed noise is the deviation of the cold fits.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # implicit asks for it: its own threads do the work

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from machine import describe_machine

from recsys.datasets.public_split import load_public_split
from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset, cells_where
from recsys.engines.als_config import ALSConfig
from recsys.engines.start import Start
from recsys.evaluation.evaluate import evaluate
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.als_carry_over import carry_over
from recsys.types import BoolArray

NEW_SHARE, NEW_USERS, NEW_ITEMS = 0.05, 0.02, 0.01
SEEDS = (0, 1, 2, 3, 4)
K = 10
SETTINGS: dict[str, dict[str, object]] = {
    "implicit": {"engine": "implicit", "factors": 128, "alpha": 4.0, "regularization": 10.0},
    "irspack": {"engine": "irspack", "factors": 128, "alpha0": 0.2, "regularization": 0.01},
}


def main() -> int:
    """Measure each engine over the seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("split", type=Path)
    parser.add_argument("--engines", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    options = parser.parse_args()
    split = load_public_split(options.split / "train.txt", options.split / "test.txt")
    is_new = draw_new(split.train, seed=0)
    before = replace(split.train, user_items=cells_where(split.train.user_items, ~is_new))
    print(f"{options.split.name}: {int(is_new.sum()):,} of {len(is_new):,} cells are new")
    for engine in options.engines:
        _measure_engine(split, before, SETTINGS[engine], options.seeds)
    print(describe_machine("numpy", "implicit", "irspack"))
    return 0


def draw_new(train: Dataset, seed: int) -> BoolArray:
    """(nnz,) which cells are new."""
    rng = np.random.default_rng(seed)
    matrix = train.user_items
    rows = np.repeat(np.arange(train.n_users), np.diff(matrix.indptr))
    is_new = np.isin(rows, rng.choice(train.n_users, int(NEW_USERS * train.n_users), replace=False))
    is_new |= np.isin(
        matrix.indices, rng.choice(train.n_items, int(NEW_ITEMS * train.n_items), replace=False)
    )
    more = int(NEW_SHARE * matrix.nnz) - int(is_new.sum())
    is_new[rng.choice(np.flatnonzero(~is_new), more, replace=False)] = True
    return is_new


def _measure_engine(split: Split, before: Dataset, settings: dict[str, object], seeds: list[int]) -> None:
    cold_ndcg, warm_ndcg, served_ndcg, wall, cpu = [], [], [], [], []
    for seed in seeds:
        config = ALSConfig.default(**settings, seed=seed)
        served = ALSRecommender(config).fit(before)
        served_ndcg.append(_ndcg(served, split))
        began = _seconds()
        cold = ALSRecommender(config).fit(split.train)
        cooled = _seconds()
        warm = _fit_warm(served, before, split.train, config)
        done = _seconds()
        cold_ndcg.append(_ndcg(cold, split))
        warm_ndcg.append(_ndcg(warm, split))
        wall.append((done[0] - cooled[0]) / (cooled[0] - began[0]))
        cpu.append((done[1] - cooled[1]) / (cooled[1] - began[1]))
        print(
            f"  seed {seed}: cold {cold_ndcg[-1]:.4f} in {cooled[0] - began[0]:.1f} s, warm "
            f"{warm_ndcg[-1]:.4f} in {done[0] - cooled[0]:.1f} s",
            file=sys.stderr,
            flush=True,
        )
    noise = statistics.stdev(cold_ndcg) if len(seeds) > 1 else float("nan")
    difference = statistics.mean(warm_ndcg) - statistics.mean(cold_ndcg)
    print(
        f"{settings}, {config.iterations} iterations cold, {config.warm_iterations} warm, "
        f"{len(seeds)} seeds\n"
        f"  NDCG@{K}: served before {statistics.mean(served_ndcg):.4f}, cold "
        f"{statistics.mean(cold_ndcg):.4f} (deviation {noise:.4f}, from {min(cold_ndcg):.4f} to "
        f"{max(cold_ndcg):.4f}), warm {statistics.mean(warm_ndcg):.4f} ({difference:+.4f})\n"
        f"  time, warm over cold: wall {statistics.median(wall):.2f}, CPU {statistics.median(cpu):.2f}",
        flush=True,
    )


def _fit_warm(served: ALSRecommender, before: Dataset, train: Dataset, config: ALSConfig) -> ALSRecommender:
    """As the training does; a row without a cell before is new."""
    users = np.where(np.diff(before.user_items.indptr) > 0, np.arange(train.n_users), -1)
    acted_on = np.bincount(before.user_items.indices, minlength=train.n_items) > 0
    items = np.where(acted_on, np.arange(train.n_items), -1)
    user_factors, item_factors = carry_over(
        served, train, users.astype(np.int32), items.astype(np.int32), config
    )
    warm = ALSRecommender(config)
    warm.start_from(Start(item_factors, user_factors, iterations=config.warm_iterations))
    return warm.fit(train)


def _ndcg(als: ALSRecommender, split: Split) -> float:
    return float(evaluate(als, split, k=K).metrics[f"ndcg@{K}"]["mean"])


def _seconds() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    raise SystemExit(main())
