"""Which items stand as negatives beside a liked one, for pairwise learning.

Two kinds are hard, `explicit` and `implicit` (see `datasets.hard_negatives`). The rest is drawn from what
the user has not touched, uniformly or by popularity. What is held back for a test counts as not touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.hard_negatives import Rows, count_likes, explicit_negatives, implicit_negatives
from recsys.types import Float64Array

KINDS = ("explicit", "implicit", "popular", "uniform")
STRATEGIES = ("hard_mixed", "popularity", "uniform")


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
        cumulated = np.cumsum(np.log1p(count_likes(cells)))
        return cls(
            Rows.of(cells),
            explicit_negatives(cells),
            implicit_negatives(cells, n_popular),
            cumulated / max(cumulated[-1], 1e-12),
        )


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
