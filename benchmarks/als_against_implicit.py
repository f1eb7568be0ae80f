"""What our wrapping of ALS costs over calling `implicit` directly, on a public split.

python benchmarks/als_against_implicit.py FOLDER                       (train.txt and test.txt in it)
python benchmarks/als_against_implicit.py FOLDER --factors 64 --alpha 4 --regularization 10 --repeats 7

Both sides get the same matrix in memory and the same parameters and seed, and learn both factor
matrices; then both rank the best 20 unseen items of every user with a test item. Every measurement
runs in a fresh process with the libraries imported, and the sides take turns. On a machine that is
not idle, CPU seconds (of all threads) and the fastest runs say more than the wall seconds' median.
Recall@20 is worked out by the same function on both sides. `implicit` ranks with the user factors
its training ended on; ours folds every user's history in, as the service does: the ratio of ranking
is the price of that.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # implicit asks for it: its own threads do the work

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import implicit.cpu.als
import numpy as np
import threadpoolctl  # noqa: F401  # our fit uses it: imported here so that no import is timed
from machine import describe_machine

from recsys.datasets.public_split import load_public_split
from recsys.datasets.splits import Split
from recsys.evaluation.ranked_lists import as_array, recommend_unseen
from recsys.metrics.ranking import recall_at_k, relevant_counts
from recsys.recommenders.table import make_recommender
from recsys.types import Float64Array, Int32Array

K = 20
SIDES = ("implicit", "recsys")


def main() -> int:
    """Measure both sides in turn and print the medians and their ratios."""
    options = _parse_options()
    if options.side:
        print(json.dumps(measure(options)))
        return 0
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for repeat in range(options.repeats):
        for side in SIDES if repeat % 2 == 0 else SIDES[::-1]:
            runs[side].append(_measure_in_fresh_process(side))
            print(f"{repeat + 1}/{options.repeats} {side}: {runs[side][-1]}", file=sys.stderr)
    print(
        f"{options.split.name}: factors={options.factors} alpha={options.alpha} "
        f"regularization={options.regularization} iterations={options.iterations} seed={options.seed}, "
        f"medians of {options.repeats} fresh processes a side"
    )
    for part in ("fit wall", "fit CPU", "rank wall", "rank CPU"):
        _print_ratio(part, {side: [run[part] for run in runs[side]] for side in SIDES})
    for side in SIDES:
        print(f"{side}: recall@{K} {runs[side][0]['recall']:.4f}")
    print(describe_machine("numpy", "scipy", "implicit"))
    return 0


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Fit and rank with one side, in this process."""
    split = load_public_split(options.split / "train.txt", options.split / "test.txt")
    users = np.flatnonzero(relevant_counts(split.test)).astype(np.int32)
    fit_and_rank = {"implicit": _with_implicit, "recsys": _with_recsys}[options.side]
    started = _seconds()
    rank = fit_and_rank(split, users, options)
    fitted = _seconds()
    ranked = rank()
    done = _seconds()
    recall = float(recall_at_k(ranked, split.test[users], K).mean())
    fit, ranking = fitted - started, done - fitted
    return {
        "fit wall": fit[0],
        "fit CPU": fit[1],
        "rank wall": ranking[0],
        "rank CPU": ranking[1],
        "recall": recall,
    }


def _seconds() -> Float64Array:
    """Wall and CPU seconds by now."""
    return np.array([time.perf_counter(), time.process_time()])


def _with_implicit(split: Split, users: Int32Array, options: argparse.Namespace) -> Callable[[], Int32Array]:
    model = implicit.cpu.als.AlternatingLeastSquares(
        factors=options.factors,
        regularization=options.regularization,
        alpha=options.alpha,
        iterations=options.iterations,
        random_state=options.seed,
    )
    user_items = split.train.user_items
    model.fit(user_items, show_progress=False)
    return lambda: model.recommend(users, user_items[users], N=K, filter_already_liked_items=True)[0]


def _with_recsys(split: Split, users: Int32Array, options: argparse.Namespace) -> Callable[[], Int32Array]:
    recommender = make_recommender(
        "als",
        engine="implicit",
        factors=options.factors,
        regularization=options.regularization,
        alpha=options.alpha,
        iterations=options.iterations,
        seed=options.seed,
    ).fit(split.train)

    def rank() -> Int32Array:
        histories = (split.train.history(int(user)) for user in users)
        batches = recommend_unseen(recommender, histories, K)
        return np.concatenate([as_array(lists, K) for lists in batches])

    return rank


def _measure_in_fresh_process(side: str) -> dict[str, float]:
    command = [sys.executable, *sys.argv, "--side", side]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _print_ratio(part: str, seconds: dict[str, list[float]]) -> None:
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    spread = {side: f"{min(values):.2f} to {max(values):.2f}" for side, values in seconds.items()}
    ours, theirs = medians["recsys"], medians["implicit"]
    fastest = min(seconds["recsys"]) / min(seconds["implicit"])
    print(
        f"{part}: recsys {ours:.3f} s ({spread['recsys']}), implicit {theirs:.3f} s ({spread['implicit']}), "
        f"ratio {ours / theirs:.3f}, of the fastest {fastest:.3f}"
    )


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("split", type=Path, metavar="FOLDER")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--alpha", type=float, default=4.0)
    parser.add_argument("--regularization", type=float, default=10.0)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
