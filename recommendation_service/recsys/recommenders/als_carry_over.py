"""The factors of one ALS model as the start of the next, on a dataset that has grown since.

Who and what was there before keeps its row. A new user is folded in from the items there were; a new
item is solved from the users, old and new, by the same equations with the sides exchanged.
"""

from __future__ import annotations

import numpy as np

from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.recommenders.als import ALSRecommender
from recsys.types import Float32Array, History, Int32Array


def carry_over(
    before: ALSRecommender,
    dataset: Dataset,
    user_rows: Int32Array,
    item_rows: Int32Array,
    config: ALSConfig,
) -> tuple[Float32Array, Float32Array]:
    """(n_users, factors) and (n_items, factors) float32 to start from, in one basis.

    Args:
        before: the model carried over, of the same engine and number of factors as `config`.
        dataset: what is fitted next.
        user_rows: (n_users,) each user's row in `before`; -1 for a new one.
        item_rows: (n_items,) likewise.
        config: what is fitted next.
    """
    users, items = _kept(before.user_factors, user_rows), _kept(before.item_factors, item_rows)
    by_items = ALSRecommender.from_factors(users, items, config)
    users, items = by_items.user_factors, by_items.item_factors
    for row in np.flatnonzero(user_rows < 0).tolist():
        users[row] = by_items.fold_in(dataset.history(row))

    by_users = ALSRecommender.from_factors(items, users, config)  # whose "items" are the users
    items, users = by_users.user_factors, by_users.item_factors
    columns = dataset.user_items.tocsc()
    for column in np.flatnonzero(item_rows < 0).tolist():
        start, end = columns.indptr[column : column + 2]
        acted = History(columns.indices[start:end].astype(np.int32, copy=False), columns.data[start:end])
        items[column] = by_users.fold_in(acted)
    return users, items


def _kept(factors: Float32Array, rows: Int32Array) -> Float32Array:
    """(len(rows), factors) a copy of those rows; zero where there was none."""
    kept = np.zeros((len(rows), factors.shape[1]), np.float32)
    kept[rows >= 0] = factors[rows[rows >= 0]]
    return kept
