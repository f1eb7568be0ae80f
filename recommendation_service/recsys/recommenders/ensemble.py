"""ALS and the two-tower model as one: a weighted sum of each user's standardized scores.

Raw scores of two models cannot be compared. Divided by their deviation over all items they can, user
by user: score = share * als / deviation + (1 - share) * two_tower / deviation. The mean that a
standard score subtracts is the same for every item of a user, so leaving it out changes no order;
an item that als does not know stands there with the mean of all that it knows. What remains is one
inner product: the parts' vectors side by side. A deviation needs no scan either, for the variance
of u.y over all items is u C u with C the covariance of the item vectors.
Linear combination of standardized scores: Fox and Shaw, TREC-2, 1994; Aslam and Montague, SIGIR 2001.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from recsys.config import SectionConfig
from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.user_items import Dataset
from recsys.errors import NotFittedError
from recsys.progress import ignore_progress
from recsys.recommenders.base import Recommender, VectorRecommender, load_array
from recsys.types import Float32Array, Float64Array, History, Int32Array, ProgressCallback

COVARIANCE_FILES = {"als": "ensemble_als_covariance.npy", "two_tower": "ensemble_two_tower_covariance.npy"}
VECTORS_FILE = "ensemble_item_vectors.npy"
MEAN_FILE = "ensemble_als_mean.npy"
MIN_DEVIATION = 1e-9
ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class EnsembleConfig(SectionConfig):
    """`als_share`: the weight of als; the rest is two_tower's."""

    section: ClassVar[str] = "ensemble"
    als_share: float

    def __post_init__(self) -> None:
        self.require(0 <= self.als_share <= 1, "als_share", "from 0 to 1")


class EnsembleRecommender(VectorRecommender):
    """Standardized scores of als and two_tower, added up."""

    name: ClassVar[str] = "ensemble"
    covers_catalogue: ClassVar[bool] = True
    parts: ClassVar[tuple[str, ...]] = ("als", "two_tower")

    def __init__(self, config: EnsembleConfig | None = None) -> None:
        self.config: EnsembleConfig = config or EnsembleConfig.default()
        self.als: VectorRecommender | None = None
        self.two_tower: VectorRecommender | None = None
        self.vectors: Float32Array = np.empty((0, 0), np.float32)
        self._mean_of_als: Float32Array = np.empty(0, np.float32)
        self._covariances: Mapping[str, Float64Array] = {}

    def attach(self, recommenders: Mapping[str, Recommender]) -> None:
        """Take als and two_tower.

        Raises:
            NotFittedError: one is missing.
        """
        super().attach(recommenders)
        als, two_tower = (recommenders[part] for part in self.parts)
        if not (isinstance(als, VectorRecommender) and isinstance(two_tower, VectorRecommender)):
            raise NotFittedError("The parts of the ensemble must score by inner products.")
        self.als, self.two_tower = als, two_tower

    def fit(self, dataset: Dataset, progress: ProgressCallback = ignore_progress) -> Self:
        """Put the attached parts together, which were fitted on this dataset.

        Raises:
            NotFittedError: no parts are attached.
        """
        als, two_tower = self._both()
        self.n_items = two_tower.n_items
        self._covariances = {
            "als": covariance(als.item_vectors()),
            "two_tower": covariance(two_tower.item_vectors()),
        }
        self._mean_of_als = als.item_vectors().mean(axis=0)
        self.vectors = _side_by_side(als.item_vectors(), two_tower.item_vectors(), self._mean_of_als)
        return self

    def with_share(self, als_share: float) -> Self:
        """The same parts with another weight of als."""
        other = copy(self)
        other.config = replace(self.config, als_share=als_share)
        return other

    def with_new_items(self, items: Sequence[CatalogueItem]) -> Self:
        """The same with startups appended that it was not trained on; als knows nothing of them."""
        _, two_tower = self._both()
        extended = copy(self)
        extended.two_tower = two_tower.with_new_items(items)
        new = extended.two_tower.item_vectors()[self.n_items :]
        nobody_acted = _side_by_side(
            np.empty((0, len(self._mean_of_als)), np.float32), new, self._mean_of_als
        )
        extended.vectors = np.concatenate((self.vectors, nobody_acted))
        extended.n_items = self.n_items + len(new)
        return extended

    def why_not(self, history: History) -> str | None:
        """It needs what both of its parts need."""
        als, two_tower = self._both()
        return als.why_not(history) or two_tower.why_not(history)

    def user_vector(self, history: History) -> Float32Array:
        """(d_als + d_two_tower,) float32: each part's vector times its weight over its deviation."""
        return history.once(self, lambda: self._join(history))

    def _join(self, history: History) -> Float32Array:
        als, two_tower = self._both()
        joined = self._joined(als.user_vector(history)[None], two_tower.user_vector(history)[None])
        vector: Float32Array = joined[0]
        return vector

    def user_vectors(self, histories: Sequence[History]) -> Float32Array:
        """(n_histories, d) as `user_vector`, both parts asked for all of them at once."""
        als, two_tower = self._both()
        return self._joined(als.user_vectors(histories), two_tower.user_vectors(histories))

    def lost_vectors(self, history: History, acts: Sequence[int]) -> Float32Array:
        """(n_acts, d) from what the parts lose, and the weights they then have."""
        als, two_tower = self._both()
        of_als, of_two_tower = als.user_vector(history), two_tower.user_vector(history)
        without = self._joined(
            of_als - als.lost_vectors(history, acts), of_two_tower - two_tower.lost_vectors(history, acts)
        )
        return self._joined(of_als[None], of_two_tower[None]) - without

    def item_vectors(self) -> Float32Array:
        """(n_items, d_als + d_two_tower) float32; als's mean item where nobody had acted on a startup."""
        self.check_fitted()
        return self.vectors

    def likeness(self, item_indices: Int32Array, others: Int32Array) -> Float32Array:
        """(n, n_others) cosines in als, in two_tower where als does not know one of the two."""
        als, two_tower = self._both()
        cosines = two_tower.likeness(item_indices, others)
        known, known_others = np.flatnonzero(item_indices < als.n_items), np.flatnonzero(others < als.n_items)
        cosines[np.ix_(known, known_others)] = als.likeness(item_indices[known], others[known_others])
        return cosines

    def contributions(self, history: History, item_indices: Int32Array) -> Float32Array | None:
        """(n_history, n) the parts' shares under the weights of this user."""
        als, two_tower = self._both()
        weights = self._weights_of(history)
        known = item_indices < als.n_items
        of_als = als.contributions(history, item_indices[known])
        of_two_tower = two_tower.contributions(history, item_indices)
        if of_als is None or of_two_tower is None:
            return None
        shares: Float32Array = (weights[1] * of_two_tower).astype(np.float32)
        shares[:, known] += weights[0] * of_als
        return shares

    def interest_share(self, history: History, item_indices: Int32Array) -> Float32Array:
        """(n,) two_tower's, under the weights of this user; als does not read interests."""
        if not history.interests:
            return np.zeros(len(item_indices), np.float32)
        _, two_tower = self._both()
        _, weight = self._weights_of(history)
        share: Float32Array = (weight * two_tower.interest_share(history, item_indices)).astype(np.float32)
        return share

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the vectors side by side and the covariances; the parts write their own files."""
        self.check_fitted()
        np.save(folder / VECTORS_FILE, self.vectors)
        np.save(folder / MEAN_FILE, self._mean_of_als)
        for part, file in COVARIANCE_FILES.items():
            np.save(folder / file, self._covariances[part])
        return {"als_share": self.config.als_share}

    @classmethod
    def load(cls, folder: Path, recipe: dict[str, Any]) -> Self:
        """Read what `save` wrote; `attach` must follow."""
        recommender = cls(EnsembleConfig.from_mapping(recipe))
        recommender._covariances = {
            part: load_array(folder / file) for part, file in COVARIANCE_FILES.items()
        }
        recommender._mean_of_als = load_array(folder / MEAN_FILE)
        d = sum(len(matrix) for matrix in recommender._covariances.values())
        recommender.vectors = load_array(folder / VECTORS_FILE, columns=d)
        recommender.n_items = len(recommender.vectors)
        return recommender

    def _both(self) -> tuple[VectorRecommender, VectorRecommender]:
        if self.als is None or self.two_tower is None:
            raise NotFittedError("The ensemble has no parts; attach als and two_tower first.")
        return self.als, self.two_tower

    def _joined(self, of_als: Float32Array, of_two_tower: Float32Array) -> Float32Array:
        """(n, d) users, from theirs in both parts."""
        als_weight, two_tower_weight = self._weights(of_als, of_two_tower)
        joined = (als_weight[:, np.newaxis] * of_als, two_tower_weight[:, np.newaxis] * of_two_tower)
        return np.concatenate(joined, axis=1).astype(np.float32)

    def _weights(self, of_als: Float32Array, of_two_tower: Float32Array) -> tuple[Float64Array, Float64Array]:
        """(n,) and (n,) what the parts weigh for each of n users, from theirs in both parts."""
        share = self.config.als_share
        return (
            share / _deviations(of_als, self._covariances["als"]),
            (1 - share) / _deviations(of_two_tower, self._covariances["two_tower"]),
        )

    def _weights_of(self, history: History) -> tuple[float, float]:
        als, two_tower = self._both()
        weights = self._weights(als.user_vector(history)[None], two_tower.user_vector(history)[None])
        return float(weights[0][0]), float(weights[1][0])


def covariance(vectors: Float32Array) -> Float64Array:
    """(d, d) float64 covariance of the rows, in blocks: the float64 copy stays small."""
    total, products = np.zeros(vectors.shape[1]), np.zeros((vectors.shape[1], vectors.shape[1]))
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        block = vectors[start : start + ROWS_AT_ONCE].astype(np.float64)
        total += block.sum(axis=0)
        products += block.T @ block
    mean = total / max(len(vectors), 1)
    centred: Float64Array = products / max(len(vectors), 1) - np.outer(mean, mean)
    return centred


def _deviations(users: Float32Array, item_covariance: Float64Array) -> Float64Array:
    """(n,) of each user's scores over all items; one whose scores are all alike has none to speak of."""
    precise = users.astype(np.float64)
    variances = np.einsum("ij,ij->i", precise @ item_covariance, precise)
    return np.sqrt(np.where(variances > MIN_DEVIATION**2, variances, np.inf))


def _side_by_side(
    of_als: Float32Array, of_two_tower: Float32Array, mean_of_als: Float32Array
) -> Float32Array:
    """(n_items, d) float32; als knows the first rows only."""
    vectors = np.empty((len(of_two_tower), len(mean_of_als) + of_two_tower.shape[1]), np.float32)
    vectors[: len(of_als), : len(mean_of_als)] = of_als
    vectors[len(of_als) :, : len(mean_of_als)] = mean_of_als
    vectors[:, len(mean_of_als) :] = of_two_tower
    return vectors
