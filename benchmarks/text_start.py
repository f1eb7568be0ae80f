"""What item factors gain by starting at texts, on MovieLens-1M: titles, years and genres.

python benchmarks/text_start.py FOLDER/ml-1m
python benchmarks/text_start.py FOLDER/ml-1m --users 2000 --validation --only als bpr --set length=0.3

A fifth of the pairs, drawn at random, is held out. Then 300 films drawn at random are made cold: all of
their pairs but 0 to 4 are held out too. Every recommender is fitted with and without texts for 1, 3 and
all iterations (epochs); NDCG@10 over all users ranks every film; recall@10 of the cold films, over the
users who have one held out, ranks every film (`all`) and the cold ones alone (`cold`). Differences are
paired user by user, with 95 % bootstrap intervals. `hybrid_text` has no random start: it is compared
with bpr. With --validation a fifth of the remaining pairs stands in for what is held out.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from cold_users import read_ml_1m
from machine import describe_machine

from recsys.config import parse_assignments
from recsys.datasets.splits import Split, split_random
from recsys.datasets.user_items import Dataset, cells_where
from recsys.evaluation.bootstrap import paired_difference_interval
from recsys.evaluation.cold_items import ColdItems
from recsys.evaluation.evaluate import evaluate
from recsys.recommenders.base import Recommender
from recsys.training.choosing import fit_one
from recsys.types import Float64Array

K, SEED = 10, 0
N_COLD, MOST_KEPT = 300, 4
IRSPACK = {"engine": "irspack", "factors": 64, "alpha0": 0.2, "regularization": 0.01, "nu": 1.0}
# Recommender, its parameters, what counts its turns and how many are all, options of the text start.
RUNS: dict[str, tuple[str, dict[str, object], str, int, dict[str, object]]] = {
    "als": ("als", {"factors": 64, "alpha": 4.0, "regularization": 10.0}, "iterations", 15, {}),
    "irspack": ("als", IRSPACK, "iterations", 16, {}),
    "irspack, kept near": ("als", IRSPACK, "iterations", 16, {"keep_near": True}),
    "bpr": ("bpr", {}, "epochs", 20, {}),
    "hybrid_text": ("hybrid_text", {}, "epochs", 20, {}),
}
Figures = dict[str, Float64Array]


def main() -> int:
    """Print a row for every recommender and number of turns."""
    options = _parse_options()
    split = make_split(read_dataset(options.folder, options.users), SEED)
    if options.validation:
        split = make_split(split.train, SEED + 1)
    cold = ColdItems.of(split)
    part = "validation" if options.validation else "test"
    counts = f"{split.train.n_users:,} users x {split.train.n_items:,} films"
    pairs = f"{split.train.user_items.nnz:,} pairs to learn from, {split.test.nnz:,} held out"
    print(f"{part}: {split.strategy}; {counts}, {pairs}; {cold.facts}", flush=True)
    for name in options.only:
        recommender, parameters, turns, n_all, near = RUNS[name]
        text = {"vectors": "tfidf", **near, **parse_assignments(options.set)}
        for n_turns in options.turns or (1, 3, n_all):
            given = {recommender: {**parameters, turns: n_turns}}
            ours = _measure(fit_one(recommender, split.train, {**given, "text_start": text}, {}), split, cold)
            plain = recommender if recommender != "hybrid_text" else "bpr"
            theirs = _measure(fit_one(plain, split.train, {plain: given[recommender]}, {}), split, cold)
            cells = [_row(ours[metric], theirs[metric]) for metric in ours]
            print(f"| {name} | {n_turns} | {' | '.join(cells)} |", flush=True)
    print(describe_machine("numpy", "implicit", "irspack", "numba"))
    return 0


def read_dataset(folder: Path, n_users: int | None) -> Dataset:
    """Every pair weighs 1; of so many users drawn at random, or of all."""
    acts = read_ml_1m(folder)
    acts = replace(acts, weight=np.ones_like(acts.weight))
    users = np.random.default_rng(SEED).permutation(len(acts.users))[:n_users]
    return acts.dataset_of(np.sort(users))


def make_split(dataset: Dataset, seed: int) -> Split:
    """A fifth held out at random, and of films made cold all but a few pairs."""
    split = split_random(dataset, 0.2, seed)
    rng = np.random.default_rng(seed)
    films = rng.choice(dataset.n_items, N_COLD, replace=False)
    train = split.train.user_items
    is_held = np.zeros(train.nnz, np.bool_)
    for film in films:
        cells = rng.permutation(np.flatnonzero(train.indices == film))
        is_held[cells[rng.integers(0, MOST_KEPT + 1) :]] = True
    test = (split.test + cells_where(train, is_held)).tocsr()
    kept = replace(split.train, user_items=cells_where(train, ~is_held), last_event_at=None, event_types=None)
    return Split(kept, test, f"{split.strategy}, and {N_COLD} films made cold", None)


def _measure(recommender: Recommender, split: Split, cold: ColdItems) -> Figures:
    figures = {"ndcg": evaluate(recommender, split, k=K).per_user[f"ndcg@{K}"]}
    for among, metrics in cold.measure(recommender, K).items():
        figures[among] = metrics[f"recall@{K}"]
    return figures


def _row(ours: Float64Array, theirs: Float64Array) -> str:
    gain = paired_difference_interval(ours, theirs, SEED)
    interval = f"{gain['mean']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})"
    return f"{theirs.mean():.4f} | {ours.mean():.4f} | {interval}"


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of ml-1m")
    parser.add_argument("--users", type=int, help="so many users drawn at random; all by default")
    parser.add_argument("--validation", action="store_true", help="choose on what is not held out")
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--turns", nargs="+", type=int, help="iterations; 1, 3 and all by default")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="options of text_start")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
