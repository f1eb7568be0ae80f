"""What negatives should bpr learn from where people say what they dislike?

python benchmarks/bpr_negatives.py FOLDER/ml-100k     (a few minutes on 2 cores)

A film of 4 or 5 stars is liked, of 1 or 2 disliked; 3 is neither and left out. A fifth of each user's
cells, likes and dislikes alike, is held back at random (seed 0). Every way has 64 factors and rate 0.05;
its regularization and number of epochs are chosen by Recall@10 on a fifth of the train part, held back
likewise, then it is fitted on the whole train part with three seeds, and the test part is read once.

Two questions of the same fits. Lists: every film but those with a cell in the train part is ranked, held-back
likes are relevant; differences to uniform are 95 % paired bootstrap over users. Likes above dislikes: the
share of a user's pairs of a held-back like and a held-back dislike that the scores order rightly.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from against_popularity import dataset_of_pairs, hold_back
from machine import describe_machine
from scipy.sparse import csr_matrix

from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset
from recsys.evaluation.bootstrap import mean_intervals, paired_difference_interval
from recsys.evaluation.evaluate import evaluate
from recsys.metrics.pairwise import area_under_curve
from recsys.metrics.ranking import relevant_counts
from recsys.recommenders.bpr import BPRConfig, BPRRecommender
from recsys.types import Float64Array

SHARE, SEEDS, K = 0.2, (0, 1, 2), 10
RATE, FACTORS, MOST_EPOCHS = 0.05, 64, 120
REGULARIZATIONS = (0.005, 0.01, 0.02, 0.04, 0.08)
WAYS: dict[str, dict[str, object]] = {
    "uniform": {"negatives": "uniform"},
    "popularity": {"negatives": "popularity"},
    "hard_mixed, 15 % explicit, 15 % implicit": {"negatives": "hard_mixed"},
    "hard_mixed, 15 % explicit alone": {"negatives": "hard_mixed", "implicit_share": 0.0},
    "hard_mixed, 40 % explicit alone": {
        "negatives": "hard_mixed",
        "explicit_share": 0.4,
        "implicit_share": 0.0,
    },
}


@dataclass(frozen=True)
class Tested:
    """Of each user, mean over the seeds: figures of lists, and likes above dislikes (nan without a pair)."""

    ndcg: Float64Array
    recall: Float64Array
    apart: Float64Array


def main() -> int:
    """Choose and test every way; print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="with u.data of MovieLens 100K")
    split = hold_back(read_likes_and_dislikes(parser.parse_args().folder), SHARE)
    validation = hold_back(split.train, SHARE)
    cells = split.train.user_items.data
    print(
        f"{split.train.n_users:,} users x {split.train.n_items:,} films; to learn from {(cells > 0).sum():,} "
        f"likes and {(cells < 0).sum():,} dislikes, to guess {(split.test.data > 0).sum():,} likes; "
        f"{split.strategy}"
    )
    uniform = None
    for name, how in WAYS.items():
        config = choose(how, validation)
        tested = test(config, split)
        uniform = uniform or tested
        print(f"{name}: regularization {config.regularization}, {config.epochs} epochs")
        for figure in ("ndcg", "recall", "apart"):
            print(f"  {figure:<7}{describe(getattr(tested, figure), getattr(uniform, figure))}", flush=True)
    print(describe_machine("numpy", "scipy", "numba"))
    return 0


def choose(how: dict[str, object], validation: Split) -> BPRConfig:
    """The regularization with the best Recall@10 on the validation part, and its number of epochs."""
    tried: list[tuple[float, BPRConfig]] = []
    for regularization in REGULARIZATIONS:
        config = BPRConfig.default(
            factors=FACTORS, learning_rate=RATE, regularization=regularization, epochs=MOST_EPOCHS, **how
        )
        fitted = BPRRecommender(config).fit_early_stopping(validation)
        recall = max(point["recall"] for point in fitted.learning_curve if "recall" in point)
        tried.append((recall, replace(config, epochs=fitted.best_epoch)))
    return max(tried, key=lambda one: one[0])[1]


def test(config: BPRConfig, split: Split) -> Tested:
    """Fit with every seed and read the test part."""
    figures = []
    users = np.flatnonzero(relevant_counts(split.test))
    histories = [split.train.history(int(user)) for user in users]
    held_back = split.test[users]
    elsewhere = csr_matrix(held_back.toarray() == 0)  # a pair is of two held-back films
    for seed in SEEDS:
        fitted = BPRRecommender(replace(config, seed=seed)).fit(split.train)
        lists = evaluate(fitted, split, k=K).per_user
        apart = area_under_curve(fitted.score_batch(histories), held_back, elsewhere)
        figures.append((lists[f"ndcg@{K}"], lists[f"recall@{K}"], apart))
    return Tested(*np.mean(figures, axis=0))


def describe(figures: Float64Array, of_uniform: Float64Array) -> str:
    """Mean, and how far it is from uniform, over the users who have the figure."""
    is_known = np.isfinite(figures)
    mean = mean_intervals({"": figures[is_known]}, 0)[""]
    told = f"{mean['mean']:.4f} ({mean['low']:.4f} to {mean['high']:.4f})"
    if figures is of_uniform:
        return told
    gain = paired_difference_interval(figures[is_known], of_uniform[is_known], 0)
    return f"{told}   {gain['mean']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})"


def read_likes_and_dislikes(folder: Path) -> Dataset:
    """1 where a film has 4 or 5 stars, -1 where it has 1 or 2."""
    table = np.loadtxt(folder / "u.data", dtype=np.int64)
    table = table[table[:, 2] != 3]
    return dataset_of_pairs(table[:, :2], np.where(table[:, 2] > 3, 1.0, -1.0))


if __name__ == "__main__":
    raise SystemExit(main())
