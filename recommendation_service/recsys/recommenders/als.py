"""Implicit-feedback matrix factorization by alternating least squares (Hu et al., ICDM 2008)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from recsys.datasets.user_items import Dataset, check_user_items
from recsys.engines import implicit_engine
from recsys.engines.als_config import ALSConfig
from recsys.errors import ArtifactError
from recsys.progress import ignore_progress
from recsys.recommenders.base import VectorRecommender, load_array
from recsys.types import BoolArray, Float32Array, Float64Array, History, Int32Array, ProgressCallback

ENGINES = {"implicit": implicit_engine}  # one for each name of als_config.ENGINE_NAMES
MODEL_FILE = "als_v1.pkl"
USER_FACTORS_FILE = "als_v1_user_factors.npy"
ITEM_FACTORS_FILE = "als_v1_item_factors.npy"


class ALSRecommender(VectorRecommender):
    """Latent factors whose dot product is the score of an item for a user.

    A history is folded in: the user's factors are solved exactly from it with the item factors
    held fixed, by the normal equations of the engine that trained them.
    """

    name: ClassVar[str] = "als"
    covers_catalogue: ClassVar[bool] = False

    def __init__(self, config: ALSConfig | None = None) -> None:
        self.config: ALSConfig = config or ALSConfig.default()
        self.user_factors: Float32Array = np.empty((0, 0), np.float32)
        self.item_factors: Float32Array = np.empty((0, 0), np.float32)
        self._gram: Float64Array = np.empty((0, 0))
        self._model: Any = None

    def fit(self, dataset: Dataset, progress: ProgressCallback = ignore_progress) -> Self:
        """Learn both factor matrices from the dataset's signed cells.

        Raises:
            DataError: there are no interactions, only dislikes, or a weight that is not finite.
        """
        check_user_items(dataset.user_items)
        factors = self._engine.fit_factors(dataset.user_items, self.config, progress)
        self._model = factors.model
        self._set_factors(factors.users, factors.items)
        return self

    def why_not(self, history: History) -> str | None:
        """It needs one positive act on an item it was trained on."""
        if (history.liked < self.n_items).any():
            return None
        return "no positive act on a startup als was trained on"

    def fold_in(self, history: History) -> Float32Array:
        """(factors,) float32 that minimise the engine's objective for this history."""
        self.check_fitted()
        lhs, rhs, _ = self._normal_equations(history)
        return np.linalg.solve(lhs, rhs.sum(axis=0)).astype(np.float32)

    def user_vector(self, history: History) -> Float32Array:
        """(factors,) the user folded in."""
        return self.fold_in(history)

    def contributions(self, history: History, item_indices: Int32Array) -> Float32Array:
        """(n_history, n) exact shares: each column adds up to that item's score.

        The score of item i is y_i A^-1 b, and b is a sum over the acts; an act the model does
        not know, or a dislike, adds nothing to b.
        """
        lhs, rhs, known = self._normal_equations(history)
        solved = np.linalg.solve(lhs, self.item_factors[item_indices].T.astype(np.float64))
        shares = np.zeros((len(history.item_indices), len(item_indices)), np.float32)
        shares[known] = rhs @ solved
        return shares

    def item_vectors(self) -> Float32Array:
        """(n_items, factors) item factors."""
        self.check_fitted()
        return self.item_factors

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the documented factor files, and the library's own model for people to explore."""
        self.check_fitted()
        np.save(folder / USER_FACTORS_FILE, self.user_factors)
        np.save(folder / ITEM_FACTORS_FILE, self.item_factors)
        self._engine.save_model(self._model, folder / MODEL_FILE)
        return {"n_users": len(self.user_factors), "n_items": self.n_items}

    @classmethod
    def load(cls, folder: Path, recipe: dict[str, Any]) -> Self:
        """Read the two factor files; the pickled model is never opened."""
        config = ALSConfig.from_mapping(recipe)
        return cls.from_files(folder, config)

    @classmethod
    def from_files(cls, folder: Path, config: ALSConfig, *, mapped: bool = True) -> Self:
        """A recommender over the two factor files of a folder; see `load_array` for `mapped`."""
        recommender = cls(config)
        recommender._set_factors(
            load_array(folder / USER_FACTORS_FILE, columns=config.factors, mapped=mapped),
            load_array(folder / ITEM_FACTORS_FILE, columns=config.factors, mapped=mapped),
        )
        return recommender

    @property
    def _engine(self) -> Any:
        return ENGINES[self.config.engine]

    def _set_factors(self, user_factors: Float32Array, item_factors: Float32Array) -> None:
        for side, factors in (("user", user_factors), ("item", item_factors)):
            if not np.isfinite(factors).all():
                raise ArtifactError(
                    f"The {side} factors of als hold a value that is not finite; "
                    "train again with a higher regularization."
                )
        self.user_factors, self.item_factors = user_factors, item_factors
        self.n_items = len(item_factors)
        as_float64 = item_factors.astype(np.float64)
        self._gram = as_float64.T @ as_float64

    def _normal_equations(self, history: History) -> tuple[Float64Array, Float64Array, BoolArray]:
        known: BoolArray = (history.item_indices >= 0) & (history.item_indices < self.n_items)
        seen = self.item_factors[history.item_indices[known]].astype(np.float64)
        lhs, rhs = self._engine.normal_equations(self._gram, seen, history.weights[known], self.config)
        return lhs, rhs, known
