"""The three engines of als on one public split, each with parameters of its own, and what a fit takes.

python benchmarks/als_engines.py FOLDER/ml-100k      (ten minutes on 2 cores: spark starts Java for every fit)

Films rated 4 or 5, each weighing 1; of every user a fifth is held back at random (seed 0), and a fifth of the
rest again to choose on, by Recall@10. 32 factors, 15 iterations. The test part is read once an engine.
Needs the spark extra and Java.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from against_popularity import SEED, K, choose, hold_back, read_ml_100k
from machine import describe_machine

from recsys.evaluation.evaluate import evaluate
from recsys.recommenders.table import make_recommender

SAME = {"factors": [32], "iterations": [15]}
GRIDS = {
    "implicit": {"alpha": [1, 4], "regularization": [10, 30]},
    "irspack": {"alpha0": [0.1, 0.3], "regularization": [0.003, 0.01]},
    "spark": {"alpha": [1, 4], "regularization": [0.3, 1.0]},
}


def main() -> None:
    """Choose, fit and test each; print a row an engine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="with u.data")
    split = hold_back(read_ml_100k(parser.parse_args().folder, 4), 0.2)
    validation = hold_back(split.train, 0.2)
    popularity = evaluate(make_recommender("popularity").fit(split.train), split, k=K, seed=SEED)
    print(f"{popularity.protocol}\n")
    print(f"popularity: Recall@10 {popularity.metrics['recall@10']['mean']:.4f}")
    for engine, grid in GRIDS.items():
        _, parameters = choose("als", {"engine": [engine], **SAME, **grid}, validation)
        wall, started = time.perf_counter(), time.process_time()
        fitted = make_recommender("als", **parameters).fit(split.train)
        seconds = f"{time.perf_counter() - wall:.1f} s ({time.process_time() - started:.1f} s of our CPU)"
        means = {name: one["mean"] for name, one in evaluate(fitted, split, k=K, seed=SEED).metrics.items()}
        chosen = " ".join(f"{name}={parameters[name]}" for name in grid)
        print(
            f"{engine}: Recall@10 {means['recall@10']:.4f}, NDCG@10 {means['ndcg@10']:.4f}, fit {seconds}; "
            f"{chosen}",
            flush=True,
        )
    print(describe_machine("implicit", "irspack", "pyspark"))


if __name__ == "__main__":
    main()
