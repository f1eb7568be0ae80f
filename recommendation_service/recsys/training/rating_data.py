"""Rating folders as categories: found, loaded, checked, and divided into train, validation and test.

A category is a folder of `recsys import`, or a folder with such folders called train, valid and test:
then nothing is drawn, and ids of the last two that train lacks are unknown (-1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recsys.datasets.files import hash_file
from recsys.datasets.id_map import IdMap
from recsys.datasets.rating_splits import BY_USER, RatingSplit, join_ratings, split_ratings, take_ratings
from recsys.datasets.ratings import (
    CATALOGUE_FILE,
    MANIFEST_FILE,
    RATINGS_FILE,
    RatingDataset,
    Ratings,
    load_ratings,
)
from recsys.errors import DataError
from recsys.recommenders.rating_base import RatingData, RatingRecommender
from recsys.types import Int32Array

PARTS = (("train",), ("valid", "validation"), ("test",))
USERS_FILE = "users.parquet"
# Never a feature: ids, and texts that nearly every item has its own of.
NO_FEATURES = ("id", "owner_id", "name", "short_description", "long_description")


@dataclass(frozen=True, slots=True)
class Category:
    """A name and where its ratings lie."""

    name: str
    folder: Path


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """How to divide a category whose source was not divided already."""

    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    by: str = BY_USER
    seed: int = 0


@dataclass(frozen=True, slots=True)
class CategoryData:
    """A category loaded and divided. `notes` is what a person should know of it, a line each."""

    name: str
    split: RatingSplit
    user_mapping: IdMap
    item_mapping: IdMap
    item_names: tuple[str, ...] | None
    points_range: tuple[float, float]
    dataset_hash: str
    notes: tuple[str, ...]
    folder: Path

    def data_of(self, ratings: Ratings, recommender: type[RatingRecommender]) -> RatingData:
        """Some of its ratings as a recommender takes them."""
        data = RatingData(ratings, len(self.user_mapping), len(self.item_mapping), self.points_range)
        if not recommender.uses_features:
            return data
        return replace(
            data,
            user_features=_read_features(self.folder / USERS_FILE, self.user_mapping),
            item_features=_read_features(self.folder / CATALOGUE_FILE, self.item_mapping),
        )

    def learned_from(self, recommender: type[RatingRecommender]) -> Ratings:
        """What the fit that is kept learns from: the validation part too, unless it stops by that."""
        if recommender.uses_validation or len(self.split.validation) == 0:
            return self.split.train
        return join_ratings(self.split.train, self.known_validation())

    def known_validation(self) -> Ratings:
        """The ratings of the validation part whose user and item have a number."""
        validation = self.split.validation
        return take_ratings(validation, (validation.user_index >= 0) & (validation.item_index >= 0))

    def facts(self) -> dict[str, Any]:
        """For a manifest: how it was divided, and the size and sparsity of each part."""
        parts = {"train": self.split.train, "validation": self.split.validation, "test": self.split.test}
        return {
            "strategy": self.split.strategy,
            **{name: _part_facts(ratings) for name, ratings in parts.items()},
        }


def find_categories(folders: Sequence[Path]) -> list[Category]:
    """The categories of some folders; one without ratings of its own stands for the folders in it.

    Raises:
        DataError: a folder does not exist or holds no ratings, or two categories have one name.
    """
    found: list[Category] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder.absolute()} is not a folder; name one that `recsys import` has made.")
        if _is_category(folder):
            found.append(Category(folder.resolve().name, folder))
            continue
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        if not inside:
            raise DataError(
                f"{folder.absolute()} holds no ratings: looked for {MANIFEST_FILE} and {RATINGS_FILE} there, "
                "for train, valid and test folders, and folders of categories; `recsys import` makes them."
            )
        found += [Category(path.name, path) for path in inside]
    names = [category.name for category in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DataError(
            f"Two folders are called {min(twice)}; rename one, for each gets a folder of that name."
        )
    return found


def load_category(category: Category, options: SplitOptions) -> CategoryData:
    """Load, check and divide one category.

    Raises:
        DataError: a file is missing or damaged, there are no rows, or a part would be empty.
    """
    folders = _part_folders(category.folder)
    datasets = [load_ratings(folder) for folder in folders]
    first = datasets[0]
    if len(folders) == 1:
        split = split_ratings(datasets[0].ratings, options.shares, options.seed, by=options.by)
    else:
        split = _given_split(first, datasets)
    return CategoryData(
        name=category.name,
        split=split,
        user_mapping=first.user_mapping,
        item_mapping=first.item_mapping,
        item_names=_item_names(first),
        points_range=_common_range(datasets),
        dataset_hash=_hash_manifests(folders),
        notes=(*_repeated(datasets), *_guessed_range(first)),
        folder=folders[0],
    )


def hash_category(category: Category) -> str:
    """What `CategoryData.dataset_hash` would be, without loading the ratings.

    Raises:
        DataError: a manifest is missing.
    """
    return _hash_manifests(_part_folders(category.folder))


def _is_category(folder: Path) -> bool:
    return (folder / MANIFEST_FILE).is_file() or (folder / RATINGS_FILE).is_file() or _has_parts(folder)


def _has_parts(folder: Path) -> bool:
    return (folder / "train").is_dir()


def _part_folders(folder: Path) -> list[Path]:
    """The folder itself, or its train, valid and test folders."""
    if not _has_parts(folder):
        return [folder]
    parts: list[Path] = []
    for names in PARTS:
        there = [folder / name for name in names if (folder / name).is_dir()]
        if not there:
            raise DataError(
                f"{folder.absolute()} has a train folder but none called {' or '.join(names)}; import that "
                "part too, or move the ratings up one folder to have them divided here."
            )
        parts.append(there[0])
    return parts


def _hash_manifests(folders: Sequence[Path]) -> str:
    for folder in folders:
        if not (folder / MANIFEST_FILE).is_file():
            raise DataError(
                f"{(folder / MANIFEST_FILE).absolute()} does not exist; make the folder with `recsys import`."
            )
    hashes = [hash_file(folder / MANIFEST_FILE) for folder in folders]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _common_range(datasets: Sequence[RatingDataset]) -> tuple[float, float]:
    lows, highs = zip(*(dataset.points_range for dataset in datasets), strict=True)
    low, high = min(lows), max(highs)
    if low == high:
        raise DataError(
            f"All ratings are {low:g} and no scale is known; import them with --scale LOW:HIGH, the points "
            "there can be."
        )
    return low, high


def _guessed_range(dataset: RatingDataset) -> list[str]:
    if dataset.manifest.get("scale") is not None:
        return []
    low, high = dataset.points_range
    return [
        f"points are taken to go from {low:g} to {high:g}, the extremes found; "
        "`recsys import --scale LOW:HIGH` says it"
    ]


def _repeated(datasets: Sequence[RatingDataset]) -> list[str]:
    rows = sum(int(dataset.manifest["counts"]["ratings"]) for dataset in datasets)
    repeated = rows - sum(len(dataset.ratings) for dataset in datasets)
    return [f"{repeated:,} ratings of a pair rated again later left out: the latest counts"] * bool(repeated)


def _given_split(first: RatingDataset, datasets: Sequence[RatingDataset]) -> RatingSplit:
    train, validation, test = (
        dataset.ratings if dataset is first else _renumber(dataset, first) for dataset in datasets
    )
    return RatingSplit(train, validation, test, "the train, validation and test files as they came")


def _renumber(dataset: RatingDataset, first: RatingDataset) -> Ratings:
    """The same ratings by the numbers of another folder; -1 where it does not know an id."""
    users = first.user_mapping.indices(dataset.user_mapping.ids)
    items = first.item_mapping.indices(dataset.item_mapping.ids)
    ratings = dataset.ratings
    return replace(
        ratings, user_index=_take(users, ratings.user_index), item_index=_take(items, ratings.item_index)
    )


def _take(numbers: Int32Array, index: Int32Array) -> Int32Array:
    taken: Int32Array = numbers[index]
    return taken


def _item_names(dataset: RatingDataset) -> tuple[str, ...] | None:
    if dataset.catalogue is None:
        return None
    name_of = {item.id: item.name for item in dataset.catalogue.items}
    return tuple(name_of.get(item_id, "") for item_id in dataset.item_mapping.ids)


def _read_features(path: Path, mapping: IdMap) -> Any:
    """A row an id of the mapping, null where the file lacks it; None without the file."""
    if not path.is_file():
        return None
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    if "id" not in table.column_names:
        raise DataError(f"{path} has no column id; name the rows by it.")
    rows = pc.index_in(pa.array(mapping.ids, pa.string()), table["id"].combine_chunks())
    table = table.drop_columns([name for name in NO_FEATURES if name in table.column_names]).take(rows)
    for position, field in enumerate(table.schema):
        if pa.types.is_temporal(field.type):
            table = table.set_column(position, field.name, pc.year(table[field.name]))
    return table


def _part_facts(ratings: Ratings) -> dict[str, Any]:
    users, items = len(np.unique(ratings.user_index)), len(np.unique(ratings.item_index))
    cells = users * items
    return {
        "ratings": len(ratings),
        "users": users,
        "items": items,
        "sparsity": 1 - len(ratings) / cells if cells else 1.0,
    }
