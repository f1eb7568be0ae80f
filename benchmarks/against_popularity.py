"""Every recommender of acts beside popularity on public data: is taste worth a fifth more than the charts?

python benchmarks/against_popularity.py --ml-100k FOLDER --lastfm-2k FOLDER     (ten minutes on 2 cores)

Of every user a share of the positive cells is held back at random (seed 0): a fifth of the films rated
4 or 5 in ml-100k, a fifth of the artists listened to in lastfm-2k, and a quarter of all rated films in
ml-100k, which is the protocol of the figures that the recommenders team of Microsoft publishes. Every
cell weighs 1. All items are ranked but those the user has a positive cell with in the train part; a list
has 10 places. Parameters are chosen by Recall@10 on a share held back from the train part in the same
way, the ensemble's als_share over the two parts chosen there; popularity has none to choose, and content
is as configured. Then each is fitted on the whole train part, and the test part is read once.
content and two_tower read titles, years and genres in ml-100k, of the films anybody has a positive cell
with, so that all rank the same ones; lastfm-2k has no texts. Intervals are 95 % paired bootstrap over
users. Ends with 1 when als or bpr is not at least 20 % above popularity in Recall@10 on the first two.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from machine import describe_machine
from scipy.sparse import csr_matrix

from recsys.datasets.catalogue import Catalogue
from recsys.datasets.id_map import IdMap
from recsys.datasets.importers.movielens import find_movielens, read_films
from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset, cells_where
from recsys.evaluation.bootstrap import Interval
from recsys.evaluation.evaluate import Evaluation, evaluate
from recsys.recommenders.base import Recommender
from recsys.recommenders.bpr import BPRRecommender
from recsys.recommenders.ensemble import EnsembleRecommender
from recsys.recommenders.table import make_recommender
from recsys.recommenders.two_tower import TwoTowerRecommender
from recsys.training.choosing import SHARES

K = 10
SEED = 0
WANTED_PER_CENT = 20.0
GRIDS: Mapping[str, Mapping[str, Sequence[object]]] = {
    "als": {
        "engine": ["implicit"],
        "factors": [32],
        "alpha": [1, 4],
        "regularization": [10, 30],
        "iterations": [10],
    },
    "bpr": {"factors": [32], "learning_rate": [0.05], "regularization": [0.01, 0.02], "epochs": [40]},
    "two_tower": {"dimensions": [64], "learning_rate": [0.02], "temperature": [0.1, 0.15], "epochs": [40]},
}
JUDGED = ("als", "bpr")
PUBLISHED = "recommenders team, NDCG@10: BiVAE 0.475, BPR 0.442, LightGCN 0.420, NCF 0.396, SAR 0.383"


@dataclass(frozen=True)
class Case:
    """One data set, how much of each user is held back, and whether the limit holds for it."""

    name: str
    dataset: Dataset
    held_back: float
    is_judged: bool = True
    published: str = ""


def main() -> int:
    """Measure what was given a folder for, and judge it."""
    options = _parse_options()
    cases: list[Case] = []
    if options.ml_100k is not None:
        cases.append(Case("ml-100k, rated 4 or 5", read_ml_100k(options.ml_100k, 4), 0.2))
    if options.lastfm_2k is not None:
        cases.append(Case("lastfm-2k", read_lastfm_2k(options.lastfm_2k), 0.2))
    if options.ml_100k is not None:
        rated = read_ml_100k(options.ml_100k, 1)
        cases.append(Case("ml-100k, every rating", rated, 0.25, is_judged=False, published=PUBLISHED))
    passed = [measure(case) for case in cases]
    print(describe_machine("numpy", "scipy", "implicit", "numba", "torch"))
    return 0 if all(passed) else 1


def measure(case: Case) -> bool:
    """Choose, fit and test each on one data set; print a table."""
    split = hold_back(case.dataset, case.held_back)
    validation = hold_back(split.train, case.held_back)
    popularity = evaluate(make_recommender("popularity").fit(split.train), split, k=K, seed=SEED)
    print(
        f"\n{case.name}: {case.dataset.n_users:,} users x {case.dataset.n_items:,} items, "
        f"{split.train.user_items.nnz:,} cells to learn from, {split.test.nnz:,} to guess"
    )
    print(f"{popularity.protocol}")
    if case.published:
        print(f"published: {case.published}")
    print(f"{'':<11} {'Recall@10':<24} {'above popularity':<28} {'NDCG@10':<24} above popularity")
    print(_row("popularity", popularity, None))
    on_validation: dict[str, Recommender] = {}
    fitted: dict[str, Recommender] = {}
    passed = True

    def test(name: str, recommender: Recommender, parameters: Mapping[str, object]) -> float:
        tested = evaluate(recommender, split, k=K, seed=SEED)
        print(_row(name, tested, popularity))
        chosen = " ".join(f"{key}={value}" for key, value in parameters.items())
        print(f"{'':<11} {chosen or 'as configured'}", flush=True)
        return tested.improvement_over(popularity, seed=SEED)[f"recall@{K}"]["mean"]

    if split.train.catalogue is not None:
        test("content", make_recommender("content").fit(split.train), {})
    for name, grid in GRIDS.items():
        on_validation[name], parameters = choose(name, grid, validation)
        fitted[name] = make_recommender(name, **parameters).fit(split.train)
        above = test(name, fitted[name], parameters)
        passed = passed and (above >= WANTED_PER_CENT or not case.is_judged or name not in JUDGED)
    share = choose_share(ensemble_of(on_validation, validation.train), validation)
    test("ensemble", ensemble_of(fitted, split.train).with_share(share), {"als_share": share})
    return passed


def choose(
    name: str, grid: Mapping[str, Sequence[object]], validation: Split
) -> tuple[Recommender, dict[str, object]]:
    """What has the best Recall@10 on the validation part, fitted without it, and its parameters.

    Of what learns by epochs also after how many of them.
    """
    tried: list[tuple[float, Recommender, dict[str, object]]] = []
    for values in itertools.product(*grid.values()):
        parameters = dict(zip(grid, values, strict=True))
        recommender = make_recommender(name, **parameters)
        if isinstance(recommender, BPRRecommender | TwoTowerRecommender):
            recommender.fit_early_stopping(validation)
            parameters["epochs"] = recommender.best_epoch
        else:
            recommender.fit(validation.train)
        tried.append((_recall(recommender, validation), recommender, parameters))
    _, best, parameters = max(tried, key=lambda one: one[0])
    return best, parameters


def ensemble_of(parts: Mapping[str, Recommender], train: Dataset) -> EnsembleRecommender:
    """The ensemble of an als and a two_tower that were fitted on `train`."""
    ensemble = EnsembleRecommender()
    ensemble.attach(parts)
    return ensemble.fit(train)


def choose_share(ensemble: EnsembleRecommender, validation: Split) -> float:
    """The weight of als with the best Recall@10 on the validation part."""
    return max(SHARES, key=lambda share: _recall(ensemble.with_share(share), validation))


def _recall(recommender: Recommender, validation: Split) -> float:
    return float(evaluate(recommender, validation, k=K).per_user[f"recall@{K}"].mean())


def hold_back(dataset: Dataset, share: float) -> Split:
    """A random share of each user's cells as the test part, rounded down."""
    matrix = dataset.user_items
    sizes = np.diff(matrix.indptr)
    users = np.repeat(np.arange(dataset.n_users), sizes)
    order = np.lexsort((np.random.default_rng(SEED).random(matrix.nnz), users))
    place = np.empty(matrix.nnz, np.int64)
    place[order] = np.arange(matrix.nnz) - matrix.indptr[users]
    is_test = place < np.floor(share * sizes)[users]
    train = replace(dataset, user_items=cells_where(matrix, ~is_test))
    return Split(
        train, cells_where(matrix, is_test), f"{share:.0%} of each user's cells at random (seed {SEED})"
    )


def read_ml_100k(folder: Path, at_least: int) -> Dataset:
    """Films with this many stars or more, each as 1, and their titles, years and genres."""
    table = np.loadtxt(folder / "u.data", dtype=np.int64)
    dataset = dataset_of_pairs(table[table[:, 2] >= at_least, :2])
    films = find_movielens(folder).films
    if films is None:
        return dataset
    known = (film for film in read_films(films) if film.id in dataset.item_mapping)
    return replace(dataset, catalogue=Catalogue(tuple(known)))


def read_lastfm_2k(folder: Path) -> Dataset:
    """Artists listened to, each as 1."""
    return dataset_of_pairs(np.loadtxt(folder / "user_artists.dat", dtype=np.int64)[:, :2])


def dataset_of_pairs(pairs: np.ndarray, weights: np.ndarray | None = None) -> Dataset:
    """(n, 2) ids of user and item; each pair weighs 1, or its own of (n,) `weights` and then comes once."""
    (user_ids, users), (item_ids, items) = (np.unique(side, return_inverse=True) for side in pairs.T)
    cells = np.ones(len(pairs), np.float32) if weights is None else weights.astype(np.float32)
    matrix = csr_matrix((cells, (users, items)), (len(user_ids), len(item_ids)))
    if weights is None:
        matrix.data[:] = 1.0  # a pair that comes twice is one
    return Dataset(matrix, IdMap(map(str, user_ids.tolist())), IdMap(map(str, item_ids.tolist())))


def _row(name: str, tested: Evaluation, baseline: Evaluation | None) -> str:
    above = {} if baseline is None else tested.improvement_over(baseline, seed=SEED)
    columns = []
    for metric in (f"recall@{K}", f"ndcg@{K}"):
        columns.append(f"{_interval(tested.metrics[metric], '.4f'):<24}")
        columns.append(f"{_interval(above[metric], '+.1f') + ' %' if above else '':<28}")
    return f"{name:<11} " + " ".join(columns).rstrip()


def _interval(interval: Interval, how: str) -> str:
    return f"{interval['mean']:{how}} ({interval['low']:{how}} to {interval['high']:{how}})"


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ml-100k", type=Path, metavar="FOLDER", help="with u.data and u.item")
    parser.add_argument("--lastfm-2k", type=Path, metavar="FOLDER", help="with user_artists.dat")
    options = parser.parse_args()
    if options.ml_100k is None and options.lastfm_2k is None:
        parser.error("give --ml-100k FOLDER, --lastfm-2k FOLDER, or both")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
