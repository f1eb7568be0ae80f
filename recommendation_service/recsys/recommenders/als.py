"""Implicit-feedback matrix factorization by alternating least squares (Hu et al., ICDM 2008)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from recsys.datasets.user_items import Dataset, check_user_items
from recsys.engines import implicit_engine, irspack_engine
from recsys.engines.als_config import ALSConfig
from recsys.engines.factors import diagonalize, gram_matrix, is_diagonal
from recsys.engines.fold_in import FoldInTerms, solve_losses, solve_shares, solve_user
from recsys.errors import ArtifactError
from recsys.progress import ignore_progress
from recsys.recommenders.base import VectorRecommender, is_finite, load_array
from recsys.types import BoolArray, Float32Array, Float64Array, History, Int32Array, ProgressCallback

# One for each name of als_config.ENGINE_NAMES.
ENGINES = {"implicit": implicit_engine, "irspack": irspack_engine}
MODEL_FILE = "als_v1.pkl"
USER_FACTORS_FILE = "als_v1_user_factors.npy"
ITEM_FACTORS_FILE = "als_v1_item_factors.npy"


class ALSRecommender(VectorRecommender):
    """Latent factors whose dot product is the score of an item for a user.

    A history is folded in: the user's factors are solved exactly from it with the item factors
    held fixed, by the objective of the engine that trained them. Both factor matrices stand in the
    eigenbasis of the items' Gram matrix, whatever the engine.
    """

    name: ClassVar[str] = "als"
    covers_catalogue: ClassVar[bool] = False

    def __init__(self, config: ALSConfig | None = None) -> None:
        self.config: ALSConfig = config or ALSConfig.default()
        self.user_factors: Float32Array = np.empty((0, 0), np.float32)
        self.item_factors: Float32Array = np.empty((0, 0), np.float32)
        self._spectrum: Float64Array = np.empty(0)  # the diagonal of the Gram matrix, (factors,)
        self._model: Any = None

    def fit(self, dataset: Dataset, progress: ProgressCallback = ignore_progress) -> Self:
        """Learn both factor matrices from the dataset's cells, those the engine can use.

        Raises:
            DataError: there are no interactions, only dislikes, or a weight that is not finite or
                too large to learn from.
        """
        check_user_items(dataset.user_items)
        factors = self._engine.fit_factors(dataset, self.config, progress)
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
        seen, terms, _ = self._equations(history)
        return solve_user(self._spectrum, seen, terms).astype(np.float32)

    def user_vector(self, history: History) -> Float32Array:
        """(factors,) the user folded in."""
        return self.fold_in(history)

    def lost_vectors(self, history: History, acts: Sequence[int]) -> Float32Array:
        """(n_acts, factors) exactly what folding in without each act would change, by one system a sign.

        An engine whose ridge grows with the number of likes gets that of one fewer for a like. An act
        the model does not know changes nothing.
        """
        self.check_fitted()
        seen, terms, known = self._equations(history)
        weights, asked = history.weights[known], np.asarray(acts, np.intp)
        lost = np.zeros((len(asked), len(self._spectrum)), np.float32)
        position = np.cumsum(known) - 1  # in what it knows of the history
        is_like = history.weights[asked] > 0
        for of_sign in (known[asked] & is_like, known[asked] & ~is_like):
            if of_sign.any():
                chosen = position[asked[of_sign]]
                ridge = self._terms(np.delete(weights, chosen[0])).ridge
                lost[of_sign] = solve_losses(self._spectrum, seen, terms, chosen, ridge_without=ridge)
        return lost

    def contributions(self, history: History, item_indices: Int32Array) -> Float32Array:
        """(n_history, n) exact shares: each column adds up to that item's score.

        An act the model does not know adds nothing, nor does a dislike: it has no share of its own
        but changes those of the likes.
        """
        self.check_fitted()
        seen, terms, known = self._equations(history)
        targets = self.item_factors[item_indices].astype(np.float64)
        shares = np.zeros((len(known), len(targets)), np.float32)
        shares[known] = solve_shares(self._spectrum, seen, targets, terms)
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
        return cls.from_factors(
            load_array(folder / USER_FACTORS_FILE, columns=config.factors, mapped=mapped),
            load_array(folder / ITEM_FACTORS_FILE, columns=config.factors, mapped=mapped),
            config,
        )

    @classmethod
    def from_factors(cls, user_factors: Float32Array, item_factors: Float32Array, config: ALSConfig) -> Self:
        """A recommender over (n_users, factors) and (n_items, factors) float32 arrays.

        They are rotated, in memory, unless they stand in the eigenbasis already.

        Raises:
            ArtifactError: a factor is not finite.
        """
        recommender = cls(config)
        recommender._set_factors(user_factors, item_factors)
        return recommender

    @property
    def _engine(self) -> Any:
        return ENGINES[self.config.engine]

    def _set_factors(self, user_factors: Float32Array, item_factors: Float32Array) -> None:
        for side, factors in (("user", user_factors), ("item", item_factors)):
            if not is_finite(factors):
                raise ArtifactError(
                    f"The {side} factors of als hold a value that is not finite; "
                    "train again with a higher regularization."
                )
        gram = gram_matrix(item_factors)
        if not is_diagonal(gram):
            user_factors, item_factors = diagonalize(user_factors, item_factors)
            gram = gram_matrix(item_factors)
        self.user_factors, self.item_factors = user_factors, item_factors
        self.n_items = len(item_factors)
        self._spectrum = np.diagonal(gram).copy()

    def _equations(self, history: History) -> tuple[Float64Array, FoldInTerms, BoolArray]:
        """Factors of the items it knows (n_known, factors), what they add, and which those are."""
        known: BoolArray = (history.item_indices >= 0) & (history.item_indices < self.n_items)
        seen = self.item_factors[history.item_indices[known]].astype(np.float64)
        return seen, self._terms(history.weights[known]), known

    def _terms(self, weights: Float32Array) -> FoldInTerms:
        terms: FoldInTerms = self._engine.fold_in_terms(weights, self.config, self.n_items)
        return terms
