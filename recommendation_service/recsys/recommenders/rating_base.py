"""What every rating recommender can do: predict the points a user would give an item.

They learn from ratings rather than from acts, are used from the console and are never served, so
they stand apart from `Recommender`: their table is `rating_table`, and their artifact is a folder of
its own, not a part of a release.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix

from recsys.config import SectionConfig
from recsys.datasets.ratings import RatingDataset, Ratings
from recsys.errors import ArtifactError, DataError, NotFittedError
from recsys.progress import ignore_progress
from recsys.recommenders.base import load_array
from recsys.types import BoolArray, Float32Array, Int32Array, ProgressCallback

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

MANIFEST_FILE = "manifest.json"
FACTORS, FEATURES, BIASES = "factors", "features", "biases"  # what an answer rests on
PART_FACTS = ("ratings", "users", "items", "sparsity")
KNOWN_USERS_FILE, KNOWN_ITEMS_FILE = "known_users.npy", "known_items.npy"


@dataclass(frozen=True, slots=True)
class RatingData:
    """What a rating recommender learns from.

    `ratings`: each (user, item) pair once. `n_users`, `n_items`: the whole index space; an index
    without a rating here is allowed, and stays unknown. `range`: the lowest and the highest points
    there are; predictions are clipped to it. `user_features`, `item_features`: a row a user or item,
    in index order. `history`: (n_users, n_items) CSR of who did something with what, rated or not.
    `user_ids`, `item_ids`: what to call a row by in a log; without them it goes by its index.

    Raises (when made):
        DataError: there are no ratings, an index lies outside, points are not finite or out of
            range, a pair comes twice, or a table or the ids have another number of rows.
    """

    ratings: Ratings
    n_users: int
    n_items: int
    range: tuple[float, float]
    user_features: pa.Table | None = None
    item_features: pa.Table | None = None
    history: csr_matrix | None = None
    user_ids: Sequence[str] | None = None
    item_ids: Sequence[str] | None = None

    def __post_init__(self) -> None:
        _check_ratings(self)
        for kind, table, expected in (
            ("user", self.user_features, self.n_users),
            ("item", self.item_features, self.n_items),
        ):
            if table is not None and table.num_rows != expected:
                raise DataError(
                    f"The {kind} features have {table.num_rows:,} rows for {expected:,} {kind}s; "
                    f"give one a {kind}, in index order."
                )
        for kind, ids, expected in (
            ("user", self.user_ids, self.n_users),
            ("item", self.item_ids, self.n_items),
        ):
            if ids is not None and len(ids) != expected:
                raise DataError(
                    f"There are {len(ids):,} {kind} ids for {expected:,} {kind}s; give one a {kind}."
                )
        if self.history is not None and self.history.shape != (self.n_users, self.n_items):
            raise DataError(
                f"The history has shape {self.history.shape}, not {(self.n_users, self.n_items)}; "
                "build it over the same users and items."
            )

    @classmethod
    def of_dataset(cls, dataset: RatingDataset) -> RatingData:
        """All ratings of a folder, with the range its manifest names."""
        n_users, n_items = len(dataset.user_mapping), len(dataset.item_mapping)
        return cls(dataset.ratings, n_users, n_items, dataset.points_range)


class RatingRecommender(ABC):
    """Predicts points for (user, item) pairs and scores every item for a user.

    An index of -1 stands for a user or item nobody knows. It, and one without a rating in training,
    is answered with what is known: the mean, the other side's bias, its features; `rests_on` tells which.
    A subclass's `fit` starts with `remember`, its `save` and `load` with those of this class.
    """

    name: ClassVar[str]
    uses_validation: ClassVar[bool] = False  # true: stops early by the validation part, so is not given it
    uses_features: bool = False  # true: reads `user_features` and `item_features`
    needs_features: bool = False  # true: was asked to, and refuses where there is no table at all
    config: SectionConfig
    n_users: int = 0
    n_items: int = 0
    range: tuple[float, float] = (0.0, 0.0)
    known_users: BoolArray
    known_items: BoolArray

    @abstractmethod
    def fit(
        self,
        data: RatingData,
        validation: Ratings | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Self:
        """Learn from ratings; a fitted object is never fitted again, make a new one.

        Args:
            data: what to learn from.
            validation: ratings that are not in `data`, for who stops early by them.
            progress: told how far it is.

        Raises:
            DataError: the ratings are too few for this recommender.
        """

    @abstractmethod
    def predict(self, user_index: Int32Array, item_index: Int32Array) -> Float32Array:
        """(n,) points for (n,) pairs, clipped to `range`; -1 is an unknown user or item."""

    @abstractmethod
    def score_users(self, user_index: Int32Array) -> Float32Array:
        """(n, n_items) what to rank by, best highest; not clipped, so that clipping makes no ties."""

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the arrays into a folder; returns facts for its manifest. A subclass adds its own."""
        self.check_fitted()
        np.save(folder / KNOWN_USERS_FILE, self.known_users)
        np.save(folder / KNOWN_ITEMS_FILE, self.known_items)
        return {"range": list(self.range)}

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; the recipe and the facts stand in the folder's manifest.

        Raises:
            ArtifactError: a file is missing, is not an array, or has another shape.
        """

    @classmethod
    def most_factors(cls, n_users: int, n_items: int) -> int | None:
        """The longest latent vector a matrix of this size allows; None when any does."""
        return None

    def caveat(self) -> str:
        """What a reader of its figures must know, in a line; "" when nothing."""
        return ""

    def health_report(self) -> list[str]:
        """How sound its fit was, a line each, the worst rows by their ids; none where nothing is watched."""
        return []

    def is_known(self, user_index: Int32Array, item_index: Int32Array) -> BoolArray:
        """(n,) whether both sides of a pair had a rating in training."""
        self.check_fitted()
        return _known(self.known_users, user_index) & _known(self.known_items, item_index)

    def placed(self) -> tuple[BoolArray, BoolArray]:
        """(n_users,) and (n_items,) who adds something to an answer: by ratings, or else by features."""
        return self.known_users, self.known_items

    def rests_on(self, user_index: Int32Array, item_index: Int32Array) -> NDArray[np.str_]:
        """(n,) what each answer rests on: "factors" (both sides rated), "features" or "biases".

        "features": a side without ratings is placed by its features. "biases": a side adds nothing.
        """
        known = self.is_known(user_index, item_index)
        users, items = self.placed()
        placed = _known(users, user_index) & _known(items, item_index)
        return np.where(known, FACTORS, np.where(placed, FEATURES, BIASES))

    def check_fitted(self) -> None:
        """Raise NotFittedError before `fit` or `load`."""
        if self.n_items == 0:
            raise NotFittedError(f"{self.name} is not fitted; call fit() or load() first.")

    def clip(self, points: Float32Array) -> Float32Array:
        """The same points, those outside `range` moved to its ends."""
        return np.clip(points, *self.range).astype(np.float32, copy=False)

    def remember(self, data: RatingData) -> None:
        """Note the sizes, the range, and who has a rating."""
        self.n_users, self.n_items, self.range = data.n_users, data.n_items, data.range
        self.known_users = np.zeros(data.n_users, np.bool_)
        self.known_items = np.zeros(data.n_items, np.bool_)
        self.known_users[data.ratings.user_index] = True
        self.known_items[data.ratings.item_index] = True

    def recall(self, folder: Path, manifest: dict[str, Any]) -> None:
        """Read what `remember` noted back from a folder."""
        self.known_users = load_array(folder / KNOWN_USERS_FILE, kinds="b")
        self.known_items = load_array(folder / KNOWN_ITEMS_FILE, kinds="b")
        self.n_users, self.n_items = len(self.known_users), len(self.known_items)
        low, high = manifest["facts"]["range"]
        self.range = (float(low), float(high))

    def load_arrays(self, folder: Path, names: Sequence[str], factors: int) -> dict[str, Float32Array]:
        """The arrays a `save` wrote, called `user_...` and `item_...`, after `recall`.

        A name that ends with "factors" has (n_users or n_items, factors) of them, any other a value a row.

        Raises:
            ArtifactError: a file is missing, is no array, or has another shape.
        """
        arrays = {name: load_array(folder / f"{name}.npy") for name in names}
        for name, array in arrays.items():
            rows = self.n_items if name.startswith("item") else self.n_users
            expected = (rows, factors) if name.endswith("factors") else (rows,)
            if array.shape != expected:
                raise ArtifactError(
                    f"{folder / name}.npy has shape {array.shape}, not {expected}; train again or restore "
                    "the matching file."
                )
        return arrays


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an artifact folder: "recommender", "recipe" (its configuration), "facts" and more.

    Raises:
        ArtifactError: it is missing, or not what was written.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path} does not exist; train there first, or name another folder.") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is not JSON ({error}); train again.") from error
    kept = isinstance(manifest, dict) and all(
        isinstance(manifest.get(key), dict) for key in ("recipe", "facts")
    )
    if not kept or not _is_range(manifest["facts"].get("range")):
        raise ArtifactError(f"{path} lacks a recipe or the facts of a rating recommender; train again.")
    if not (_is_split(manifest.get("split", {})) and _is_tested(manifest.get("metrics", {}))):
        raise ArtifactError(f"{path} does not say split and metrics as a training does; train again.")
    return dict(manifest)


def _is_split(value: object) -> bool:
    """Parts with numbers, and a strategy in words."""
    return isinstance(value, dict) and all(
        isinstance(part, dict) and all(_is_number(part.get(name)) for name in PART_FACTS)
        for name, part in value.items()
        if name != "strategy"
    )


def _is_tested(value: object) -> bool:
    """Figures by name and their protocol, or nothing."""
    if not isinstance(value, dict):
        return False
    figures = value.get("figures")
    return not value or (
        isinstance(value.get("protocol"), str)
        and isinstance(figures, dict)
        and all(map(_is_number, figures.values()))
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_range(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(bound, int | float) for bound in value)
        and value[0] < value[1]
    )


def _known(known: BoolArray, index: Int32Array) -> BoolArray:
    inside: BoolArray = (index >= 0) & (index < len(known))
    inside[inside] = known[index[inside]]
    return inside


def _check_ratings(data: RatingData) -> None:
    ratings, (low, high) = data.ratings, data.range
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise DataError(
            f"The range of the points is {low} to {high}; the low end must be below the high one."
        )
    if len(ratings) == 0:
        raise DataError("There are no ratings to learn from; import some, or loosen the filter.")
    for kind, index, size in (
        ("user", ratings.user_index, data.n_users),
        ("item", ratings.item_index, data.n_items),
    ):
        if len(index) != len(ratings) or index.min() < 0 or index.max() >= size:
            raise DataError(
                f"The {kind} indices do not fit {len(ratings):,} ratings of {size:,} {kind}s; "
                "load them with their mappings."
            )
    outside = np.flatnonzero(~((ratings.points >= low) & (ratings.points <= high)))
    if len(outside):
        user, item = int(ratings.user_index[outside[0]]), int(ratings.item_index[outside[0]])
        raise DataError(
            f"{len(outside):,} ratings lie outside {low:g} to {high:g} or are no number; the first, "
            f"user {data.user_ids[user] if data.user_ids else user} with item "
            f"{data.item_ids[item] if data.item_ids else item}, is "
            f"{ratings.points[outside[0]]}: correct it, or import the ratings with --scale, which clips them."
        )
    keys = ratings.user_index.astype(np.int64) * data.n_items + ratings.item_index
    if not (keys[1:] > keys[:-1]).all():
        keys.sort()
        n_twice = int((keys[1:] == keys[:-1]).sum())
        if n_twice:
            raise DataError(
                f"{n_twice:,} (user, item) pairs are rated twice; load_ratings keeps the latest of each."
            )
