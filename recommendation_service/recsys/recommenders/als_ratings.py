"""ALS over ratings and reviews: a cell is a confidence from 1 to 6, not a count of acts.

`recsys.datasets.reviews` says how a rating and its text become a signed cell c. What the engine is given is
a preference, 1 where the cell is liked and |c| reaches `preference_threshold`, else 0, and a confidence C:

    direct   C = |c|
    scaled   C = 1 + alpha (|c| - 1) / 5

Alpha is applied once. The engine `implicit` multiplies every weight by its own alpha, so it is given
C / alpha; `irspack` takes the weight as it is and is given C; `spark` makes 1 + alpha times the weight of it
and is given (C - 1) / alpha. A preference of 0 counts for exactly C with `implicit` and `spark`, and with the
fold-in of `irspack`, which trains on what is liked alone. At C = 1, a bare 1 star, it says no more than "not
seen"; dislikes among acts, which have no confidence, count for more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix

from recsys.config import read_section
from recsys.datasets.reviews import HIGHEST_CONFIDENCE, LOWEST_CONFIDENCE
from recsys.datasets.user_items import Dataset, check_user_items
from recsys.engines.als_config import ALSConfig
from recsys.engines.iterations import Measure
from recsys.errors import DataError
from recsys.paths import config_file
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.base import load_array
from recsys.types import Float32Array, History, Int32Array, ProgressCallback

USER_FACTORS_FILE, ITEM_FACTORS_FILE = "als_ratings_user_factors.npy", "als_ratings_item_factors.npy"
STRATEGIES = ("direct", "scaled")
ROUNDING = 1e-4  # of a confidence that was stored as float32


@dataclass(frozen=True)
class ALSRatingsConfig(ALSConfig):
    """Those of als, whose defaults stand in its section, and three of its own.

    The section `als_ratings` says what is new or otherwise; all else is as in `als`.
    """

    section: ClassVar[str] = "als_ratings"
    least_dislike: ClassVar[float] = LOWEST_CONFIDENCE
    confidence: str
    preference_threshold: float

    @classmethod
    def default(cls, **overrides: object) -> Self:
        """See `SectionConfig.default`."""
        values = {**read_section(ALSConfig.section), **read_section(cls.section), **overrides}
        return cls.from_mapping(values, source=str(config_file()))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.confidence in STRATEGIES, "confidence", f"one of {', '.join(STRATEGIES)}")
        self.require(
            LOWEST_CONFIDENCE <= self.preference_threshold <= HIGHEST_CONFIDENCE,
            "preference_threshold",
            f"from {LOWEST_CONFIDENCE:g} (the rating alone decides) to {HIGHEST_CONFIDENCE:g}",
        )

    def weights(self, cells: Float32Array) -> Float32Array:
        """(n,) what the engine is to be given for signed cells: above zero where the preference is 1."""
        size = np.clip(np.abs(cells.astype(np.float64)), LOWEST_CONFIDENCE, HIGHEST_CONFIDENCE)
        confidence = size if self.confidence == "direct" else 1.0 + self.alpha * (size - 1.0) / 5.0
        weight = {
            "implicit": confidence / self.alpha,
            "irspack": confidence,
            "spark": (confidence - 1.0) / self.alpha,
        }[self.engine]
        is_liked = (cells > 0) & (size >= self.preference_threshold)
        return np.where(is_liked, weight, -weight).astype(np.float32)


class ALSRatingsRecommender(ALSRecommender):
    """`als` whose cells are confidences; a history is folded in by the same rule."""

    name: ClassVar[str] = "als_ratings"
    config: ALSRatingsConfig

    def __init__(self, config: ALSRatingsConfig | None = None) -> None:
        super().__init__(config or ALSRatingsConfig.default())

    @classmethod
    def why_not_fit(cls, dataset: Dataset) -> str | None:
        """It needs ratings: a cell of acts can be of any size."""
        sizes = np.abs(dataset.user_items.data)
        low, high = sizes.min(initial=HIGHEST_CONFIDENCE), sizes.max(initial=LOWEST_CONFIDENCE)
        if low >= LOWEST_CONFIDENCE - ROUNDING and high <= HIGHEST_CONFIDENCE + ROUNDING:
            return None
        return f"its cells must be ratings, confidences from 1 to 6, and these go from {low:g} to {high:g}"

    def _fit(self, dataset: Dataset, progress: ProgressCallback, measure: Measure | None) -> Self:
        """As als on the weights; also refused: cells that are no confidences, or none at the threshold."""
        check_user_items(dataset.user_items)
        why_not = self.why_not_fit(dataset)
        if why_not is not None:
            raise DataError(f"als_ratings cannot learn from this dataset: {why_not}; train als on acts.")
        weighted = self._weighted(dataset)
        if not (weighted.user_items.data > 0).any():
            raise DataError(
                f"No rating reaches als_ratings.preference_threshold {self.config.preference_threshold:g}: "
                f"the highest confidence is {dataset.user_items.data.max():g}. Lower it."
            )
        return super()._fit(weighted, progress, measure)

    def why_not(self, history: History) -> str | None:
        """It needs one liked rating of an item it was trained on."""
        if super().why_not(self._weighed(history)) is None:
            return None
        return "no rating at the preference threshold of an item als_ratings was trained on"

    def fold_in(self, history: History) -> Float32Array:
        """See `ALSRecommender.fold_in`."""
        return super().fold_in(self._weighed(history))

    def user_vectors(self, histories: Sequence[History]) -> Float32Array:
        """See `ALSRecommender.user_vectors`."""
        return super().user_vectors([self._weighed(history) for history in histories])

    def lost_vectors(self, history: History, acts: Sequence[int]) -> Float32Array:
        """See `ALSRecommender.lost_vectors`."""
        return super().lost_vectors(self._weighed(history), acts)

    def contributions(self, history: History, item_indices: Int32Array) -> Float32Array:
        """See `ALSRecommender.contributions`."""
        return super().contributions(self._weighed(history), item_indices)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write both factor matrices, beside those of als where a release holds both.

        Among the facts are the learning curve and, under "start", those of the start if there was one.
        """
        self.check_fitted()
        np.save(folder / USER_FACTORS_FILE, self.user_factors)
        np.save(folder / ITEM_FACTORS_FILE, self.item_factors)
        facts: dict[str, Any] = {"n_users": len(self.user_factors), "n_items": self.n_items}
        facts["condition_numbers"] = dict(self.condition_numbers)
        facts["learning_curve"] = list(self.learning_curve)
        if self._start is not None:
            facts["start"] = dict(self._start.facts)
        return facts

    @classmethod
    def load(cls, folder: Path, recipe: dict[str, Any]) -> Self:
        """Read what `save` wrote."""
        config = ALSRatingsConfig.from_recipe(recipe)
        return cls.from_factors(
            load_array(folder / USER_FACTORS_FILE, columns=config.factors),
            load_array(folder / ITEM_FACTORS_FILE, columns=config.factors),
            config,
        )

    def _weighted(self, dataset: Dataset) -> Dataset:
        cells = dataset.user_items
        weights = self.config.weights(cells.data)
        return replace(dataset, user_items=csr_matrix((weights, cells.indices, cells.indptr), cells.shape))

    def _weighed(self, history: History) -> History:
        return history.once(
            (self, "weighed"), lambda: replace_weights(history, self.config.weights(history.weights))
        )


def replace_weights(history: History, weights: Float32Array) -> History:
    """The same acts with other weights."""
    return History(history.item_indices, weights, history.last_event_at, history.interests)
