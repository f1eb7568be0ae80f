"""Metrics over pairs of items rather than over the first places of a list."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from recsys.errors import DataError
from recsys.types import Float32Array, Float64Array


def area_under_curve(scores: Float32Array, relevant: csr_matrix, excluded: csr_matrix) -> Float64Array:
    """Share of the pairs of a relevant and another item that the scores order rightly; a tie counts half.

    The area under the ROC curve of each user (Rendle et al., UAI 2009, section 3). 0.5 is chance.

    Args:
        scores: (n_users, n_items), higher is better.
        relevant: (n_users, n_items) CSR; cells above zero are the relevant items.
        excluded: (n_users, n_items) CSR; items with a cell are on neither side, relevant or not.

    Returns:
        (n_users,) in [0, 1]; NaN for a user without a pair.

    Raises:
        DataError: the shapes differ, or a score is not a finite number.

    Example: items 1 and 3 are relevant, 0 is left out; 3 is above 2 and 4, 1 above neither
        >>> scores = np.array([[9.0, 1.0, 2.0, 5.0, 4.0]])
        >>> area_under_curve(scores, csr_matrix([[0, 1, 0, 1, 0]]), csr_matrix([[1, 0, 0, 0, 0]]))
        array([0.5])
    """
    if not scores.shape == relevant.shape == excluded.shape:
        raise DataError(
            f"Scores have shape {scores.shape}, relevant items {relevant.shape} and excluded ones "
            f"{excluded.shape}; they must be the same."
        )
    if not np.isfinite(scores).all():
        raise DataError("The scores hold a value that is not a finite number; train the recommender again.")
    areas = np.full(len(scores), np.nan)
    for user, row in enumerate(scores):
        is_relevant, is_other = np.zeros(len(row), bool), np.ones(len(row), bool)
        start, end = relevant.indptr[user], relevant.indptr[user + 1]
        is_relevant[relevant.indices[start:end][relevant.data[start:end] > 0]] = True
        outside = excluded.indices[excluded.indptr[user] : excluded.indptr[user + 1]]
        is_relevant[outside] = is_other[outside] = False
        wanted, others = np.sort(row[is_relevant]), row[is_other & ~is_relevant]
        if len(wanted) and len(others):
            at_most, below = (np.searchsorted(wanted, others, side) for side in ("right", "left"))
            areas[user] = 1.0 - (at_most.mean() + below.mean()) / (2 * len(wanted))
    return areas
