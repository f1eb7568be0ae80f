"""Which items stand as negatives beside a liked one, for pairwise learning.

Two kinds are hard: `explicit`, what the user disliked, and `implicit`, what most people like and this
user has never touched. The rest is drawn from what the user has not touched, uniformly or by
popularity. What is held back for a test counts as not touched: nobody learning can know of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.user_items import cells_where
from recsys.types import Float64Array, Int32Array, Int64Array

KINDS = ("explicit", "implicit", "popular", "uniform")
STRATEGIES = ("hard_mixed", "popularity", "uniform")


class Rows(NamedTuple):
    """A list of items a user: those of user u are `items[starts[u] : starts[u + 1]]`, ascending.

    `starts` (n_users + 1,) int64, `items` int32.
    """

    starts: Int64Array
    items: Int32Array

    @classmethod
    def of(cls, cells: csr_matrix) -> Rows:
        """The columns of the stored cells."""
        return cls(cells.indptr.astype(np.int64), cells.indices.astype(np.int32))


@dataclass(frozen=True, slots=True)
class NegativePools:
    """What the negatives of each user are drawn from.

    `seen` is never drawn from but by `explicit`; `popularity` (n_items,) float64 are the cumulated
    shares of a popularity-biased draw: the logarithm of 1 + the users who like an item.
    """

    seen: Rows
    explicit: Rows
    implicit: Rows
    popularity: Float64Array

    @classmethod
    def build(cls, user_items: csr_matrix, *, n_popular: int) -> NegativePools:
        """From signed weights: a cell below zero is a dislike.

        Args:
            user_items: (n_users, n_items) CSR without stored zeros.
            n_popular: implicit hard negatives are among so many most popular items.
        """
        cells = user_items.sorted_indices()
        n_likes = np.bincount(cells.indices[cells.data > 0], minlength=cells.shape[1])
        cumulated = np.cumsum(np.log1p(n_likes))
        popular = np.sort(np.argsort(-n_likes, kind="stable")[:n_popular])
        return cls(
            Rows.of(cells),
            Rows.of(cells_where(cells, cells.data < 0)),
            _untouched(cells, popular[n_likes[popular] > 0].astype(np.int32)),
            cumulated / max(cumulated[-1], 1e-12),
        )


def _untouched(cells: csr_matrix, items: Int32Array) -> Rows:
    """Of some items those without a cell, user by user."""
    touched = cells[:, items].astype(np.bool_).toarray()
    users, columns = np.nonzero(~touched)
    starts = np.concatenate(([0], np.cumsum(np.bincount(users, minlength=cells.shape[0]))))
    return Rows(starts.astype(np.int64), items[columns])


def shares_of(strategy: str, *, explicit: float, implicit: float) -> Float64Array:
    """(3,) chances of an explicit, an implicit and a popular negative; the rest is uniform.

    Where a user lacks one kind of hard negative its share is uniform; where both are lacking their
    shares go to popular ones.
    """
    of: Mapping[str, tuple[float, float, float]] = {
        "hard_mixed": (explicit, implicit, 0.0),
        "popularity": (0.0, 0.0, 1.0),
        "uniform": (0.0, 0.0, 0.0),
    }
    return np.array(of[strategy])
