"""How `content` serves people of whom 0 to 4 acts are known, beside `popularity`.

python benchmarks/cold_users.py --ml-1m FOLDER --ml-100k FOLDER          (half a minute on 2 cores)
python benchmarks/cold_users.py --ml-100k FOLDER --validation 1 --set prior_weight=30

A fifth of the users is held out whole; both recommenders learn from the others, the catalogue being
titles, years and genres. Of every held-out user with five or more positive acts the first n are
revealed, in order of time (ml-100k) or of the file (ml-1m, whose pairs are told without a time);
all other films are ranked, and the user's later positive acts are relevant. Figures are means over
the same users at every n, the difference is paired user by user with its 95 % bootstrap interval.
Nothing new is given a place: the recommenders are called themselves, not the service.

In ml-100k 5 stars are a favorite, 4 a like, 3 a view, fewer a dislike, as `import_interactions` has it.
ml-1m needs `movies.dat` and `ratings.dat`, of which the first two columns are read, or
`pairs.parquet` with them as `userID` and `movieID`; every pair counts as a like.

Parameters are chosen with `--validation DRAW`: a fifth of the remaining users, drawn anew for every
number, stands in for the held-out ones, who then take no part at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machine import describe_machine
from scipy.sparse import csr_matrix

from recsys.config import parse_assignments
from recsys.datasets.catalogue import Catalogue
from recsys.datasets.id_map import IdMap
from recsys.datasets.importers.movielens import read_films
from recsys.datasets.user_items import Dataset, build_user_items
from recsys.datasets.weights import DEFAULT_WEIGHTS, Cells
from recsys.evaluation.bootstrap import paired_difference_interval
from recsys.evaluation.ranked_lists import as_array, recommend_unseen
from recsys.metrics.ranking import ndcg_at_k, recall_at_k
from recsys.recommenders.base import Recommender
from recsys.recommenders.table import make_recommender
from recsys.types import Float32Array, Float64Array, History, Int64Array

K = 10
REVEALED = range(5)
HELD_OUT_SHARE = 0.2
SEED = 0
WEIGHT_OF_STARS = np.array(
    [np.nan, *(DEFAULT_WEIGHTS[t] for t in ("dislike", "dislike", "view", "like", "favorite"))]
)


@dataclass(frozen=True)
class Acts:
    """One act a row, each user's in the order they were done; `times` UTC seconds, where known."""

    name: str
    catalogue: Catalogue
    users: IdMap
    user_index: Int64Array
    item_index: Int64Array
    weight: Float32Array
    times: Float64Array | None

    def dataset_of(self, users: Int64Array) -> Dataset:
        """What these users did, as a recommender learns from it."""
        rows = np.flatnonzero(np.isin(self.user_index, users))
        times = np.zeros(len(rows)) if self.times is None else self.times[rows]
        cells = Cells(
            self.user_index[rows],
            self.item_index[rows],
            self.weight[rows],
            times,
            np.zeros(len(rows), np.uint8),
        )
        return build_user_items(cells, self.users.ids, self.catalogue.ids, catalogue=self.catalogue)

    def positive_acts(self, user: int) -> tuple[Int64Array, Float32Array]:
        """The items of a user's positive acts, the first one first, and their weights."""
        rows = slice(*np.searchsorted(self.user_index, [user, user + 1]))
        positive = self.weight[rows] > 0
        return self.item_index[rows][positive], self.weight[rows][positive]


@dataclass(frozen=True)
class Person:
    """The positive acts of somebody held out, in order, in the item index space of the dataset."""

    items: np.ndarray
    weights: Float32Array

    def history(self, n_acts: int) -> History:
        """The first of them."""
        return History(self.items[:n_acts].astype(np.int32), self.weights[:n_acts])


def main() -> int:
    """Measure the sets whose folder was given."""
    options = _parse_options()
    for folder, read in ((options.ml_1m, read_ml_1m), (options.ml_100k, read_ml_100k)):
        if folder is not None:
            measure(read(folder), options.validation, parse_assignments(options.set))
    print(describe_machine("numpy", "scipy"))
    return 0


def measure(acts: Acts, validation: int | None, parameters: dict[str, object]) -> None:
    """Fit both recommenders without the people held out, and print a row for each number of acts."""
    others, held_out = _draw(np.arange(len(acts.users)), SEED)
    if validation is not None:
        others, held_out = _draw(others, SEED + validation)
    dataset = acts.dataset_of(others)
    index_of = dataset.all_items.indices(acts.catalogue.ids)
    told = (acts.positive_acts(int(user)) for user in held_out)
    people = [Person(index_of[items], weights) for items, weights in told if len(items) > max(REVEALED)]
    popularity = make_recommender("popularity").fit(dataset)
    content = make_recommender("content", **parameters).fit(dataset)
    print(
        f"\n{acts.name}: {len(others):,} users to learn from, {len(people):,} of {len(held_out):,} "
        f"{'validation' if validation is not None else 'test'} users with {max(REVEALED) + 1} or more "
        f"positive acts; {content.n_items:,} films"
    )
    print(f"acts  {'NDCG@10':^47}  {'recall@10':^47}")
    print("      " + "  ".join(["popularity  content  content - popularity, 95 %"] * 2))
    for n_acts in REVEALED:
        ours, floor = _measure(content, people, n_acts), _measure(popularity, people, n_acts)
        print(f"{n_acts:>4}  " + "  ".join(_compare(*pair) for pair in zip(ours, floor, strict=True)))


def read_ml_1m(folder: Path) -> Acts:
    """Every pair as a like, in the order of the file."""
    if (folder / "ratings.dat").is_file():
        lines = (folder / "ratings.dat").read_text(encoding="latin-1").splitlines()
        user_ids, item_ids = zip(*(line.split("::")[:2] for line in lines), strict=True)
    else:
        import pyarrow.parquet as pq

        pairs = pq.read_table(folder / "pairs.parquet", columns=["userID", "movieID"])
        user_ids, item_ids = (column.to_pylist() for column in pairs.columns)
    weight = np.full(len(user_ids), DEFAULT_WEIGHTS["like"], np.float32)
    return _in_order("ml-1m", folder / "movies.dat", user_ids, item_ids, weight, None)


def read_ml_100k(folder: Path) -> Acts:
    """Ratings as acts, each user's by time."""
    columns = np.loadtxt(folder / "u.data", dtype=np.int64, delimiter="\t").T
    films = folder / "u.item" if (folder / "u.item").is_file() else next(folder.glob("*.item"))
    weight = WEIGHT_OF_STARS[columns[2]].astype(np.float32)
    user_ids, item_ids = (columns[i].astype(str).tolist() for i in (0, 1))
    return _in_order("ml-100k", films, user_ids, item_ids, weight, columns[3].astype(np.float64))


def _in_order(
    name: str,
    films: Path,
    user_ids: Sequence[str],
    item_ids: Sequence[str],
    weight: Float32Array,
    times: Float64Array | None,
) -> Acts:
    catalogue = Catalogue(tuple(read_films(films)))
    users = IdMap(sorted(set(user_ids)))
    user_index = users.indices(user_ids).astype(np.int64)
    item_index = IdMap(catalogue.ids).indices(item_ids).astype(np.int64)
    rows = np.arange(len(user_ids))
    order = np.lexsort((rows, rows if times is None else times, user_index))
    return Acts(
        name,
        catalogue,
        users,
        user_index[order],
        item_index[order],
        weight[order],
        None if times is None else times[order],
    )


def _draw(users: Int64Array, seed: int) -> tuple[Int64Array, Int64Array]:
    """The users that stay, and those held out."""
    shuffled = users[np.random.default_rng(seed).permutation(len(users))]
    n_held_out = round(HELD_OUT_SHARE * len(users))
    return shuffled[n_held_out:], shuffled[:n_held_out]


def _measure(
    recommender: Recommender, people: Sequence[Person], n_acts: int
) -> tuple[Float64Array, Float64Array]:
    """NDCG and recall of each person, their first acts revealed."""
    batches = recommend_unseen(recommender, (person.history(n_acts) for person in people), K)
    ranked = np.concatenate([as_array(lists, K) for lists in batches])
    later = [person.items[n_acts:] for person in people]
    indptr = np.cumsum([0, *map(len, later)])
    items = np.concatenate(later)
    relevant = csr_matrix(
        (np.ones(len(items), np.float32), items, indptr), (len(people), recommender.n_items)
    )
    return ndcg_at_k(ranked, relevant, K), recall_at_k(ranked, relevant, K)


def _compare(ours: Float64Array, floor: Float64Array) -> str:
    gain = paired_difference_interval(ours, floor, SEED)
    interval = f"{gain['mean']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})"
    return f"{floor.mean():>10.4f}  {ours.mean():>7.4f}  {interval:>26}"


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ml-1m", type=Path, metavar="FOLDER")
    parser.add_argument("--ml-100k", type=Path, metavar="FOLDER")
    parser.add_argument("--validation", type=int, metavar="DRAW", help="measure on validation users")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="parameters of content")
    options = parser.parse_args()
    if options.ml_1m is None and options.ml_100k is None:
        parser.error("name at least one folder")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
