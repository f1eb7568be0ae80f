"""svd, mf and feature_als as rankers, beside popularity and als, with paired intervals.

python benchmarks/rating_ranking.py --bars-m1 FOLDER       (train.txt and test.txt; minutes on 2 cores)
python benchmarks/rating_ranking.py --ml-100k FOLDER       (the folder of MovieLens-100K; minutes)

Every parameter is chosen by NDCG@20 on a random tenth of the train part; the test part is then read
once. bars_m1 has pairs without points: svd decomposes the matrix of ones, mf and feature_als have nothing
to predict. Of MovieLens-100K a tenth of each user's ratings is the test part, and a film of 4 points or
more is relevant. mf trains all its epochs; the grids of mf and feature_als lie around their best values
for points. Lists leave out what the user has in train. Differences are to popularity and to als, 95 %
paired bootstrap over users. Ends with 1 where svd is not above popularity.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from machine import describe_machine
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.importers import ReadOptions, read_ratings
from recsys.datasets.public_split import load_public_split
from recsys.datasets.rating_splits import GLOBAL, join_ratings, split_ratings
from recsys.datasets.ratings import Ratings, save_ratings
from recsys.datasets.user_items import Dataset
from recsys.evaluation.bootstrap import paired_difference_interval
from recsys.evaluation.ranked_lists import as_array
from recsys.evaluation.rating_evaluation import rank_users
from recsys.metrics.ranking import ranking_metrics, relevant_counts
from recsys.recommenders.rating_base import RatingData, RatingRecommender
from recsys.recommenders.rating_table import make_rating_recommender
from recsys.recommenders.svd import BIASES, NONE, USER
from recsys.recommenders.table import make_recommender
from recsys.training.rating_data import Category, SplitOptions, load_category
from recsys.types import Float64Array, Int32Array

K = 20
FACTORS = (5, 10, 20, 30, 50, 75, 100)
ALS_GRID = {"factors": (8, 16, 32), "alpha": (1.0, 4.0, 10.0), "regularization": (1.0, 10.0, 30.0)}
ALS_ON_BARS = {"factors": (64,), "alpha": (4.0,), "regularization": (10.0,)}  # chosen for docs/models.md
METRICS = (f"ndcg@{K}", f"recall@{K}", f"map@{K}")
MF_GRID = {"factors": (64, 128), "weight_decay": (0.0001, 0.0002, 0.0004)}
FEATURE_ALS_GRID = {
    "factors": (20, 40),
    "regularization": (0.08, 0.12, 0.15),
    "feature_regularization": (0.05, 0.1, 0.2),
}
AT_LEAST = 4.0

Ranker = Callable[[Int32Array, int], Int32Array]
Parameters = Mapping[str, object]


@dataclass(frozen=True)
class World:
    """Train ratings, (n_users, n_items) of what is relevant among the rest, and what a recommender reads."""

    train: Ratings
    relevant: csr_matrix
    points_range: tuple[float, float]
    data_of: Callable[[Ratings, RatingRecommender], RatingData]

    @property
    def shape(self) -> tuple[int, int]:
        return self.relevant.shape


Side = tuple[Callable[[World, Parameters], Ranker], list[Parameters]]


def main() -> int:
    """Run what was given; exit code 1 when svd is not above popularity."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bars-m1", type=Path, metavar="FOLDER")
    parser.add_argument("--ml-100k", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--scratch", type=Path, default=Path("rating_ranking"), help="where ml-100k is imported to"
    )
    options = parser.parse_args()
    if not (options.bars_m1 or options.ml_100k):
        parser.error("name at least one folder")
    is_above = True
    if options.bars_m1:
        validation, test = _bars(options.bars_m1)
        sides = {"svd of ones": _rating_side("svd", {"centre": (NONE,), "factors": FACTORS})}
        is_above &= _compare("bars_m1", validation, test, sides, ALS_ON_BARS)
    if options.ml_100k:
        validation, test = _ml_100k(options.ml_100k, options.scratch)
        centres = {"points": NONE, "centred by user": USER, "centred by biases": BIASES}
        sides = {
            f"svd of {what}": _rating_side("svd", {"centre": (centre,), "factors": FACTORS})
            for what, centre in centres.items()
        }
        sides["mf"] = _rating_side("mf", MF_GRID)
        sides["feature_als"] = _rating_side("feature_als", FEATURE_ALS_GRID)
        is_above &= _compare("ml-100k", validation, test, sides, ALS_GRID)
    print(describe_machine("numpy", "scipy", "implicit", "torch"))
    return 0 if is_above else 1


def _bars(folder: Path) -> tuple[World, World]:
    split = load_public_split(folder / "train.txt", folder / "test.txt")
    matrix = split.train.user_items.sorted_indices()
    users = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
    train = Ratings(users, matrix.indices.astype(np.int32), np.ones(matrix.nnz, np.float32), None)
    parts = split_ratings(train, (0.9, 0.1, 0.0), seed=0, by=GLOBAL)
    relevant = _as_matrix(parts.validation, matrix.shape)
    test = split.test[:, : matrix.shape[1]]
    assert test.nnz == split.test.nnz, "an item of the test file is not in the train file"  # noqa: S101

    def data_of(ratings: Ratings, _recommender: RatingRecommender) -> RatingData:
        return RatingData(ratings, *matrix.shape, (0.0, 1.0))

    return (
        World(parts.train, relevant, (0.0, 1.0), data_of),
        World(train, test.tocsr(), (0.0, 1.0), data_of),
    )


def _ml_100k(folder: Path, scratch: Path) -> tuple[World, World]:
    save_ratings(read_ratings(folder, "movielens", ReadOptions()), scratch)
    data = load_category(Category("ml-100k", scratch), SplitOptions(seed=0))
    shape = (len(data.user_mapping), len(data.item_mapping))
    parts = data.split
    worlds = [
        World(train, _as_matrix(held_back, shape, AT_LEAST), data.points_range, data.data_of)
        for train, held_back in (
            (parts.train, parts.validation),
            (join_ratings(parts.train, parts.validation), parts.test),
        )
    ]
    return worlds[0], worlds[1]


def _compare(
    name: str,
    validation: World,
    test: World,
    rating_sides: Mapping[str, Side],
    als_grid: Mapping[str, Sequence[object]],
) -> bool:
    """Choose, test and print every side; whether the first of svd is above popularity."""
    users = np.flatnonzero(relevant_counts(test.relevant)).astype(np.int32)
    print(f"{name}: {len(test.train):,} train pairs, {test.relevant.nnz:,} relevant of {len(users):,} users")
    has_points = test.points_range != (0.0, 1.0)
    liked = (None, AT_LEAST) if has_points else (None,)
    weights = ("ones", "points") if has_points else ("ones",)
    candidates: dict[str, Side] = {
        "popularity": (partial(_served, "popularity"), _combine({"liked_from": liked})),
        "als": (partial(_served, "als"), _combine({**als_grid, "liked_from": liked, "weights": weights})),
        **rating_sides,
    }
    measured: dict[str, dict[str, Float64Array]] = {}
    for label, (make, grid) in candidates.items():
        tried = [(_measure(make(validation, one), validation)[METRICS[0]].mean(), one) for one in grid]
        best, chosen = max(tried, key=lambda pair: pair[0])
        measured[label] = _measure(make(test, chosen), test)
        shown = " ".join(f"{key}={value}" for key, value in chosen.items() if value is not None)
        means = "  ".join(f"{metric} {measured[label][metric].mean():.4f}" for metric in METRICS)
        print(
            f"  {label}: {means}  ({shown}; {len(grid)} tried, validation {METRICS[0]} {best:.4f})",
            flush=True,
        )
    for base in ("popularity", "als"):
        for label, metric in itertools.product(measured, METRICS):
            if label != base and (base == "popularity" or label in rating_sides):
                lead = paired_difference_interval(measured[label][metric], measured[base][metric], seed=0)
                print(
                    f"  {label} less {base}, {metric}: "
                    f"{lead['mean']:+.4f} ({lead['low']:+.4f} to {lead['high']:+.4f})"
                )
    svd = measured[next(iter(rating_sides))][METRICS[0]]
    above = paired_difference_interval(svd, measured["popularity"][METRICS[0]], seed=0)
    return above["low"] > 0


def _combine(grid: Mapping[str, Sequence[object]]) -> list[Parameters]:
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _measure(ranker: Ranker, world: World) -> dict[str, Float64Array]:
    users = np.flatnonzero(relevant_counts(world.relevant)).astype(np.int32)
    return ranking_metrics(ranker(users, K), world.relevant[users], K)


def _rating_side(name: str, grid: Mapping[str, Sequence[object]]) -> Side:
    """One of the rating recommenders, its validation part not given: it learns from all of `train`."""

    def fit(world: World, parameters: Parameters) -> Ranker:
        recommender = make_rating_recommender(name, **parameters)
        fitted = recommender.fit(world.data_of(world.train, recommender))
        return lambda users, k: rank_users(fitted, users, k, world.train)

    return fit, _combine(grid)


def _served(name: str, world: World, parameters: Parameters) -> Ranker:
    """One of the served recommenders, learning from all train pairs or from those with enough points."""
    liked_from = parameters["liked_from"]
    at_least = -np.inf if liked_from is None else float(str(liked_from))
    weighted = parameters.get("weights") == "points"
    user_items = _as_matrix(world.train, world.shape, at_least, weighted=weighted)
    seen = _as_matrix(world.train, world.shape)
    n_users, n_items = world.shape
    dataset = Dataset(
        user_items, IdMap(f"u{u}" for u in range(n_users)), IdMap(f"i{i}" for i in range(n_items))
    )
    overrides = {key: value for key, value in parameters.items() if key not in ("liked_from", "weights")}
    fitted = make_recommender(name, **overrides).fit(dataset)

    def rank(users: Int32Array, k: int) -> Int32Array:
        lists = []
        for start in range(0, len(users), 512):
            batch = users[start : start + 512]
            histories = [dataset.history(int(user)) for user in batch]
            exclude = [seen.indices[seen.indptr[user] : seen.indptr[user + 1]] for user in batch]
            lists += fitted.recommend_batch(histories, k, exclude=exclude)
        return as_array(lists, k)

    return rank


def _as_matrix(
    ratings: Ratings, shape: tuple[int, int], at_least: float = -np.inf, *, weighted: bool = False
) -> csr_matrix:
    rows = ratings.points >= at_least
    values = ratings.points[rows] if weighted else np.ones(int(rows.sum()), np.float32)
    return csr_matrix((values, (ratings.user_index[rows], ratings.item_index[rows])), shape)


if __name__ == "__main__":
    raise SystemExit(main())
