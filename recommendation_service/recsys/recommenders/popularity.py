"""Recency-weighted popularity: the floor, the baseline, and the last to be asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from recsys.config import SectionConfig
from recsys.datasets.user_items import Dataset, check_user_items
from recsys.datasets.weights import SECONDS_A_DAY
from recsys.progress import ignore_progress
from recsys.recommenders.base import Recommender, load_array
from recsys.types import Float32Array, History, ProgressCallback

SCORES_FILE = "popularity_scores.npy"


@dataclass(frozen=True)
class PopularityConfig(SectionConfig):
    """`half_life_days`: an act counts half after this many days."""

    section: ClassVar[str] = "popularity"
    half_life_days: float

    def __post_init__(self) -> None:
        self.require(self.half_life_days > 0, "half_life_days", "above zero")


class PopularityRecommender(Recommender):
    """How many people liked an item lately; the same list for everybody."""

    name: ClassVar[str] = "popularity"
    covers_catalogue: ClassVar[bool] = True

    def __init__(self, config: PopularityConfig | None = None) -> None:
        self.config: PopularityConfig = config or PopularityConfig.default()
        self.scores: Float32Array = np.empty(0, np.float32)

    @classmethod
    def of_scores(cls, scores: Float32Array, n_items: int) -> Self:
        """Fitted by what is given: (n_acted_on,) scores; the other items of the index space score 0."""
        recommender = cls()
        recommender.scores = np.pad(scores, (0, n_items - len(scores)))
        recommender.n_items = n_items
        return recommender

    def fit(self, dataset: Dataset, progress: ProgressCallback = ignore_progress) -> Self:
        """Count; see `count_recent_users`."""
        check_user_items(dataset.user_items)
        self.scores = count_recent_users(dataset, self.config.half_life_days)
        self.n_items = len(self.scores)
        return self

    def score_batch(self, histories: Sequence[History]) -> Float32Array:
        """(n_histories, n_items): the same row for each."""
        self.check_fitted()
        return np.broadcast_to(self.scores, (len(histories), self.n_items))

    def save(self, folder: Path) -> dict[str, Any]:
        """Write popularity_scores.npy."""
        self.check_fitted()
        np.save(folder / SCORES_FILE, self.scores)
        return {}

    @classmethod
    def load(cls, folder: Path, recipe: dict[str, Any]) -> Self:
        """Read popularity_scores.npy."""
        recommender = cls(PopularityConfig.from_mapping(recipe))
        recommender.scores = load_array(folder / SCORES_FILE)
        recommender.n_items = len(recommender.scores)
        return recommender


def count_recent_users(dataset: Dataset, half_life_days: float) -> Float32Array:
    """(n_items in the whole index space,) users with a positive cell, each halved by its age.

    Without times every user counts 1. Ages are taken from the latest act of the dataset.
    """
    positive = dataset.user_items.data > 0
    items = dataset.user_items.indices[positive]
    shares = np.ones(len(items))
    if dataset.last_event_at is not None:
        times = dataset.last_event_at.data
        age_days = (times.max() - times[positive]) / SECONDS_A_DAY
        shares = 0.5 ** (age_days / half_life_days)
    return np.bincount(items, weights=shares, minlength=len(dataset.all_items)).astype(np.float32)
