"""Two-tower model: a user's vector pooled from their live history, an item's from its id, text and tags
(Yi et al., RecSys 2019; the contrastive loss after Mao et al., CIKM 2021).

Training needs PyTorch and lies in two_tower_training; here is everything else, in NumPy. There is no
embedding of a user: whoever has a history or interests has a vector, known at training time or not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from recsys.config import SectionConfig
from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset, cells_where, check_user_items
from recsys.errors import ArtifactError
from recsys.features.text import TextModel
from recsys.progress import describe, ignore_progress
from recsys.recommenders.base import VectorRecommender, load_array, unit_rows
from recsys.recommenders.content import ContentConfig, fit_catalogue_text
from recsys.recommenders.early_stopping import check_validation, validation_metric
from recsys.recommenders.text_files import load_text_model, save_text_model
from recsys.types import (
    BoolArray,
    Float32Array,
    History,
    Int32Array,
    ProgressCallback,
)

logger = logging.getLogger(__name__)

LOSSES = ("softmax", "contrastive")
VALIDATION_K = 20


@dataclass(frozen=True)
class TwoTowerConfig(SectionConfig):
    """Hyper-parameters of two_tower; the meanings stand in training_config.yaml."""

    section: ClassVar[str] = "two_tower"
    dimensions: int
    epochs: int
    patience: int
    batch_users: int
    learning_rate: float
    loss: str
    temperature: float
    popularity_tilt: float
    margin: float
    negative_weight: float
    negatives: int
    history_share: float
    user_damping: float
    dislike_negatives: float
    id_dropout: float
    seed: int

    def __post_init__(self) -> None:
        for name in ("dimensions", "epochs", "patience", "batch_users", "negatives"):
            self.require(getattr(self, name) >= 1, name, "a whole number from 1")
        self.require(0 < self.learning_rate <= 1, "learning_rate", "above 0, at most 1")
        self.require(self.loss in LOSSES, "loss", " or ".join(LOSSES))
        self.require(self.temperature > 0, "temperature", "above zero")
        self.require(-1 <= self.popularity_tilt <= 1, "popularity_tilt", "from -1 to 1")
        self.require(-1 <= self.margin < 1, "margin", "from -1 to below 1")
        self.require(self.negative_weight > 0, "negative_weight", "above zero")
        self.require(0 < self.history_share < 1, "history_share", "between 0 and 1")
        self.require(0 <= self.user_damping <= 1, "user_damping", "from 0 to 1")
        self.require(self.dislike_negatives > 0, "dislike_negatives", "above zero")
        self.require(0 <= self.id_dropout < 1, "id_dropout", "from 0 to below 1")
        self.require(0 <= self.seed < 2**32, "seed", "from 0 to 4294967295")


@dataclass(frozen=True)
class Towers:
    """Both towers after training, float32; t is the length of a text vector, 0 without a catalogue.

    `inputs` (n_items, d) what an act on each item adds to a user's vector, times the weight of its
    signal; `items` (n_items, d) what that vector is multiplied with, of length 1; `popularity` (n_items,)
    the logarithm of how many times more people like an item than the mean one; `input_text` and
    `item_text` (t, d) make both vectors for a startup that has a text alone; `interests` (t, d) does so
    for a user's own words; `signals` (2,) the exponent of a positive cell's weight, and what a dislike
    weighs.
    """

    inputs: Float32Array
    items: Float32Array
    popularity: Float32Array
    input_text: Float32Array
    item_text: Float32Array
    interests: Float32Array
    signals: Float32Array

    def act_weights(self, weights: Float32Array) -> Float32Array:
        """(n,) what acts count for, from their signed cells: a dislike always counts below zero."""
        exponent, dislike = self.signals
        likes = np.maximum(weights, 0.0) ** exponent
        return np.where(weights > 0, likes, np.where(weights < 0, -dislike, 0.0)).astype(np.float32)

    def with_new_items(self, text_vectors: Float32Array) -> Towers:
        """Items appended that have (n, t) text vectors and nothing else."""
        inputs = np.concatenate((self.inputs, text_vectors @ self.input_text))
        items = np.concatenate((self.items, unit_rows(text_vectors @ self.item_text)))
        unpopular = np.full(len(text_vectors), self.popularity.min(), np.float32)
        popularity = np.concatenate((self.popularity, unpopular))
        return replace(self, inputs=inputs, items=items, popularity=popularity)

    def save(self, folder: Path) -> None:
        """Write one two_tower_<field>.npy a field."""
        for name in _tower_names():
            np.save(_tower_file(folder, name), getattr(self, name))

    @classmethod
    def load(cls, folder: Path, dimensions: int) -> Towers:
        """Read what `save` wrote, memory-mapped.

        Raises:
            ArtifactError: a file is missing or damaged, or they do not fit each other.
        """
        arrays = {
            name: np.asarray(
                load_array(
                    _tower_file(folder, name),
                    columns=None if name in ("signals", "popularity") else dimensions,
                )
            )
            for name in _tower_names()
        }
        towers = cls(**arrays)
        fit = (
            len(towers.inputs) == len(towers.items) > 0
            and towers.popularity.shape == (len(towers.items),)
            and towers.signals.shape == (2,)
        )
        texts = {len(towers.input_text), len(towers.item_text), len(towers.interests)}
        if not fit or len(texts) != 1:
            raise ArtifactError(
                f"The two_tower arrays in {folder} do not fit each other: "
                f"{ {name: array.shape for name, array in arrays.items()} }; train again."
            )
        return towers


class TwoTowerRecommender(VectorRecommender):
    """A user is the sum of what they did and want; the score is its product with an item's vector.

    The sum is divided by the root of the number of its parts, not by its own length: the order of
    the items is the same, and each act's share of a score is exact. With a `popularity_tilt` each vector
    has one more number: an item's popularity, and the length of the user's vector, so that popularity
    weighs as much against any user's cosines.
    """

    name: ClassVar[str] = "two_tower"
    covers_catalogue: ClassVar[bool] = True

    def __init__(self, config: TwoTowerConfig | None = None) -> None:
        self.config: TwoTowerConfig = config or TwoTowerConfig.default()
        self.text_model = TextModel.empty()
        self.best_epoch = 0
        self.learning_curve: list[dict[str, float]] = []
        self._towers: Towers | None = None
        self._item_vectors: Float32Array = np.empty((0, 0), np.float32)

    @classmethod
    def why_not_fit(cls, dataset: Dataset) -> str | None:
        """It learns to tell a like from another, or from interests."""
        likes = np.diff(dataset.positive.indptr)
        if (likes > 1).any():
            return None
        acted_once = (dataset.history(int(user)) for user in np.flatnonzero(likes))
        return None if any(one.interests for one in acted_once) else "nobody has two positive acts"

    def fit(self, dataset: Dataset, progress: ProgressCallback = ignore_progress) -> Self:
        """Train exactly `epochs` epochs.

        Raises:
            DataError: there are no interactions, nobody has two positive cells to tell one from the
                other, or the loss or a weight stops being finite.
        """
        return self._fit(dataset, None, progress)

    def fit_early_stopping(self, validation: Split, progress: ProgressCallback = ignore_progress) -> Self:
        """Train on `validation.train` until NDCG@20 on `validation.test` has not risen for `patience` epochs.

        At most `epochs`. Keeps the weights of the best epoch, `best_epoch` (from 1) says which it was,
        and `learning_curve` what was measured: epoch, loss, ndcg and seconds since the start.

        Raises:
            DataError: as `fit`, or no user has a held-back item.
        """
        check_validation(validation)
        return self._fit(validation.train, validation, progress)

    def why_not(self, history: History) -> str | None:
        """It needs one positive act on a startup it has a vector of, or an interest it can read."""
        known = self._known(history)
        if (history.weights[known] > 0).any() or self._interests(history).any():
            return None
        return "no positive act or interest two_tower knows"

    def user_vector(self, history: History) -> Float32Array:
        """(d,) the sum of the parts over the root of their number; zero when there is none."""
        return self._tilted(self._parts(history).sum(axis=0))

    def lost_vectors(self, history: History, acts: Sequence[int]) -> Float32Array:
        """(n_acts, d) the act's part, less what the others gain by the root of one part fewer."""
        parts, n_parts = self._whole_parts(history)
        whole, n_left = parts.sum(axis=0), np.maximum(n_parts - self._known(history)[acts], 1)
        without = (whole - parts[acts]) / np.sqrt(n_left)[:, np.newaxis]
        lost = self._tilted(whole / max(n_parts, 1) ** 0.5) - self._tilted(without)
        return lost.astype(np.float32)

    def item_vectors(self) -> Float32Array:
        """(n_items, d) of length 1 but for the tilt; zero where nothing is known of an item."""
        self.check_fitted()
        return self._item_vectors

    def contributions(self, history: History, item_indices: Int32Array) -> Float32Array:
        """(n_history, n) exact shares: each column, the interests' share and the tilt's add up to the score.

        Taking an act out also changes the root the sum is divided by, by less than 1 / n of a score made
        of n parts: without a tilt, an act whose share is at least the mean one always leaves a lower score.
        """
        shares: Float32Array = self._parts(history)[:-1] @ self._fitted().items[item_indices].T
        return shares

    def interest_share(self, history: History, item_indices: Int32Array) -> Float32Array:
        """(n,) what the stated interests add to each item's score."""
        share: Float32Array = self._fitted().items[item_indices] @ self._parts(history)[-1]
        return share

    def with_new_items(self, items: Sequence[CatalogueItem]) -> Self:
        """The same recommender with startups appended, each placed by its text and tags alone."""
        extended = copy(self)
        extended._set_towers(self._fitted().with_new_items(self.text_model.item_vectors(items)))
        return extended

    def save(self, folder: Path) -> dict[str, Any]:
        """Write both towers and the text model; the learning curve is among the facts."""
        self._fitted().save(folder)
        save_text_model(self.text_model, folder, self.name)
        return {
            "best_epoch": self.best_epoch,
            "learning_curve": self.learning_curve,
        }

    @classmethod
    def load(cls, folder: Path, recipe: dict[str, Any]) -> Self:
        """Read what `save` wrote."""
        recommender = cls(TwoTowerConfig.from_mapping(recipe))
        towers = Towers.load(folder, recommender.config.dimensions)
        model = load_text_model(folder, cls.name)
        if model.dimensions != len(towers.item_text):
            raise ArtifactError(
                f"The text model of two_tower in {folder} makes vectors of length {model.dimensions} but its "
                f"towers take {len(towers.item_text)}; train again or restore the matching files."
            )
        recommender.text_model = model
        recommender._set_towers(towers)
        return recommender

    def _fit(self, dataset: Dataset, validation: Split | None, progress: ProgressCallback) -> Self:
        from recsys.recommenders.two_tower_training import Examples, train_epochs  # torch

        check_user_items(dataset.user_items)
        self.text_model, text_vectors = fit_catalogue_text(dataset, ContentConfig.default())
        interests = np.stack(
            [self._read_interests(dataset.history(user).interests) for user in range(dataset.n_users)]
        )
        cells = cells_where(dataset.user_items, dataset.user_items.data != 0)
        examples = Examples(cells, text_vectors, interests)
        best: tuple[float, Towers] | None = None
        started = time.monotonic()
        for epoch, (loss, towers) in enumerate(train_epochs(examples, self.config, progress), start=1):
            self._set_towers(towers)
            point = {"epoch": epoch, "loss": loss, "seconds": round(time.monotonic() - started, 3)}
            if validation is not None:
                point["ndcg"] = validation_metric(self, validation, "ndcg", VALIDATION_K, self.config.seed)
            self.learning_curve.append(point)
            logger.info("%s: %s", self.name, describe(point))
            if validation is None:
                self.best_epoch = epoch
            elif best is None or point["ndcg"] > best[0]:
                best, self.best_epoch = (point["ndcg"], towers), epoch
            elif epoch - self.best_epoch >= self.config.patience:
                break
        if best is not None:
            self._set_towers(best[1])
        return self

    def _parts(self, history: History) -> Float32Array:
        """(n_history + 1, dimensions) what adds up to the user's vector; the last row is the interests."""
        parts, n_parts = self._whole_parts(history)
        divided: Float32Array = parts / np.float32(max(n_parts, 1) ** 0.5)
        return divided

    def _whole_parts(self, history: History) -> tuple[Float32Array, int]:
        """The same not yet divided by the root of their number, and that number."""
        return history.once(self, lambda: self._work_out_parts(history))

    def _work_out_parts(self, history: History) -> tuple[Float32Array, int]:
        towers, known = self._fitted(), self._known(history)
        interests = self._interests(history)
        parts = np.zeros((len(known) + 1, self.config.dimensions), np.float32)
        weights = towers.act_weights(history.weights[known])
        parts[:-1][known] = towers.inputs[history.item_indices[known]] * weights[:, None]
        parts[-1] = interests @ towers.interests
        return parts, int(known.sum()) + int(interests.any())

    def _known(self, history: History) -> BoolArray:
        known: BoolArray = (history.item_indices >= 0) & (history.item_indices < self.n_items)
        return known

    def _interests(self, history: History) -> Float32Array:
        return self._read_interests(history.interests)

    def _read_interests(self, interests: Sequence[str]) -> Float32Array:
        """(t,) unit vector of a user's own words; zero when there is none it can read."""
        if not interests:
            return np.zeros(self.text_model.dimensions, np.float32)
        return self.text_model.interest_vector(interests)

    @property
    def _is_tilted(self) -> bool:
        return self.config.popularity_tilt != 0

    def _tilted(self, users: Float32Array) -> Float32Array:
        """(..., d) users' vectors, with their lengths appended if popularity has a say."""
        if not self._is_tilted:
            return users
        return np.concatenate((users, np.linalg.norm(users, axis=-1, keepdims=True)), axis=-1)

    def _set_towers(self, towers: Towers) -> None:
        self._towers, self.n_items = towers, len(towers.items)
        tilt = np.float32(self.config.popularity_tilt * self.config.temperature)
        vectors = (
            np.column_stack((towers.items, tilt * towers.popularity)) if self._is_tilted else towers.items
        )
        self._item_vectors = vectors

    def _fitted(self) -> Towers:
        self.check_fitted()
        assert self._towers is not None  # noqa: S101 - for mypy; check_fitted has raised
        return self._towers


def _tower_names() -> list[str]:
    return [field.name for field in fields(Towers)]


def _tower_file(folder: Path, name: str) -> Path:
    return folder / f"two_tower_{name}.npy"
