"""The items that say most about what a user does not want, told from the train part alone.

Two kinds: `explicit`, what the user disliked or rated 3 or less (a cell below zero), and `implicit`, the
items most people like that this user has never touched. An item held back for a test counts as not touched:
nobody learning can know of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.user_items import cells_where
from recsys.types import Int32Array, Int64Array


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

    def of_user(self, user_index: int) -> Int32Array:
        """(n,) the items of one user."""
        return self.items[self.starts[user_index] : self.starts[user_index + 1]]


def explicit_negatives(cells: csr_matrix) -> Rows:
    """What each user disliked.

    Args:
        cells: (n_users, n_items) CSR of signed weights, sorted, without stored zeros.
    """
    return Rows.of(cells_where(cells, cells.data < 0))


def implicit_negatives(cells: csr_matrix, n_popular: int) -> Rows:
    """Of the `n_popular` items with most likes those without a cell, user by user; ties to the lower index.

    An item nobody likes is never among them.
    """
    return _untouched(cells, most_popular(count_likes(cells), n_popular))


def count_likes(cells: csr_matrix) -> Int64Array:
    """(n_items,) users with a cell above zero."""
    return np.bincount(cells.indices[cells.data > 0], minlength=cells.shape[1])


def most_popular(n_likes: Int64Array, n_popular: int) -> Int32Array:
    """The items with most likes, at most so many, in ascending order; none without a like."""
    popular = np.sort(np.argsort(-n_likes, kind="stable")[:n_popular])
    return popular[n_likes[popular] > 0].astype(np.int32)


def _untouched(cells: csr_matrix, items: Int32Array) -> Rows:
    touched = cells[:, items].astype(np.bool_).toarray()
    users, columns = np.nonzero(~touched)
    starts = np.concatenate(([0], np.cumsum(np.bincount(users, minlength=cells.shape[0]))))
    return Rows(starts.astype(np.int64), items[columns])
