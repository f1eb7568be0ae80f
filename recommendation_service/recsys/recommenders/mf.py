"""Biased matrix factorization of ratings (Koren, Bell & Volinsky, IEEE Computer 2009), trained by PyTorch.

A rating is the mean, a bias of the user and of the item, and the product of their vectors, through a
sigmoid scaled to the range of the points. A user's vector may hold a sum over the items of their history
(SVD++: Koren, KDD 2008), both sides' vectors and biases a part that their features give. All of that is
folded into one vector and one bias each when training ends, so that predicting is NumPy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix

from recsys.config import SectionConfig
from recsys.datasets.ratings import Ratings
from recsys.errors import ArtifactError, DataError
from recsys.features.feature_cells import KINDS_IN_WORDS, are_kinds
from recsys.features.feature_columns import fit_and_encode
from recsys.progress import ignore_progress
from recsys.recommenders.rating_base import RatingData, RatingRecommender, read_manifest
from recsys.types import BoolArray, Float32Array, Int32Array, Int64Array, ProgressCallback

OUTPUTS = ("sigmoid", "linear")
STARTS = ("xavier", "normal")
CHUNK = 65_536  # pairs predicted at once: some 60 MB at 128 factors
ARRAYS = ("user_factors", "user_biases", "item_factors", "item_biases")
MOST_RAW = 30.0  # the sigmoid of more is 1 to the last bit of float32


@dataclass(frozen=True)
class MFConfig(SectionConfig):
    """Hyper-parameters of mf; the meanings stand in training_config.yaml."""

    section: ClassVar[str] = "mf"
    factors: int
    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    last_rate: float
    weight_decay: float
    bias_decay: float
    decay_power: float
    dropout: float
    output: str
    start: str
    history: bool
    features: bool
    threads: int
    seed: int
    user_columns: Mapping[str, str] = field(default_factory=dict)  # older artifacts lack them
    item_columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("factors", "epochs", "patience", "batch_size", "threads"):
            self.require(getattr(self, name) >= 1, name, "a whole number from 1")
        self.require(0 < self.learning_rate <= 1, "learning_rate", "above 0, at most 1")
        self.require(0 < self.last_rate <= 1, "last_rate", "above 0, at most 1")
        for name in ("weight_decay", "bias_decay"):
            self.require(getattr(self, name) >= 0, name, "zero or above")
        self.require(0 <= self.decay_power <= 1, "decay_power", "from 0 to 1")
        self.require(0 <= self.dropout < 0.99, "dropout", "from 0 to below 0.99")
        self.require(self.output in OUTPUTS, "output", " or ".join(OUTPUTS))
        self.require(self.start in STARTS, "start", " or ".join(STARTS))
        self.require(0 <= self.seed < 2**32, "seed", "from 0 to 4294967295")
        for name in ("user_columns", "item_columns"):
            self.require(are_kinds(getattr(self, name)), name, KINDS_IN_WORDS)


@dataclass(frozen=True)
class Pairs:
    """Rated pairs as columns: (n,) int32 `user_index` and `item_index`, float32 `points`."""

    user_index: Int32Array
    item_index: Int32Array
    points: Float32Array

    def __len__(self) -> int:
        return len(self.points)

    def take(self, chosen: Int64Array) -> Pairs:
        """The pairs at these positions."""
        return Pairs(self.user_index[chosen], self.item_index[chosen], self.points[chosen])

    def sample(self, n: int, rng: np.random.Generator) -> Pairs:
        """All of them, or `n` drawn without replacement."""
        if len(self) <= n:
            return self
        return self.take(np.sort(rng.choice(len(self), n, replace=False)))


@dataclass(frozen=True)
class Examples:
    """What is learned from: pairs with points from `low` to `high`, and what is known beside them.

    `user_features` (n_users, f) and `item_features` (n_items, g) float32, `history` (n_users, n_items)
    CSR of who did something with what.
    """

    pairs: Pairs
    n_users: int
    n_items: int
    low: float
    high: float
    user_features: Float32Array | None = None
    item_features: Float32Array | None = None
    history: csr_matrix | None = None


@dataclass(frozen=True)
class EpochLoss:
    """Mean squared errors after an epoch; `validation` is None where there is no such part."""

    epoch: int
    train: float
    validation: float | None


@dataclass(frozen=True)
class MFFactors:
    """What training comes to, float32: factors (n_users, factors) and biases (n_users,); items alike."""

    user_factors: Float32Array
    user_biases: Float32Array
    item_factors: Float32Array
    item_biases: Float32Array
    offset: float
    low: float
    high: float
    output: str

    def predict(self, users: Int32Array, items: Int32Array) -> Float32Array:
        """(n,) points of (n,) pairs, clipped to the range; -1 has neither a vector nor a bias."""
        points = np.empty(len(users), np.float32)
        for start in range(0, len(users), CHUNK):
            part = slice(start, start + CHUNK)
            u, i = users[part], items[part]
            raw = np.einsum("nf,nf->n", self.user_factors[u], self.item_factors[i])
            raw[(u < 0) | (i < 0)] = 0  # -1 read the last row
            raw += np.where(u < 0, np.float32(0), self.user_biases[u])
            raw += np.where(i < 0, np.float32(0), self.item_biases[i])
            points[part] = self.to_points(raw + np.float32(self.offset))
        return np.clip(points, self.low, self.high)

    def score_users(self, users: Int32Array) -> Float32Array:
        """(n, n_items) raw scores, before sigmoid and clipping; -1 has neither a vector nor a bias."""
        scores = self.user_factors[users] @ self.item_factors.T + self.user_biases[users][:, None]
        scores[users < 0] = 0  # -1 read the last row
        return scores + self.item_biases + np.float32(self.offset)

    def to_points(self, raw: Float32Array) -> Float32Array:
        """What the output makes of raw scores, unclipped."""
        if self.output == "linear":
            return raw
        shares = 1 / (1 + np.exp(-np.clip(raw, -MOST_RAW, MOST_RAW)))
        return (self.low + (self.high - self.low) * shares).astype(np.float32, copy=False)

    def mean_squared_error(self, pairs: Pairs) -> float:
        """Of the predicted points of rated pairs."""
        errors = self.predict(pairs.user_index, pairs.item_index) - pairs.points
        return float(np.square(errors, dtype=np.float64).mean())


class MFRecommender(RatingRecommender):
    """Vectors and biases whose sum and product, through a sigmoid, are the points of a pair.

    `curve`: the loss of each epoch, kept with the artifact; these are the factors of `best_epoch`.
    `columns`: "user" and "item" to what was read of their features and what was left out, in words.
    """

    name: ClassVar[str] = "mf"
    uses_validation: ClassVar[bool] = True

    def __init__(self, config: MFConfig | None = None) -> None:
        self.config: MFConfig = config or MFConfig.default()
        self.uses_features = self.needs_features = self.config.features
        self.curve: tuple[EpochLoss, ...] = ()
        self.best_epoch = 0
        self.columns: dict[str, str] = {}

    def fit(
        self,
        data: RatingData,
        validation: Ratings | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Self:
        """Train; with a validation part, keep the epoch that did best there and stop when none does better.

        With `config.features` those that `data` has are used. With `config.history` a user's vector holds
        the sum over `data.history`, over what they rated where there is none.

        Raises:
            DataError: the validation part is empty or of other indices, a column of features cannot be
                used, features are asked for and no column tells anything, or the loss stops being finite.
        """
        from recsys.recommenders.mf_training import train

        held_back = None if validation is None else _held_back(data, validation)
        self.remember(data)
        training = train(self._examples(data), held_back, self.config, progress)
        self.factors, self.curve, self.best_epoch = training.factors, training.curve, training.best_epoch
        return self

    def predict(self, user_index: Int32Array, item_index: Int32Array) -> Float32Array:
        """See `RatingRecommender.predict`; features and a history answer for who has no rating."""
        self.check_fitted()
        return self.factors.predict(user_index, item_index)

    def score_users(self, user_index: Int32Array) -> Float32Array:
        """See `RatingRecommender.score_users`."""
        self.check_fitted()
        return self.factors.score_users(user_index)

    def health_report(self) -> list[str]:
        """See `RatingRecommender.health_report`: the features it reads."""
        return [f"{owner} features: {told}" for owner, told in self.columns.items()]

    def placed(self) -> tuple[BoolArray, BoolArray]:
        """See `RatingRecommender.placed`; a row without ratings is 0 but for features or a history."""
        of, known = self.factors, (self.known_users, self.known_items)
        users = known[0] | of.user_factors.any(axis=1) | (of.user_biases != 0)
        return users, known[1] | of.item_factors.any(axis=1) | (of.item_biases != 0)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write four arrays; the facts hold the rest, the learning curve among it."""
        facts = super().save(folder)
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self.factors, name))
        return {
            **facts,
            "offset": self.factors.offset,
            "best_epoch": self.best_epoch,
            "columns": self.columns,
            "curve": [asdict(point) for point in self.curve],
        }

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        manifest = read_manifest(folder)
        facts = manifest["facts"]
        recommender = cls(MFConfig.from_mapping(manifest["recipe"], source=str(folder)))
        recommender.recall(folder, manifest)
        arrays = recommender.load_arrays(folder, ARRAYS, recommender.config.factors)
        try:
            recommender.curve = tuple(EpochLoss(**point) for point in facts["curve"])
            recommender.columns = dict(facts.get("columns", {}))  # older artifacts lack them
            recommender.best_epoch, offset = int(facts["best_epoch"]), float(facts["offset"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"The manifest in {folder} lacks facts of mf ({error}); train again."
            ) from error
        low, high = recommender.range
        recommender.factors = MFFactors(
            **arrays, offset=offset, low=low, high=high, output=recommender.config.output
        )
        return recommender

    def _examples(self, data: RatingData) -> Examples:
        ratings, history = data.ratings, None
        if self.config.history:
            history = data.history if data.history is not None else _rated(data)
        users, items = self._features(data) if self.config.features else (None, None)
        return Examples(
            Pairs(ratings.user_index, ratings.item_index, ratings.points),
            *(data.n_users, data.n_items, *data.range),
            user_features=users,
            item_features=items,
            history=history,
        )

    def _features(self, data: RatingData) -> list[Float32Array | None]:
        """Both sides' features, None where there are none; what was read of them is noted in `columns`."""
        encoded: list[Float32Array | None] = []
        for owner, table, known, kinds in (
            ("user", data.user_features, self.known_users, self.config.user_columns),
            ("item", data.item_features, self.known_items, self.config.item_columns),
        ):
            if table is None:
                self.columns[owner] = "no table"
                encoded.append(None)
                continue
            columns, values = fit_and_encode(table, known, owner=owner, kinds=kinds)
            self.columns[owner] = columns.summary()
            encoded.append(values.astype(np.float32) if columns.names else None)
        if all(one is None for one in encoded):
            raise DataError(
                f"mf.features is true and there is no feature to use. {'; '.join(self.health_report())}. "
                "Give a table with columns that tell rows apart, or leave features false."
            )
        return encoded


def _rated(data: RatingData) -> csr_matrix:
    ratings = data.ratings
    ones = np.ones(len(ratings), np.float32)
    return csr_matrix((ones, (ratings.user_index, ratings.item_index)), (data.n_users, data.n_items))


def _held_back(data: RatingData, validation: Ratings) -> Pairs:
    if len(validation) == 0:
        raise DataError("The validation part is empty; there is nothing to stop early by. Leave it out.")
    for kind, index, n in (
        ("user", validation.user_index, data.n_users),
        ("item", validation.item_index, data.n_items),
    ):
        if index.max() >= n:
            raise DataError(
                f"The validation part has {kind} {index.max():,} of {n:,}; split after numbering."
            )
    return Pairs(validation.user_index, validation.item_index, validation.points)
