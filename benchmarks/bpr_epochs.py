"""What an epoch of bpr costs on one thread, beside `implicit`'s own BPR, a sample each.

python benchmarks/bpr_epochs.py
python benchmarks/bpr_epochs.py --users 12000 --items 2200 --likes 369000 --epochs 50 --turns 5

Both learn from the same random likes, popular items more often, with as many factors, in turns.
`implicit` draws as many samples an epoch as there are likes, all negatives uniform; ours draws
--samples-per-positive times as many with hard negatives. CPU time of one thread; numba's compiling is
done before. The limit is of 50 epochs of 1.8 million samples: 20 s.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import statistics
import time

import numpy as np
from machine import describe_machine
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.recommenders.bpr import BPRConfig, BPRRecommender

LIMIT_S = 20.0
LIMIT_SAMPLES = 50 * 1_800_000


def main() -> int:
    """Measure both and print the ratio."""
    options = _parse_options()
    dataset = _random_likes(options)
    _train_ours(dataset, options, epochs=1)  # compiles
    ours, theirs = [], []
    for _ in range(options.turns):
        ours.append(_train_ours(dataset, options, epochs=options.epochs))
        theirs.append(_train_theirs(dataset, options))
    a, b = statistics.median(ours), statistics.median(theirs)
    likes = dataset.user_items.nnz
    print(
        f"{options.users:,} x {options.items:,}, {likes:,} likes, {options.factors} factors, one thread; "
        f"ns of CPU a sample, medians of {options.turns} turns"
    )
    print(f"  recsys    {a:6.0f}  ({min(ours):.0f} to {max(ours):.0f})")
    print(f"  implicit  {b:6.0f}  ({min(theirs):.0f} to {max(theirs):.0f})   ratio {a / b:.2f}")
    print(f"  50 epochs of 1.8 million samples: {a * LIMIT_SAMPLES / 1e9:.1f} s (limit {LIMIT_S:g} s)")
    print(describe_machine("numpy", "numba", "implicit"))
    return 0


def _train_ours(dataset: Dataset, options: argparse.Namespace, *, epochs: int) -> float:
    config = BPRConfig.default(
        factors=options.factors,
        epochs=epochs,
        samples_per_positive=options.samples_per_positive,
        negatives="hard_mixed",
    )
    started = time.process_time()
    BPRRecommender(config).fit(dataset)
    samples = epochs * options.samples_per_positive * dataset.user_items.nnz
    return (time.process_time() - started) / samples * 1e9


def _train_theirs(dataset: Dataset, options: argparse.Namespace) -> float:
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    epochs = options.epochs * options.samples_per_positive
    model = BayesianPersonalizedRanking(
        factors=options.factors, iterations=epochs, num_threads=1, random_state=1
    )
    started = time.process_time()
    model.fit(dataset.user_items, show_progress=False)
    return (time.process_time() - started) / (epochs * dataset.user_items.nnz) * 1e9


def _random_likes(options: argparse.Namespace) -> Dataset:
    rng = np.random.default_rng(0)
    users = rng.integers(0, options.users, options.likes)
    items = (options.items * rng.random(options.likes) ** 2).astype(np.int64)
    shape = (options.users, options.items)
    likes = csr_matrix((np.ones(options.likes, np.float32), (users, items)), shape)
    likes.sum_duplicates()
    likes.data[:] = 2.0
    # A twentieth are dislikes: the explicit hard negatives.
    likes.data[rng.random(likes.nnz) < 0.05] = -1.0
    names = (IdMap(f"{side}{n}" for n in range(size)) for side, size in zip("ui", shape, strict=True))
    return Dataset(likes, *names)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=12_000)
    parser.add_argument("--items", type=int, default=2_200)
    parser.add_argument("--likes", type=int, default=369_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--samples-per-positive", type=int, default=5)
    parser.add_argument("--turns", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
