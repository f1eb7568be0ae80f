"""svd as a ranker, beside popularity and als, with paired intervals.

python benchmarks/svd_ranking.py --bars-m1 FOLDER       (train.txt and test.txt; minutes on 2 cores)
python benchmarks/svd_ranking.py --ml-100k FOLDER       (the folder of MovieLens-100K; minutes)

Every parameter is chosen by NDCG@20 on a random tenth of the train part; the test part is then read
once. bars_m1 has pairs without points: svd decomposes the matrix of ones. Of MovieLens-100K a tenth of
each user's ratings is the test part, and a film of 4 points or more is relevant. Lists leave out what
the user has in train. Differences are to popularity and to als, 95 % paired bootstrap over users.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machine import describe_machine
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.importers import ReadOptions, read_ratings
from recsys.datasets.public_split import load_public_split
from recsys.datasets.rating_splits import BY_USER, GLOBAL, join_ratings, split_ratings
from recsys.datasets.ratings import Ratings, load_ratings, save_ratings
from recsys.datasets.user_items import Dataset
from recsys.evaluation.bootstrap import paired_difference_interval
from recsys.evaluation.ranked_lists import as_array
from recsys.evaluation.rating_evaluation import rank_users
from recsys.metrics.ranking import ranking_metrics, relevant_counts
from recsys.recommenders.rating_base import RatingData
from recsys.recommenders.svd import BIASES, NONE, USER, SVDConfig, SVDRecommender
from recsys.recommenders.table import make_recommender
from recsys.types import Float64Array, Int32Array

K = 20
FACTORS = (5, 10, 20, 30, 50, 75, 100)
ALS_GRID = {"factors": (8, 16, 32), "alpha": (1.0, 4.0, 10.0), "regularization": (1.0, 10.0, 30.0)}
ALS_ON_BARS = {"factors": (64,), "alpha": (4.0,), "regularization": (10.0,)}  # chosen for docs/models.md
METRICS = (f"ndcg@{K}", f"recall@{K}", f"map@{K}")
AT_LEAST = 4.0

Ranker = Callable[[Int32Array, int], Int32Array]
Parameters = Mapping[str, object]


@dataclass(frozen=True)
class World:
    """Train ratings, and what is relevant among the rest, (n_users, n_items)."""

    train: Ratings
    relevant: csr_matrix
    points_range: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int]:
        return self.relevant.shape


def main() -> int:
    """Run what was given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bars-m1", type=Path, metavar="FOLDER")
    parser.add_argument("--ml-100k", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--scratch", type=Path, default=Path("svd_ranking"), help="where ml-100k is imported to"
    )
    options = parser.parse_args()
    if not (options.bars_m1 or options.ml_100k):
        parser.error("name at least one folder")
    if options.bars_m1:
        validation, test = _bars(options.bars_m1)
        _compare("bars_m1", validation, test, {"ones": (NONE,)}, ALS_ON_BARS)
    if options.ml_100k:
        validation, test = _ml_100k(options.ml_100k, options.scratch)
        centres = {"points": (NONE,), "centred by user": (USER,), "centred by biases": (BIASES,)}
        _compare("ml-100k", validation, test, centres, ALS_GRID)
    print(describe_machine("numpy", "scipy", "implicit"))
    return 0


def _bars(folder: Path) -> tuple[World, World]:
    split = load_public_split(folder / "train.txt", folder / "test.txt")
    matrix = split.train.user_items.sorted_indices()
    users = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
    train = Ratings(users, matrix.indices.astype(np.int32), np.ones(matrix.nnz, np.float32), None)
    parts = split_ratings(train, (0.9, 0.1, 0.0), seed=0, by=GLOBAL)
    relevant = _as_matrix(parts.validation, matrix.shape)
    test = split.test[:, : matrix.shape[1]]
    assert test.nnz == split.test.nnz, "an item of the test file is not in the train file"  # noqa: S101
    return World(parts.train, relevant, (0.0, 1.0)), World(train, test.tocsr(), (0.0, 1.0))


def _ml_100k(folder: Path, scratch: Path) -> tuple[World, World]:
    save_ratings(read_ratings(folder, "movielens", ReadOptions()), scratch)
    dataset = load_ratings(scratch)
    shape = (len(dataset.user_mapping), len(dataset.item_mapping))
    parts = split_ratings(dataset.ratings, (0.8, 0.1, 0.1), seed=0, by=BY_USER)
    worlds = [
        World(train, _as_matrix(held_back, shape, AT_LEAST), (1.0, 5.0))
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
    centres: Mapping[str, Sequence[str]],
    als_grid: Mapping[str, Sequence[object]],
) -> None:
    users = np.flatnonzero(relevant_counts(test.relevant)).astype(np.int32)
    print(f"{name}: {len(test.train):,} train pairs, {test.relevant.nnz:,} relevant of {len(users):,} users")
    has_points = test.points_range != (0.0, 1.0)
    liked = (None, AT_LEAST) if has_points else (None,)
    weights = ("ones", "points") if has_points else ("ones",)
    candidates: dict[str, tuple[Callable[[World, Parameters], Ranker], list[Parameters]]] = {
        "popularity": (_popularity, _combine({"liked_from": liked})),
        "als": (_als, _combine({**als_grid, "liked_from": liked, "weights": weights})),
        **{
            f"svd of {what}": (_svd, _combine({"centre": centre, "factors": FACTORS}))
            for what, centre in centres.items()
        },
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
            if label != base and (base == "popularity" or label.startswith("svd")):
                lead = paired_difference_interval(measured[label][metric], measured[base][metric], seed=0)
                print(
                    f"  {label} less {base}, {metric}: "
                    f"{lead['mean']:+.4f} ({lead['low']:+.4f} to {lead['high']:+.4f})"
                )


def _combine(grid: Mapping[str, Sequence[object]]) -> list[Parameters]:
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _measure(ranker: Ranker, world: World) -> dict[str, Float64Array]:
    users = np.flatnonzero(relevant_counts(world.relevant)).astype(np.int32)
    return ranking_metrics(ranker(users, K), world.relevant[users], K)


def _svd(world: World, parameters: Parameters) -> Ranker:
    n_users, n_items = world.shape
    data = RatingData(world.train, n_users, n_items, world.points_range)
    fitted = SVDRecommender(SVDConfig.default(**parameters)).fit(data)
    return lambda users, k: rank_users(fitted, users, k, world.train)


def _als(world: World, parameters: Parameters) -> Ranker:
    return _served("als", world, parameters)


def _popularity(world: World, parameters: Parameters) -> Ranker:
    return _served("popularity", world, parameters)


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
