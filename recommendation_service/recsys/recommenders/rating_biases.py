"""The part of a rating that is the user's and the item's alone (Koren et al., Computer 2009, equation 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.recommenders.rating_base import RatingData
from recsys.types import Float32Array, Float64Array, Int32Array


@dataclass(frozen=True, slots=True)
class Biases:
    """mean + user_biases[u] + item_biases[i] is what u gives i as far as neither knows the other.

    `user_biases` (n_users,) and `item_biases` (n_items,) float32; 0 where there is no rating.
    """

    mean: float
    user_biases: Float32Array
    item_biases: Float32Array

    def predict(self, user_index: Int32Array, item_index: Int32Array) -> Float32Array:
        """(n,) points; the bias of an index of -1 is 0."""
        return self.mean + _at(self.user_biases, user_index) + _at(self.item_biases, item_index)


def fit_biases(data: RatingData, damping: float) -> Biases:
    """Item biases against the mean, then user biases against both.

    Args:
        data: what to learn from.
        damping: so many ratings without a bias stand beside each one's own: few ratings, small bias.
    """
    ratings = data.ratings
    points = ratings.points.astype(np.float64)
    mean = float(points.mean())
    items = _damped_means(points - mean, ratings.item_index, data.n_items, damping)
    left = points - mean - items[ratings.item_index]
    users = _damped_means(left, ratings.user_index, data.n_users, damping)
    return Biases(mean, users.astype(np.float32), items.astype(np.float32))


def user_means(data: RatingData) -> Float32Array:
    """(n_users,) each user's mean points; the mean of all where a user has no rating."""
    users, points = data.ratings.user_index, data.ratings.points.astype(np.float64)
    counts = np.bincount(users, minlength=data.n_users)
    sums = np.bincount(users, weights=points, minlength=data.n_users)
    return np.where(counts > 0, sums / np.maximum(counts, 1), points.mean()).astype(np.float32)


def _damped_means(values: Float64Array, index: Int32Array, size: int, damping: float) -> Float64Array:
    counts = np.bincount(index, minlength=size)
    sums = np.bincount(index, weights=values, minlength=size)
    means: Float64Array = sums / np.maximum(counts + damping, np.finfo(np.float64).tiny)
    return means


def _at(biases: Float32Array, index: Int32Array) -> Float32Array:
    return np.where(index >= 0, biases[index], np.float32(0))
