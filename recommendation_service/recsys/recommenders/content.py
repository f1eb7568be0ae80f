"""Likeness of texts and tags beside popularity: for users and startups little is known of yet.

What a user liked adds up to a vector that grows with how much they did: with no act the order is that
of popularity, a few acts move it a little, many decide it. Interests count whatever was done, and a
dislike at once. Every startup of the catalogue is scored, acted on or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from recsys.config import SectionConfig
from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.user_items import Dataset, check_user_items
from recsys.errors import DataError
from recsys.features.text import TextModel, fit_text_model
from recsys.progress import ignore_progress
from recsys.recommenders.base import Recommender, load_array
from recsys.recommenders.popularity import count_recent_users
from recsys.recommenders.text_files import load_text_model, save_text_model
from recsys.types import Float32Array, History, Int32Array, ProgressCallback

VECTORS_FILE = "content_item_vectors.npy"
POPULARITY_FILE = "content_popularity.npy"


@dataclass(frozen=True)
class ContentConfig(SectionConfig):
    """Hyper-parameters of content; the meanings stand in training_config.yaml."""

    section: ClassVar[str] = "content"
    dimensions: int
    min_documents: int
    max_document_share: float
    tag_weight: float
    interest_weight: float
    dislike_weight: float
    prior_weight: float
    popularity_share: float
    half_life_days: float

    def __post_init__(self) -> None:
        self.require(self.dimensions >= 1, "dimensions", "a whole number from 1")
        self.require(self.min_documents >= 1, "min_documents", "a whole number from 1")
        self.require(0 < self.max_document_share <= 1, "max_document_share", "above 0, at most 1")
        self.require(self.tag_weight > 0, "tag_weight", "above zero")
        self.require(self.interest_weight >= 0, "interest_weight", "zero or more")
        self.require(self.dislike_weight >= 0, "dislike_weight", "zero or more")
        self.require(self.prior_weight >= 0, "prior_weight", "zero or more")
        self.require(0 <= self.popularity_share <= 1, "popularity_share", "from 0 to 1")
        self.require(self.half_life_days > 0, "half_life_days", "above zero")


class ContentRecommender(Recommender):
    """Product of a user's vector with each startup's, beside how popular it is."""

    name: ClassVar[str] = "content"
    covers_catalogue: ClassVar[bool] = True

    def __init__(self, config: ContentConfig | None = None) -> None:
        self.config: ContentConfig = config or ContentConfig.default()
        self.text_model = TextModel.empty()
        self.vectors: Float32Array = np.empty((0, 0), np.float32)
        self.popularity: Float32Array = np.empty(0, np.float32)

    @classmethod
    def why_not_fit(cls, dataset: Dataset) -> str | None:
        """It needs texts."""
        return None if dataset.catalogue is not None else "the dataset has no catalogue.parquet"

    def fit(self, dataset: Dataset, progress: ProgressCallback = ignore_progress) -> Self:
        """Learn the text model from the whole catalogue, and popularity from the acts.

        Raises:
            DataError: the dataset has no catalogue, or no positive cell.
        """
        if dataset.catalogue is None:
            raise DataError(
                "content needs catalogue.parquet beside the matrix; run manage.py generate_als_dataset, "
                "or leave content out of training.recommenders."
            )
        check_user_items(dataset.user_items)
        self.text_model, self.vectors = fit_catalogue_text(dataset, self.config)
        self.popularity = _levels(count_recent_users(dataset, self.config.half_life_days))
        self.n_items = len(self.vectors)
        return self

    def with_new_items(self, items: Sequence[CatalogueItem]) -> Self:
        """The same recommender with startups appended that it was not trained on."""
        self.check_fitted()
        extended = copy(self)
        extended.vectors = np.concatenate((self.vectors, self.text_model.item_vectors(items)))
        extended.popularity = np.concatenate((self.popularity, np.zeros(len(items), np.float32)))
        extended.n_items = self.n_items + len(items)
        return extended

    def user_vector(self, history: History) -> Float32Array:
        """(dimensions,) what a user wants, the longer the more is known of it; zero for nothing.

        Its product with an item's vector is the likeness.
        """
        vector: Float32Array = self._parts(history).sum(axis=0)
        return vector

    def score_batch(self, histories: Sequence[History]) -> Float32Array:
        """(n_histories, n_items): likeness and popularity, by `popularity_share`.

        Somebody of whom nothing is known gets popularity alone.
        """
        self.check_fitted()
        users = np.stack([self.user_vector(history) for history in histories])
        likeness = users @ self.vectors.T
        share = self.config.popularity_share
        scores: Float32Array = ((1 - share) * likeness + share * self.popularity).astype(np.float32)
        return scores

    def contributions(self, history: History, item_indices: Int32Array) -> Float32Array:
        """(n_history, n) each act's share of the likeness; the interests' share is not among them."""
        likeness = self._parts(history)[:-1] @ self.vectors[item_indices].T
        acts: Float32Array = (1 - self.config.popularity_share) * likeness
        return acts

    def interest_share(self, history: History, item_indices: Int32Array) -> Float32Array:
        """(n,) what the stated interests add to each item's score."""
        likeness = self.vectors[item_indices] @ self._parts(history)[-1]
        interest: Float32Array = (1 - self.config.popularity_share) * likeness
        return interest

    def score_items(self, history: History, item_indices: Int32Array) -> Float32Array:
        """(n_items asked,) raw scores of a few items."""
        share = self.config.popularity_share
        likeness = self.vectors[item_indices] @ self.user_vector(history)
        scores: Float32Array = (1 - share) * likeness + share * self.popularity[item_indices]
        return scores.astype(np.float32)

    def item_vectors(self) -> Float32Array:
        """(n_items, dimensions) unit text vectors."""
        self.check_fitted()
        return self.vectors

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the vectors, the text model and the popularity."""
        self.check_fitted()
        np.save(folder / VECTORS_FILE, self.vectors)
        np.save(folder / POPULARITY_FILE, self.popularity)
        save_text_model(self.text_model, folder, self.name)
        return {"dimensions": self.text_model.dimensions, "terms": len(self.text_model.vocabulary)}

    @classmethod
    def load(cls, folder: Path, recipe: dict[str, Any]) -> Self:
        """Read what `save` wrote."""
        recommender = cls(ContentConfig.from_mapping(recipe))
        model = load_text_model(folder, cls.name)
        recommender.text_model = model
        recommender.vectors = load_array(folder / VECTORS_FILE, columns=model.dimensions)
        recommender.popularity = load_array(folder / POPULARITY_FILE)
        recommender.n_items = len(recommender.vectors)
        return recommender

    def _parts(self, history: History) -> Float32Array:
        """(n_history + 1, dimensions) what adds up to the user's vector; the last row is the interests.

        Likes add up to their weighted sum over the weights' sum and the prior, dislikes to a mean less.
        """
        known = (history.item_indices >= 0) & (history.item_indices < self.n_items)
        signed = np.where(known, history.weights, 0.0).astype(np.float64)
        likes, dislikes = signed.clip(min=0), signed.clip(max=0)
        factor = likes / max(likes.sum() + self.config.prior_weight, 1e-12)
        factor += self.config.dislike_weight * dislikes / max(-dislikes.sum(), 1e-12)
        rows = self.vectors[np.where(known, history.item_indices, 0)]
        interests = np.zeros((1, self.text_model.dimensions), np.float32)
        if history.interests:
            interests[0] = self.config.interest_weight * self.text_model.interest_vector(history.interests)
        return np.concatenate((rows * factor[:, None].astype(np.float32), interests))


def fit_catalogue_text(dataset: Dataset, config: ContentConfig) -> tuple[TextModel, Float32Array]:
    """A text model of the dataset's catalogue, and the (n_items, dimensions) vectors of its index space.

    An item without a catalogue entry has a vector of zeros.
    """
    by_id = {item.id: item for item in (dataset.catalogue.items if dataset.catalogue else ())}
    items = [by_id.get(i, CatalogueItem(id=i, name="")) for i in dataset.all_items.ids]
    return fit_text_model(
        items,
        dimensions=config.dimensions,
        min_documents=min(config.min_documents, len(items)),
        max_document_share=config.max_document_share,
        tag_weight=config.tag_weight,
    )


def _levels(counts: Float32Array) -> Float32Array:
    """(n,) logarithms of counts, the highest at 1, in exactly the order of the counts.

    Counts whose logarithms are one float32 are set apart, so far that a multiple tells them apart too.
    """
    distinct, place = np.unique(counts, return_inverse=True)
    highest = float(np.log1p(distinct[-1]))
    levels = (np.log1p(distinct.astype(np.float64)) / max(highest, 1e-12)).astype(np.float32)
    # The bits of floats from 0 up, read as whole numbers, have their order.
    steps = 4 * np.arange(len(levels), dtype=np.int32)
    bits = np.maximum.accumulate(levels.view(np.int32) - steps) + steps
    apart: Float32Array = bits.view(np.float32)[place]
    return apart
