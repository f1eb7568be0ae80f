"""Implicit-feedback matrix factorization by alternating least squares (Hu et al., ICDM 2008)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset, check_user_items
from recsys.engines import implicit_engine, irspack_engine, spark_engine
from recsys.engines.als_config import ALSConfig
from recsys.engines.checkpoints import Checkpoints
from recsys.engines.conditioning import MAX_CONDITION_NUMBER, condition_number
from recsys.engines.factors import diagonalize, gram_matrix, is_diagonal
from recsys.engines.fold_in import FoldIn
from recsys.engines.fold_in_batch import fold_in_batch
from recsys.engines.iterations import Course, Measure
from recsys.engines.start import Start
from recsys.errors import ArtifactError
from recsys.progress import ignore_progress
from recsys.recommenders.als_early_stopping import measure_on
from recsys.recommenders.base import VectorRecommender, is_finite, load_array
from recsys.recommenders.early_stopping import check_validation
from recsys.types import BoolArray, Float32Array, Float64Array, History, Int32Array, ProgressCallback

logger = logging.getLogger(__name__)

# One for each name of als_config.ENGINE_NAMES.
ENGINES = {"implicit": implicit_engine, "irspack": irspack_engine, "spark": spark_engine}
MODEL_FILE = "als_v1.pkl"
USER_FACTORS_FILE = "als_v1_user_factors.npy"
ITEM_FACTORS_FILE = "als_v1_item_factors.npy"
SHORTEST = 1e-12  # a vector that is shorter has no direction


class _Folded(NamedTuple):
    """A history folded in: `is_known` (n_history,) tells the acts on items als was trained on."""

    is_known: BoolArray
    solved: FoldIn


class ALSRecommender(VectorRecommender):
    """Latent factors whose dot product is the score of an item for a user.

    A history is folded in: the user's factors are solved exactly from it with the item factors
    held fixed, by the objective of the engine that trained them. Both factor matrices stand in the
    eigenbasis of the items' Gram matrix, whatever the engine.

    With `normalize: l2` a score is the cosine of user and item. Both are folded in and kept as they
    were solved, for the objective holds for those alone; what is divided by its length is the answer.
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
        self._checkpoints: Checkpoints | None = None
        self._item_vectors: Float32Array = self.item_factors  # what scores are products with
        self.condition_numbers: dict[str, float] = {}
        self.best_iteration = 0
        self.learning_curve: list[dict[str, float]] = []

    def start_from(self, start: Start) -> None:
        """Let `fit` begin at these factors, not at random ones."""
        self._start = start

    @property
    def start(self) -> Start | None:
        """What `start_from` was given."""
        return self._start

    def keep_checkpoints(self, checkpoints: Checkpoints) -> None:
        """Let `fit` go on from a checkpoint where there is one, and write them by `checkpoint_every`."""
        self._checkpoints = checkpoints

    def fit(self, dataset: Dataset, progress: ProgressCallback = ignore_progress) -> Self:
        """Learn both factor matrices from the dataset's cells, those the engine can use.

        Raises:
            DataError: there are no interactions, only dislikes, a weight that is not finite or too
                large to learn from, or a start that does not fit the dataset.
        """
        return self._fit(dataset, progress, None)

    def fit_early_stopping(self, validation: Split, progress: ProgressCallback = ignore_progress) -> Self:
        """Fit `validation.train` until NDCG@10 on `validation.test` has not risen for `patience` looks.

        A look every `check_every` iterations, `iterations` at most. Keeps the factors of the best one:
        `best_iteration` says which it was, `learning_curve` what was found: iteration, seconds, memory,
        NDCG where it was looked at and the loss where `track_loss` asks for it. No checkpoints.

        Raises:
            DataError: as `fit`, or no user has a held-back item.
        """
        check_validation(validation)
        made_of = partial(self.from_factors, config=self.config)
        return self._fit(validation.train, progress, measure_on(validation, self.config.seed, made_of))

    def why_not(self, history: History) -> str | None:
        """It needs one positive act on an item it was trained on."""
        if (history.liked < self.n_items).any():
            return None
        return "no positive act on a startup als was trained on"

    def fold_in(self, history: History) -> Float32Array:
        """(factors,) float32 that minimise the engine's objective for this history."""
        return self._folded(history).solved.user.astype(np.float32)

    def user_vector(self, history: History) -> Float32Array:
        """(factors,) the user folded in; of length 1 with `normalize: l2`."""
        vector: Float32Array = self._scaled(self.fold_in(history))
        return vector

    def user_vectors(self, histories: Sequence[History]) -> Float32Array:
        """(n_histories, factors) `user_vector` of each, many systems a solve."""
        self.check_fitted()
        items, terms = [], []
        for history in histories:
            is_known = (history.item_indices >= 0) & (history.item_indices < self.n_items)
            items.append(history.item_indices[is_known])
            terms.append(self._engine.fold_in_terms(history.weights[is_known], self.config, self.n_items))
        vectors: Float32Array = self._scaled(fold_in_batch(self._spectrum, self.item_factors, items, terms))
        return vectors

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
                left = other.user - other.lost(position[asked[rows]])
                lost[rows] = self._scaled(solved.user) - self._scaled(left)
        return lost

    def contributions(self, history: History, item_indices: Int32Array) -> Float32Array:
        """(n_history, n) exact shares: each column adds up to that item's score.

        An act the model does not know adds nothing, nor does a dislike: it has no share of its own
        but changes those of the likes.
        """
        is_known, solved = self._folded(history)
        targets = self.item_vectors()[item_indices].astype(np.float64)
        shares = np.zeros((len(is_known), len(targets)), np.float32)
        length = np.linalg.norm(solved.user) if self._is_normalized else 1.0
        shares[is_known] = solved.shares(targets) / max(length, SHORTEST)
        return shares

    def item_vectors(self) -> Float32Array:
        """(n_items, factors) item factors; of length 1, or 0 where nothing is known, with `normalize: l2`."""
        self.check_fitted()
        return self._item_vectors

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the documented factor files, and the library's own model for people to explore.

        Among the facts are the learning curve and, under "start", those of the start if there was one.
        """
        self.check_fitted()
        np.save(folder / USER_FACTORS_FILE, self.user_factors)
        np.save(folder / ITEM_FACTORS_FILE, self.item_factors)
        self._engine.save_model(self._model, folder / MODEL_FILE)
        facts: dict[str, Any] = {"n_users": len(self.user_factors), "n_items": self.n_items}
        facts["condition_numbers"] = dict(self.condition_numbers)
        facts["learning_curve"] = list(self.learning_curve)
        if self._start is not None:
            facts["start"] = dict(self._start.facts)
        return facts

    @classmethod
    def load(cls, folder: Path, recipe: dict[str, Any]) -> Self:
        """Read the two factor files; the pickled model is never opened."""
        config = ALSConfig.from_recipe(recipe)
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

    @property
    def _is_normalized(self) -> bool:
        return self.config.normalize == "l2"

    def _scaled(self, vectors: Any) -> Any:
        """(..., factors) of length 1 if that is asked for."""
        if not self._is_normalized:
            return vectors
        return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), SHORTEST)

    def _fit(self, dataset: Dataset, progress: ProgressCallback, measure: Measure | None) -> Self:
        check_user_items(dataset.user_items)
        checkpoint = None
        if self._checkpoints and self.config.checkpoint_every and measure is None:
            checkpoint = self._checkpoints.of(dataset, self.config, self._start)
        course = Course(self._start, checkpoint, measure)
        factors = self._engine.fit_factors(dataset, self.config, progress, course)
        self._model = factors.model
        self.best_iteration, self.learning_curve = factors.run.best, factors.run.curve
        self._set_factors(factors.users, factors.items)
        self._note_condition()
        return self

    def _note_condition(self) -> None:
        """Of what the systems of all users share, and of all items, without one cell."""
        nobody = np.empty(0, np.float32)
        for side, gram, others in (
            ("users", np.diag(self._spectrum), self.n_items),
            ("items", gram_matrix(self.user_factors), len(self.user_factors)),
        ):
            terms = self._engine.fold_in_terms(nobody, self.config, others)
            number = condition_number(gram, gram_weight=terms.gram_weight, ridge=terms.ridge)
            self.condition_numbers[side] = float(f"{number:.4g}")
            if number > MAX_CONDITION_NUMBER:
                logger.warning(
                    "als systems are ill posed side=%s condition_number=%.3g above=%.0e; raise "
                    "als.regularization",
                    side,
                    number,
                    MAX_CONDITION_NUMBER,
                )
        logger.info("als condition numbers users=%(users).4g items=%(items).4g", self.condition_numbers)

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
        self._item_vectors = self._scaled(item_factors)
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
