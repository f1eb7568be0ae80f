"""What solving a user from a history costs: ours beside the plain factors x factors system.

python benchmarks/fold_in.py
python benchmarks/fold_in.py --acts 30 --factors 64 128 256 --items 20000 --repeats 2000

Both start from a history (item indices and weights) and end with the user's float32 vector, in
float64 between, for the same random item factors and the objective of each engine. The peer keeps
YtY ready, adds one outer product an act by one matrix product, and calls np.linalg.solve. The sides
take turns; medians of single calls on one thread. The two vectors are compared before anything is
timed.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the services answer on one thread a request

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from machine import describe_machine

from recsys.engines.als_config import ENGINE_NAMES, ALSConfig
from recsys.recommenders.als import ENGINES, ALSRecommender
from recsys.types import Float32Array, Float64Array, History

FoldIn = Callable[[History], Float32Array]


def main() -> int:
    """Measure every engine at every number of factors."""
    options = _parse_options()
    rng = np.random.default_rng(0)
    print(f"{options.acts} acts, {options.items:,} items, medians of {options.repeats:,} calls, in ms")
    for factors in options.factors:
        for engine in ENGINE_NAMES:
            als = _random_als(rng, engine, factors, options.items)
            _measure(als, [_random_history(rng, options) for _ in range(options.repeats)])
    print(describe_machine("numpy"))
    return 0


def _measure(als: ALSRecommender, histories: list[History]) -> None:
    plain = _plain_fold_in(als)
    for history in map(replace, histories[:20]):  # copies: what is worked out of one is kept with it
        np.testing.assert_allclose(als.fold_in(history), plain(history), rtol=1e-4, atol=1e-5)
    ours, theirs = [], []
    for history in histories:
        ours.append(_milliseconds(als.fold_in, history))
        theirs.append(_milliseconds(plain, history))
    a, b = statistics.median(ours), statistics.median(theirs)
    print(
        f"factors={als.config.factors:<4} {als.config.engine:<9} recsys {a:.3f} (p99 {_p99(ours):.3f})  "
        f"plain {b:.3f} (p99 {_p99(theirs):.3f})  ratio {a / b:.2f}"
    )


def _plain_fold_in(als: ALSRecommender) -> FoldIn:
    """The textbook: the whole normal equations, factors x factors, one dense solve."""
    y = als.item_factors.astype(np.float64)
    gram: Float64Array = y.T @ y

    def fold_in(history: History) -> Float32Array:
        terms = ENGINES[als.config.engine].fold_in_terms(history.weights, als.config, len(y))
        seen = als.item_factors[history.item_indices].astype(np.float64)
        lhs = terms.gram_weight * gram + (seen.T * terms.quadratic) @ seen
        lhs[np.diag_indices_from(lhs)] += terms.ridge
        return np.linalg.solve(lhs, terms.linear @ seen).astype(np.float32)

    return fold_in


def _random_als(rng: np.random.Generator, engine: str, factors: int, n_items: int) -> ALSRecommender:
    config = ALSConfig.default(engine=engine, factors=factors)
    scale = rng.uniform(0.05, 0.5, factors)
    items = (rng.normal(size=(n_items, factors)) * scale).astype(np.float32)
    return ALSRecommender.from_factors(np.zeros((1, factors), np.float32), items, config)


def _random_history(rng: np.random.Generator, options: argparse.Namespace) -> History:
    """A tenth of the acts are dislikes."""
    weights = np.where(rng.random(options.acts) < 0.1, -1.0, rng.choice([0.5, 1.0, 2.0, 4.5], options.acts))
    items = rng.choice(options.items, options.acts, replace=False)
    return History(np.sort(items).astype(np.int32), weights.astype(np.float32))


def _milliseconds(fold_in: FoldIn, history: History) -> float:
    started = time.perf_counter()
    fold_in(history)
    return (time.perf_counter() - started) * 1e3


def _p99(values: list[float]) -> float:
    return float(np.percentile(values, 99))


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--acts", type=int, default=30)
    parser.add_argument("--factors", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=2_000)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
