"""Implicit-feedback matrix factorization by alternating least squares (Hu et al., ICDM 2008)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from recsys.datasets.user_items import Dataset, check_user_items
from recsys.engines import implicit_engine, irspack_engine
from recsys.engines.als_config import ALSConfig
from recsys.engines.factors import diagonalize, gram_matrix, is_diagonal
from recsys.engines.fold_in import FoldIn
from recsys.engines.start import Start
from recsys.errors import ArtifactError
from recsys.progress import ignore_progress
from recsys.recommenders.base import VectorRecommender, is_finite, load_array
from recsys.types import BoolArray, Float32Array, Float64Array, History, Int32Array, ProgressCallback

# One for each name of als_config.ENGINE_NAMES.
ENGINES = {"implicit": implicit_engine, "irspack": irspack_engine}
MODEL_FILE = "als_v1.pkl"
USER_FACTORS_FILE = "als_v1_user_factors.npy"
ITEM_FACTORS_FILE = "als_v1_item_factors.npy"


class _Folded(NamedTuple):
    """A history folded in: `is_known` (n_history,) tells the acts on items als was trained on."""

    is_known: BoolArray
    solved: FoldIn


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
        self._start: Start | None = None

    def start_from(self, start: Start) -> None:
        """Let `fit` begin at these factors, not at random ones."""
        self._start = start

    def fit(self, dataset: Dataset, progress: ProgressCallback = ignore_progress) -> Self:
        """Learn both factor matrices from the dataset's cells, those the engine can use.

        Raises:
            DataError: there are no interactions, only dislikes, a weight that is not finite or too
                large to learn from, or a start that does not fit the dataset.
        """
        check_user_items(dataset.user_items)
        factors = self._engine.fit_factors(dataset, self.config, progress, self._start)
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
        return self._folded(history).solved.user.astype(np.float32)

    def user_vector(self, history: History) -> Float32Array:
        """(factors,) the user folded in."""
        return self.fold_in(history)

    def lost_vectors(self, history: History, acts: Sequence[int]) -> Float32Array:
        """(n_acts, factors) exactly what folding in without each act would change.

        An engine whose ridge grows with the number of likes gets that of one fewer for a like. An act
        the model does not know changes nothing.
        """
        is_known, solved = self._folded(history)
        asked = np.asarray(acts, np.intp)
        lost = np.zeros((len(asked), len(self._spectrum)), np.float32)
        position = is_known.cumsum() - 1  # in what it knows of the history
        is_like = history.weights[asked] > 0
        for without, is_meant in ((self._one_like_fewer, is_like), (self._folded, ~is_like)):
            rows = np.flatnonzero(is_meant & is_known[asked])
            if len(rows) > 0:
                other = without(history).solved
                lost[rows] = solved.user - other.user + other.lost(position[asked[rows]])
        return lost

    def contributions(self, history: History, item_indices: Int32Array) -> Float32Array:
        """(n_history, n) exact shares: each column adds up to that item's score.

        An act the model does not know adds nothing, nor does a dislike: it has no share of its own
        but changes those of the likes.
        """
        is_known, solved = self._folded(history)
        targets = self.item_factors[item_indices].astype(np.float64)
        shares = np.zeros((len(is_known), len(targets)), np.float32)
        shares[is_known] = solved.shares(targets)
        return shares

    def item_vectors(self) -> Float32Array:
        """(n_items, factors) item factors."""
        self.check_fitted()
        return self.item_factors

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the documented factor files, and the library's own model for people to explore.

        Among the facts, under "start", are those of the start if there was one.
        """
        self.check_fitted()
        np.save(folder / USER_FACTORS_FILE, self.user_factors)
        np.save(folder / ITEM_FACTORS_FILE, self.item_factors)
        self._engine.save_model(self._model, folder / MODEL_FILE)
        facts: dict[str, Any] = {"n_users": len(self.user_factors), "n_items": self.n_items}
        if self._start is not None:
            facts["start"] = dict(self._start.facts)
        return facts

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

    def _folded(self, history: History) -> _Folded:
        return history.once(self, lambda: self._fold(history))

    def _fold(self, history: History) -> _Folded:
        self.check_fitted()
        is_known: BoolArray = (history.item_indices >= 0) & (history.item_indices < self.n_items)
        terms = self._engine.fold_in_terms(history.weights[is_known], self.config, self.n_items)
        seen = self.item_factors[history.item_indices[is_known]].astype(np.float64)
        return _Folded(is_known, FoldIn(self._spectrum, seen, terms))

    def _one_like_fewer(self, history: History) -> _Folded:
        """The same acts, under the ridge of a history with one like fewer."""
        is_known, solved = folded = self._folded(history)
        n_likes = np.count_nonzero(history.weights[is_known] > 0)
        ridge = self._engine.ridge(n_likes - 1, self.config, self.n_items)
        if ridge == solved.terms.ridge:
            return folded
        return history.once((self, ridge), lambda: _Folded(is_known, solved.with_ridge(ridge)))
