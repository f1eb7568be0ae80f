"""BPR of two tasks: what a user likes before what they do not, by the items' own vectors and by their
texts, one vector a user for both.

A linear projection brings text vectors to the length of the factors. An item is served by a mixture of
its own vector and its projected text; the fewer likes it has, the more of the text. One nobody has
acted on, or created after the training, stands where its text puts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset, check_user_items
from recsys.errors import ArtifactError, DataError
from recsys.features.item_vectors import FORMS
from recsys.features.projection import check_they_differ
from recsys.features.text import TextModel
from recsys.recommenders.base import load_array
from recsys.recommenders.bpr import (
    DECAY_EVERY,
    START_DEVIATION,
    BPRConfig,
    BPRRecommender,
    check_finite,
    facts_of_kinds,
    positive_pairs,
    shuffled_by_user,
)
from recsys.recommenders.epoch_course import EpochCourse
from recsys.recommenders.sampling import NegativePools, shares_of
from recsys.recommenders.text_files import load_text_model, save_text_model
from recsys.recommenders.text_start import MINILM, TFIDF, read_vectors, vector_facts
from recsys.types import Float32Array, Int64Array, ProgressCallback

BLOCK_USERS = 64  # are learned from between two steps of the projection


@dataclass(frozen=True)
class HybridTextConfig(BPRConfig):
    """Hyper-parameters of hybrid_text; the meanings stand in training_config.yaml."""

    section: ClassVar[str] = "hybrid_text"
    vectors: str
    content_weight: float
    cold_acts: float
    projection_rate: float

    def __post_init__(self) -> None:
        BPRConfig.__post_init__(self)
        self.require(
            self.vectors in (TFIDF, MINILM) or Path(self.vectors).suffix in FORMS,
            "vectors",
            f"{TFIDF}, {MINILM}, or a file ending in {' or '.join(FORMS)}",
        )
        self.require(0 <= self.content_weight <= 1, "content_weight", "from 0 to 1")
        self.require(0 <= self.cold_acts <= 1e6, "cold_acts", "from 0 to 1000000")
        self.require(0 < self.projection_rate <= 1, "projection_rate", "above 0, at most 1")


class HybridTextRecommender(BPRRecommender):
    """Latent factors that order the items for a user, mixed with their projected texts.

    `item_factors` (n_items, factors) are the mixtures, of every startup of the catalogue.
    """

    name: ClassVar[str] = "hybrid_text"
    covers_catalogue: ClassVar[bool] = True
    config_class: ClassVar[type[BPRConfig]] = HybridTextConfig
    config: HybridTextConfig

    def __init__(self, config: HybridTextConfig | None = None) -> None:
        super().__init__(config)
        self.text_model = TextModel.empty()
        self.projection: Float32Array = np.empty((0, 0), np.float32)
        self._text_facts: dict[str, object] = {}
        self._texts: Float32Array = np.empty((0, 0), np.float32)

    @classmethod
    def why_not_fit(cls, dataset: Dataset) -> str | None:
        """It needs texts, and what bpr needs."""
        if dataset.catalogue is None:
            return "the dataset has no catalogue.parquet"
        if not any(_has_text(item) for item in dataset.catalogue.items):
            return "no startup of the catalogue has a text"
        return super().why_not_fit(dataset)

    def with_new_items(self, items: Sequence[CatalogueItem]) -> Self:
        """The same recommender with startups appended, each placed by its text; needs tfidf vectors."""
        self.check_fitted()
        if self.text_model.dimensions == 0:
            return self
        extended = copy(self)
        placed = self.text_model.item_vectors(items) @ self.projection
        extended._set_items(np.concatenate((self.item_factors, placed)))
        return extended

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the factors, the projection and the text model; what the vectors are is among the facts."""
        facts = super().save(folder)
        np.save(self._file(folder, "projection"), self.projection)
        save_text_model(self.text_model, folder, self.name)
        return {**facts, "texts": dict(self._text_facts)}

    @classmethod
    def load(cls, folder: Path, recipe: dict[str, Any]) -> Self:
        """Read what `save` wrote.

        Raises:
            ArtifactError: a file is missing or damaged, or they do not fit each other.
        """
        recommender = super().load(folder, recipe)
        recommender.projection = load_array(
            cls._file(folder, "projection"), columns=recommender.config.factors
        )
        model = load_text_model(folder, cls.name)
        if model.dimensions not in (0, len(recommender.projection)):
            raise ArtifactError(
                f"The text model of {cls.name} in {folder} makes vectors of length {model.dimensions} but "
                f"its projection takes {len(recommender.projection)}; train again or restore the files."
            )
        recommender.text_model = model
        return recommender

    def _fit(self, dataset: Dataset, validation: Split | None, progress: ProgressCallback) -> Self:
        check_user_items(dataset.user_items)
        self._read_texts(dataset)
        super()._fit(dataset, validation, progress)
        self._texts = self._texts[:0]  # needed no more
        return self

    def _read_texts(self, dataset: Dataset) -> None:
        """(n_items, t) vectors of every startup, of length 1 or, without a text, 0."""
        made, self.text_model = read_vectors(dataset, self.config.vectors)
        texts, has_text = made.aligned(dataset.all_items)
        lengths = np.linalg.norm(texts, axis=1, keepdims=True)
        self._texts = texts / np.maximum(lengths, 1e-12)
        check_they_differ(self._texts[has_text])
        self._text_facts = {**vector_facts(made, has_text.mean()), "dimensions": texts.shape[1]}

    def _learned_beside(self) -> tuple[Float32Array, ...]:
        return (self._texts,)

    def _run_epochs(self, cells: csr_matrix, course: EpochCourse) -> Iterator[tuple[int, dict[str, float]]]:
        """Learn, an epoch a turn; yields its number, from 1, and what was seen of it."""
        from recsys.recommenders.hybrid_text_kernel import run_block  # numba

        config, rng = self.config, np.random.default_rng(self.config.seed)
        pools = NegativePools.build(cells, n_popular=config.n_popular)
        users, liked = positive_pairs(cells)
        if len(users) == 0:
            raise DataError("Everybody has a cell with every item, so there is nothing to order; add items.")
        shares = shares_of(config.negatives, explicit=config.explicit_share, implicit=config.implicit_share)
        n_likes = np.bincount(cells.indices[cells.data > 0], minlength=cells.shape[1])
        texts = self._texts[: cells.shape[1]]
        self.user_factors, own = self._first_factors(cells.shape, rng)
        first = rng.normal(0.0, START_DEVIATION, (texts.shape[1], config.factors)).astype(np.float32)
        adam = Adam(first)
        gained = np.zeros_like(own)
        state = rng.integers(1, 2**63, 1, dtype=np.uint64)
        learned: dict[str, NDArray[Any]] = {
            "users": self.user_factors,
            "items": own,
            "draws": state,
            **adam.arrays(),
        }
        left = course.epochs(config.epochs, rng, learned)
        self._take(own, adam.values, n_likes)  # what a checkpoint has put back, should nothing be left
        for epoch in left:
            order, starts = shuffled_by_user(users, rng, BLOCK_USERS)
            decayed = config.learning_rate_decay ** (epoch // DECAY_EVERY)
            losses, counts, scores = np.zeros(2), np.zeros(4, np.int64), np.zeros(4)
            for start, end in pairwise(starts.tolist()):
                places = order[start:end]
                own_loss, text_loss, of_kind, of_score = run_block(
                    *(users[places], liked[places], config.samples_per_positive),
                    *(pools.seen, pools.explicit, pools.implicit, pools.popularity, shares),
                    *(self.user_factors, own, texts @ adam.values, gained),
                    *(config.content_weight, config.learning_rate * decayed, config.regularization, state),
                )
                n_samples = of_kind.sum()
                gradient = config.regularization * adam.values - texts.T @ gained / n_samples
                adam.step(gradient, config.projection_rate * decayed)
                gained[:] = 0
                losses += own_loss, text_loss
                counts, scores = counts + of_kind, scores + of_score
            self._take(own, adam.values, n_likes)
            weights = np.array([1 - config.content_weight, config.content_weight])
            check_finite(
                self.name, epoch, float(losses.sum()), self.user_factors, self.item_factors, self.projection
            )
            own_loss, text_loss = losses / counts.sum()
            point = {
                "epoch": epoch + 1,
                "loss": float(weights @ (own_loss, text_loss)),
                "own_loss": float(own_loss),
                "text_loss": float(text_loss),
                **facts_of_kinds(counts, scores),
            }
            yield epoch + 1, point

    def _take(self, own: Float32Array, projection: Float32Array, n_likes: Int64Array) -> None:
        self.projection = projection.copy()
        self._set_items(self._mixed(own, n_likes))

    def _mixed(self, own: Float32Array, n_likes: Int64Array) -> Float32Array:
        """(n_items, factors) of every startup: its own vector by its likes, the rest its text's.

        An item without a text has its own vector, as far as its likes go.
        """
        mixed = self._texts @ self.projection
        known = n_likes / np.maximum(n_likes + self.config.cold_acts, 1e-12)
        share = (1 - self.config.content_weight) * known
        share = share[:, np.newaxis].astype(np.float32)
        mixed[: len(own)] = share * own + (1 - share) * mixed[: len(own)]
        return mixed

    def _copied(self) -> tuple[Float32Array, ...]:
        return (*super()._copied(), self.projection.copy())

    def _restore(self, learned: tuple[Float32Array, ...]) -> None:
        super()._restore(learned)
        self.projection = learned[2]


def _has_text(item: CatalogueItem) -> bool:
    return any((item.name, item.short_description, item.long_description, *item.tags))


class Adam:
    """Steps of a size of their own for every number (Kingma and Ba, ICLR 2015)."""

    MEAN_DECAY, SQUARE_DECAY, SMALLEST = 0.9, 0.999, 1e-8

    def __init__(self, values: Float32Array) -> None:
        self.values = values
        self._mean, self._square = np.zeros_like(values), np.zeros_like(values)
        self._n_steps = np.zeros(1, np.int64)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that `step` changes, in place."""
        return {
            "projection": self.values,
            "mean": self._mean,
            "square": self._square,
            "n_steps": self._n_steps,
        }

    def step(self, gradient: Float32Array, rate: float) -> None:
        """Move `values` down a gradient of their shape."""
        self._n_steps += 1
        n_steps = int(self._n_steps[0])
        self._mean += np.float32(1 - self.MEAN_DECAY) * (gradient - self._mean)
        self._square += np.float32(1 - self.SQUARE_DECAY) * (gradient * gradient - self._square)
        mean = self._mean / np.float32(1 - self.MEAN_DECAY**n_steps)
        square = self._square / np.float32(1 - self.SQUARE_DECAY**n_steps)
        self.values -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(self.SMALLEST))
