"""What evaluating a recommender costs, beside the way `implicit` comes with.

python benchmarks/evaluation.py                        (30,000 users x 41,000 items, made up)
python benchmarks/evaluation.py --split FOLDER         (train.txt and test.txt in it)

Both sides get the same als factors, random ones of 128 numbers: what they cost does not depend on how
good they are. Ours folds in every history, ranks all unseen items, cuts the lists off at 20 and works
out every metric with its bootstrap intervals, by user tier and by item popularity. The peer is
`implicit.evaluation.ranking_metrics_at_k`: stored user factors, four metrics, no intervals. Each runs in
a fresh process, ours with one thread, the peer with two; the limit for ours is 20 seconds and 1 GB,
all of the process counted.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # implicit asks for it; one thread does for ours

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from machine import describe_machine
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.public_split import load_public_split
from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset, cells_where
from recsys.engines.als_config import ALSConfig
from recsys.evaluation.evaluate import evaluate
from recsys.recommenders.als import ALSRecommender

K, FACTORS, SEED = 20, 128, 0
N_USERS, N_ITEMS, N_CELLS = 30_000, 41_000, 1_030_000
SIDES = ("recsys", "implicit")
LIMIT_SECONDS, LIMIT_MB = 20.0, 1_000.0


def main() -> int:
    """Measure both sides in turn; 1 when a limit is not held."""
    options = _parse_options()
    if options.side:
        print(json.dumps(measure(options.side, options.split)))
        return 0
    found: dict[str, dict[str, float]] = {}
    for side in SIDES:
        command = [sys.executable, *sys.argv, "--side", side]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[side] = json.loads(done.stdout)
        one = found[side]
        print(
            f"{side}: {one['wall']:.1f} s, {one['cpu']:.1f} CPU seconds, peak {one['peak_mb']:.0f} MB, "
            f"ndcg@{K} {one['ndcg']:.6f}",
            flush=True,
        )
    ours, peer = (found[side] for side in SIDES)
    print(f"ratio: {ours['wall'] / peer['wall']:.2f} of the wall, {ours['cpu'] / peer['cpu']:.2f} of the CPU")
    print(describe_machine("numpy", "scipy", "implicit"))
    return 0 if ours["wall"] <= LIMIT_SECONDS and ours["peak_mb"] <= LIMIT_MB else 1


def measure(side: str, folder: Path | None) -> dict[str, float]:
    """Evaluate with one side, in this process."""
    split = _make_split() if folder is None else load_public_split(folder / "train.txt", folder / "test.txt")
    rng = np.random.default_rng(SEED)
    users, items = (
        rng.normal(0.0, 0.1, (n, FACTORS)).astype(np.float32) for n in split.train.user_items.shape
    )
    als = ALSRecommender.from_factors(users, items, ALSConfig.default(engine="implicit", factors=FACTORS))
    run = _with_recsys if side == "recsys" else _with_implicit
    wall, cpu = time.perf_counter(), time.process_time()
    ndcg = run(als, split)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "ndcg": ndcg,
    }


def _with_recsys(als: ALSRecommender, split: Split) -> float:
    return evaluate(als, split, k=K).metrics[f"ndcg@{K}"]["mean"]


def _with_implicit(als: ALSRecommender, split: Split) -> float:
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.evaluation import ranking_metrics_at_k

    model = AlternatingLeastSquares(factors=FACTORS, num_threads=2)
    model.user_factors, model.item_factors = als.user_factors, als.item_factors
    test = split.test[:, : split.train.n_items]
    found = ranking_metrics_at_k(model, split.train.user_items, test, K=K, show_progress=False, num_threads=2)
    return float(found["ndcg"])


def _make_split() -> Split:
    """As many users, items and cells as Gowalla has, popularity as skewed; a fifth is held back."""
    rng = np.random.default_rng(SEED)
    users = (N_USERS * rng.random(N_CELLS) ** 1.6).astype(np.int64)
    items = (N_ITEMS * rng.random(N_CELLS) ** 2.0).astype(np.int64)
    matrix = csr_matrix((np.ones(N_CELLS, np.float32), (users, items)), (N_USERS, N_ITEMS))
    matrix.data[:] = 1.0
    is_test = rng.random(matrix.nnz) < 0.2
    ids = (IdMap(str(index) for index in range(n)) for n in matrix.shape)
    return Split(Dataset(cells_where(matrix, ~is_test), *ids), cells_where(matrix, is_test), "made up")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", type=Path, metavar="FOLDER", help="a public split instead")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
