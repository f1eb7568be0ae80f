"""Seconds an iteration and memory of feature_als on a generated set the size of MovieLens 25M.

nice python benchmarks/feature_als_scale.py             (25 million ratings, 2 iterations)
nice python benchmarks/feature_als_scale.py --users 20000 --items 8000 --ratings 2000000

Points from 1 to 5 in halves: a mean, biases, factors of rank 10 that lean on a category of the user and
tags of the item, and noise of 0.8. Users and items have as uneven numbers of ratings as people and films.
One part in fifty is held back; its RMSE is measured at the end. Seconds are the process's own, on one
core; the memory is its largest.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small systems: threads only get in each other's way

import argparse
import resource
import time

import numpy as np
import pyarrow as pa
from machine import describe_machine

from recsys.datasets.ratings import Ratings
from recsys.metrics.rating import rmse
from recsys.recommenders.rating_base import RatingData
from recsys.recommenders.rating_table import make_rating_recommender
from recsys.types import Float64Array, Int32Array, ProgressReport

RANK, NOISE, KINDS, RANGE = 10, 0.8, 20, (1.0, 5.0)
HELD_OUT = 50  # one in so many
AT_ONCE = 1_000_000


def main() -> int:
    """Generate, fit, measure."""
    options = _parse_options()
    data, test = generate(options.users, options.items, options.ratings, options.seed)
    print(f"{len(data.ratings):,} ratings, {data.n_users:,} users, {data.n_items:,} items to learn from")
    print(f"generated, {_memory_gb():.1f} GB")
    recommender = make_rating_recommender(
        "feature_als", factors=options.factors, iterations=options.iterations
    )
    told_at = started = time.process_time()

    def tell(report: ProgressReport) -> None:
        nonlocal told_at
        now = time.process_time()
        facts = " ".join(f"{name}={value:.6g}" for name, value in report.facts.items())
        print(f"{report.stage}: {now - told_at:.1f} s, {_memory_gb():.1f} GB, {facts}", flush=True)
        told_at = now

    recommender.fit(data, progress=tell)
    seconds = time.process_time() - started
    print(f"fit of {options.iterations} iterations, {options.factors} factors: {seconds:.1f} s")
    predicted = recommender.predict(test.user_index, test.item_index)
    print(f"held-out RMSE {rmse(predicted, test.points):.4f} over {len(test):,}; the noise alone is {NOISE}")
    print(*recommender.health_report(), sep="\n")
    print(f"largest memory {_memory_gb():.1f} GB; {describe_machine('numpy', 'scipy')}")
    return 0


def generate(n_users: int, n_items: int, n_ratings: int, seed: int) -> tuple[RatingData, Ratings]:
    """What to learn from, and the ratings held back."""
    rng = np.random.default_rng(seed)
    users, items = _pairs(n_users, n_items, n_ratings, rng)
    kinds = rng.integers(0, KINDS, n_users)
    tags = rng.random((n_items, KINDS)) < 0.1
    p = rng.normal(0, 0.5, (KINDS, RANK))[kinds] + rng.normal(0, 0.4, (n_users, RANK))
    q = tags @ rng.normal(0, 0.3, (KINDS, RANK)) + rng.normal(0, 0.4, (n_items, RANK))
    p, q = p.astype(np.float32), q.astype(np.float32)
    of_user, of_item = (rng.normal(0, 0.35, n).astype(np.float32) for n in (n_users, n_items))
    points = np.empty(len(users), np.float32)
    for start in range(0, len(users), AT_ONCE):
        u, i = users[start : start + AT_ONCE], items[start : start + AT_ONCE]
        noise = rng.normal(0, NOISE, len(u)).astype(np.float32)
        exact = 3.5 + of_user[u] + of_item[i] + np.einsum("nd,nd->n", p[u], q[i]) + noise
        points[start : start + AT_ONCE] = np.clip(np.round(exact * 2) / 2, *RANGE)
    held = rng.integers(0, HELD_OUT, len(users)) == 0
    parts = [Ratings(users[part], items[part], points[part], None) for part in (~held, held)]
    user_features = pa.table({"kind": [f"kind {kind}" for kind in kinds]})
    item_features = pa.table({"tags": [[f"tag {tag}" for tag in np.flatnonzero(row)] for row in tags]})
    return RatingData(parts[0], n_users, n_items, RANGE, user_features, item_features), parts[1]


def _pairs(
    n_users: int, n_items: int, n_ratings: int, rng: np.random.Generator
) -> tuple[Int32Array, Int32Array]:
    """Distinct pairs, by user and item: users by a lognormal law, items by a power of their rank."""
    by_user = rng.lognormal(0, 1.2, n_users)
    by_item = (np.arange(1, n_items + 1) + 50.0) ** -1.0
    keys = np.empty(0, np.int64)
    while len(keys) < n_ratings:
        n_more = int(1.1 * (n_ratings - len(keys))) + 1000
        drawn = _draw(by_user, n_more, rng) * n_items + _draw(by_item, n_more, rng)
        keys = np.union1d(keys, drawn)
    keys = np.sort(rng.permutation(keys)[:n_ratings])
    return (keys // n_items).astype(np.int32), (keys % n_items).astype(np.int32)


def _draw(
    weights: Float64Array, size: int, rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    edges = np.cumsum(weights)
    return np.searchsorted(edges, rng.random(size) * edges[-1], side="right").clip(max=len(weights) - 1)


def _memory_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=162_000)
    parser.add_argument("--items", type=int, default=59_000)
    parser.add_argument("--ratings", type=int, default=25_000_000)
    parser.add_argument("--factors", type=int, default=40)
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--seed", type=int, default=42)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
