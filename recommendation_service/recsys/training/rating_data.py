"""Rating folders as categories: found, loaded, checked, and divided into train, validation and test.

A category is a folder of `recsys import`. One whose source came in train, valid and test files is taken as
it comes; any other is divided at random.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.datasets.files import hash_file
from recsys.datasets.id_map import IdMap
from recsys.datasets.rating_splits import (
    BY_USER,
    RatingSplit,
    check_shares,
    join_ratings,
    split_ratings,
    take_ratings,
)
from recsys.datasets.rating_tables import load_table
from recsys.datasets.ratings import (
    CATALOGUE_FILE,
    ITEMS_FILE,
    MANIFEST_FILE,
    PARTS,
    RATINGS_FILE,
    USERS_FILE,
    RatingDataset,
    Ratings,
    load_ratings,
)
from recsys.errors import ConfigError, DataError
from recsys.recommenders.rating_base import RatingData, RatingRecommender
from recsys.types import UInt8Array

if TYPE_CHECKING:
    import pyarrow as pa

FEATURE_FILES = (USERS_FILE, CATALOGUE_FILE, ITEMS_FILE)
# Of a catalogue never a feature: an id, and texts that nearly every item has its own of.
NO_FEATURES = ("owner_id", "name", "short_description", "long_description")


@dataclass(frozen=True, slots=True)
class Category:
    """A name and where its ratings lie."""

    name: str
    folder: Path


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """How to divide a category whose source was not divided already.

    Raises (when made):
        ConfigError: the shares or the seed cannot be used.
    """

    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    by: str = BY_USER
    seed: int = 0

    def __post_init__(self) -> None:
        check_shares(self.shares)
        if self.seed < 0:
            raise ConfigError(f"The seed of the division is {self.seed}; give a whole number from 0.")


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

    def data_of(self, ratings: Ratings, recommender: RatingRecommender) -> RatingData:
        """Some of its ratings as a recommender takes them.

        Raises:
            DataError: a table of features cannot be used, or one is needed and there is none.
        """
        data = RatingData(
            ratings,
            len(self.user_mapping),
            len(self.item_mapping),
            self.points_range,
            user_ids=self.user_mapping.ids,
            item_ids=self.item_mapping.ids,
        )
        if not recommender.uses_features:
            return data
        users = _user_features(self.folder, self.user_mapping)
        items = _item_features(self.folder, self.item_mapping)
        if recommender.needs_features and users is None and items is None:
            raise DataError(
                f"{recommender.name} was asked to use features and there are none: looked for "
                f"{', '.join(str(self.folder / name) for name in FEATURE_FILES)}. Lay one there (a column id "
                "and any others), or ask without."
            )
        return replace(data, user_features=users, item_features=items)

    def feature_notes(self, recommender: RatingRecommender) -> tuple[str, ...]:
        """Which side a recommender that uses features has none of, and where they were looked for."""
        sides = (
            {"user": (USERS_FILE,), "item": (CATALOGUE_FILE, ITEMS_FILE)} if recommender.uses_features else {}
        )
        return tuple(
            f"no {side} features: looked for {' and '.join(str(self.folder / name) for name in names)}"
            for side, names in sides.items()
            if not any((self.folder / name).is_file() for name in names)
        )

    def learned_from(self, recommender: type[RatingRecommender]) -> Ratings:
        """What the fit that is kept learns from: the validation part too, unless it stops by that."""
        if recommender.uses_validation or len(self.split.validation) == 0:
            return self.split.train
        return join_ratings(self.split.train, self.split.validation)

    def held_back(self) -> Ratings | None:
        """What a fit may stop early by; None where there is no validation part."""
        return self.split.validation if len(self.split.validation) else None

    def facts(self) -> dict[str, Any]:
        """For a manifest: how it was divided, and the size and sparsity of each part."""
        parts = {"train": self.split.train, "validation": self.split.validation, "test": self.split.test}
        return {
            "strategy": self.split.strategy,
            **{name: _part_facts(ratings) for name, ratings in parts.items()},
        }


def find_categories(folders: Sequence[Path], names: Sequence[str] = ()) -> list[Category]:
    """The categories of some folders; one without ratings of its own stands for the folders in it.

    Args:
        folders: where to look.
        names: take these alone, in this order; all when there are none.

    Raises:
        DataError: a folder does not exist or holds no ratings, two categories have one name, or a name
            is of none.
    """
    found = {category.name: category for category in _all_categories(folders)}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise DataError(
            f"There is no category {', '.join(unknown)} in {', '.join(str(f.absolute()) for f in folders)}; "
            f"there are {', '.join(found)}."
        )
    return [found[name] for name in dict.fromkeys(names)] if names else list(found.values())


def load_category(category: Category, options: SplitOptions) -> CategoryData:
    """Load, check and divide one category.

    Raises:
        DataError: a file is missing or damaged, there are no rows, or a part would be empty.
    """
    dataset = load_ratings(category.folder)
    ratings = dataset.ratings
    if len(ratings) == 0:
        raise DataError(f"{category.folder / RATINGS_FILE} has no rows; import some ratings there.")
    if ratings.parts is None:
        split = split_ratings(ratings, options.shares, options.seed, by=options.by)
    else:
        split = _given_split(category, ratings, ratings.parts)
    return CategoryData(
        name=category.name,
        split=split,
        user_mapping=dataset.user_mapping,
        item_mapping=dataset.item_mapping,
        item_names=_item_names(dataset),
        points_range=_range_of(dataset),
        dataset_hash=hash_dataset(category.folder),
        notes=(*_repeated(dataset), *_given(split, ratings.parts), *_guessed_range(dataset)),
        folder=category.folder,
    )


def hash_dataset(folder: Path) -> str:
    """What `CategoryData.dataset_hash` would be, without loading the ratings.

    Raises:
        DataError: the manifest is missing.
    """
    manifest = folder / MANIFEST_FILE
    if not manifest.is_file():
        raise DataError(f"{manifest} does not exist; make the folder with `recsys import`.")
    return hash_file(manifest)


def hash_features(folder: Path) -> str:
    """The sha256 of a folder's tables of features, of their names and contents; of none where none is."""
    found = [f"{name} {hash_file(folder / name)}" for name in FEATURE_FILES if (folder / name).is_file()]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()


def _all_categories(folders: Sequence[Path]) -> list[Category]:
    found: list[Category] = []
    for folder in map(Path.absolute, folders):
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder; name one that `recsys import` has made.")
        if _is_category(folder):
            found.append(Category(folder.resolve().name, folder))
            continue
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        if not inside:
            raise DataError(
                f"{folder} holds no ratings: looked for {MANIFEST_FILE} and {RATINGS_FILE} there "
                "and for folders of categories; `recsys import` makes them."
            )
        found += [Category(path.name, path) for path in inside]
    names = [category.name for category in found]
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DataError(f"The name of the folder {name!r} is not UTF-8; rename it.") from None
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DataError(
            f"Two folders are called {min(twice)}; rename one, for each gets a folder of that name."
        )
    return found


def _is_category(folder: Path) -> bool:
    return (folder / MANIFEST_FILE).is_file() or (folder / RATINGS_FILE).is_file()


def _given_split(category: Category, ratings: Ratings, parts: UInt8Array) -> RatingSplit:
    train, validation, test = (take_ratings(ratings, parts == part) for part in range(len(PARTS)))
    if len(train) == 0:
        raise DataError(
            f"{category.folder / RATINGS_FILE} has no rows of a train file; import one that has some."
        )
    return RatingSplit(train, validation, test, "the train, valid and test files as they came")


def _given(split: RatingSplit, parts: UInt8Array | None) -> list[str]:
    if parts is None:
        return []
    sizes = (len(split.train), len(split.validation), len(split.test))
    told = ", ".join(f"{size:,} {name}" for name, size in zip(PARTS, sizes, strict=True))
    return [f"divided as its files were ({told}); --shares, --split-by and --seed do not apply"]


def _range_of(dataset: RatingDataset) -> tuple[float, float]:
    low, high = dataset.points_range
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


def _repeated(dataset: RatingDataset) -> list[str]:
    if not dataset.n_repeated:
        return []
    return [f"{dataset.n_repeated:,} ratings of a pair rated again later left out: the latest counts"]


def _item_names(dataset: RatingDataset) -> tuple[str, ...] | None:
    if dataset.catalogue is None:
        return None
    name_of = {item.id: item.name for item in dataset.catalogue.items}
    return tuple(name_of.get(item_id, "") for item_id in dataset.item_mapping.ids)


def _user_features(folder: Path, mapping: IdMap) -> pa.Table | None:
    """What users.parquet tells, a row a user; None without the file."""
    return _read_features(folder / USERS_FILE, mapping)


def _item_features(folder: Path, mapping: IdMap) -> pa.Table | None:
    """What the catalogue and items.parquet tell, a row an item; None without either."""
    catalogue = _read_features(folder / CATALOGUE_FILE, mapping)
    own = _read_features(folder / ITEMS_FILE, mapping)
    if catalogue is None or own is None:
        return own if catalogue is None else _without_texts(catalogue)
    table = _without_texts(catalogue)
    for name in own.column_names:
        if name in table.column_names:
            raise DataError(
                f"{folder / ITEMS_FILE} has the column {name!r}, and so has {CATALOGUE_FILE}; rename it."
            )
        table = table.append_column(name, own[name])
    return table


def _without_texts(catalogue: pa.Table) -> pa.Table:
    return catalogue.drop_columns([name for name in NO_FEATURES if name in catalogue.column_names])


def _read_features(path: Path, mapping: IdMap) -> pa.Table | None:
    """A row an id of the mapping, null where the file lacks it, of a date its year; None without the file."""
    if not path.is_file():
        return None
    from pyarrow import compute, types

    table = load_table(path, mapping)
    for position, field in enumerate(table.schema):
        if types.is_date(field.type) or types.is_timestamp(field.type):
            table = table.set_column(position, field.name, compute.year(table[field.name]))
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
