"""Ranking metrics, one value a user, computed for all users at once.

Every function takes `ranked`, an (n_users, width) integer array of item indices, best first, -1
where a list is shorter, and `relevant`, an (n_users, n_items) CSR without duplicates whose cells
above zero are the relevant items of the same user. It returns (n_users,) float64 in [0, 1], NaN for
a user without a relevant item, so that `np.nanmean` is the mean over users with one.

In the examples one user is offered the items 3, 0 and 4; relevant are 3, 4 and, not offered, 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsys.errors import ConfigError, DataError
from recsys.types import BoolArray, Float64Array, Int64Array

RankedItems = NDArray[np.integer[Any]]
MOST_K = 1_000  # every list is held, this long, for all users at once


def precision_at_k(ranked: RankedItems, relevant: csr_matrix, k: int) -> Float64Array:
    """Relevant items among the first k, divided by k (also when the list is shorter).

    Example:
        >>> precision_at_k(np.array([[3, 0, 4]]), csr_matrix([[0, 1, 0, 1, 1]]), k=3)  # 2 of 3
        array([0.66666667])
    """
    return _precision(hits_at_k(ranked, relevant, k), relevant_counts(relevant))


def recall_at_k(ranked: RankedItems, relevant: csr_matrix, k: int) -> Float64Array:
    """Relevant items among the first k, divided by the number of relevant items.

    Example:
        >>> recall_at_k(np.array([[3, 0, 4]]), csr_matrix([[0, 1, 0, 1, 1]]), k=1)  # 1 of {1, 3, 4}
        array([0.33333333])
    """
    return _recall(hits_at_k(ranked, relevant, k), relevant_counts(relevant))


def ndcg_at_k(ranked: RankedItems, relevant: csr_matrix, k: int) -> Float64Array:
    """Discounted gain of the first k over that of the best list (Jarvelin and Kekalainen, 2002).

    Gain is 1 or 0, the discount of rank r is log2(r + 1), and the best list holds min(k, relevant
    items) hits.

    Example: (1 + 1/2) / (1 + 1/1.585 + 1/2)
        >>> ndcg_at_k(np.array([[3, 0, 4]]), csr_matrix([[0, 1, 0, 1, 1]]), k=3)
        array([0.70391809])
    """
    return _ndcg(hits_at_k(ranked, relevant, k), relevant_counts(relevant))


def average_precision_at_k(ranked: RankedItems, relevant: csr_matrix, k: int) -> Float64Array:
    """Precision at the rank of each hit, summed, divided by min(k, relevant items); its mean is MAP@k.

    Example: (1/1 + 2/3) / 3
        >>> average_precision_at_k(np.array([[3, 0, 4]]), csr_matrix([[0, 1, 0, 1, 1]]), k=3)
        array([0.55555556])
    """
    return _average_precision(hits_at_k(ranked, relevant, k), relevant_counts(relevant))


def hit_rate_at_k(ranked: RankedItems, relevant: csr_matrix, k: int) -> Float64Array:
    """1 when any of the first k is relevant, else 0.

    Example:
        >>> hit_rate_at_k(np.array([[3, 0, 4]]), csr_matrix([[0, 1, 0, 1, 1]]), k=3)
        array([1.])
    """
    return _hit_rate(hits_at_k(ranked, relevant, k), relevant_counts(relevant))


def reciprocal_rank_at_k(ranked: RankedItems, relevant: csr_matrix, k: int) -> Float64Array:
    """One over the rank of the first hit, 0 without a hit in the first k; its mean is MRR@k.

    Example:
        >>> reciprocal_rank_at_k(np.array([[0, 4, 3]]), csr_matrix([[0, 1, 0, 1, 1]]), k=3)
        array([0.5])
    """
    return _reciprocal_rank(hits_at_k(ranked, relevant, k), relevant_counts(relevant))


def ranking_metrics(ranked: RankedItems, relevant: csr_matrix, k: int) -> dict[str, Float64Array]:
    """Every metric of this module at k by name, looking the hits up once.

    Example:
        >>> list(ranking_metrics(np.array([[3, 0, 4]]), csr_matrix([[0, 1, 0, 1, 1]]), k=3))
        ['precision@3', 'recall@3', 'ndcg@3', 'map@3', 'hit_rate@3', 'mrr@3']
    """
    return metrics_at(ranked, relevant, (k,))


def metrics_at(
    ranked: RankedItems, relevant: csr_matrix, cutoffs: Sequence[int], names: Sequence[str] = ()
) -> dict[str, Float64Array]:
    """`ranking_metrics` at several cut-offs of one ranking, looking the hits up once.

    Args:
        ranked: lists as long as the largest cut-off, or shorter where no more is offered.
        relevant: as above.
        cutoffs: whole numbers from 1.
        names: of METRICS; all by default.

    Example:
        >>> metrics_at(np.array([[3, 0, 4]]), csr_matrix([[0, 1, 0, 1, 1]]), (1, 3), ["recall"])
        {'recall@1': array([0.33333333]), 'recall@3': array([0.66666667])}
    """
    check_cutoffs(cutoffs)
    hits, n_relevant = hits_at_k(ranked, relevant, max(cutoffs)), relevant_counts(relevant)
    return {
        f"{name}@{k}": METRICS[name](hits[:, :k], n_relevant) for k in cutoffs for name in names or METRICS
    }


def hits_at_k(ranked: RankedItems, relevant: csr_matrix, k: int) -> BoolArray:
    """(n_users, k): whether the item at each rank is relevant to its user.

    Raises:
        ConfigError: k is below 1.
        DataError: the two have different numbers of users, or a list offers an item twice (it
            would be counted twice).

    Example:
        >>> hits_at_k(np.array([[3, 0, 4]]), csr_matrix([[0, 1, 0, 1, 1]]), k=4)
        array([[ True, False,  True, False]])
    """
    check_cutoff(k)
    if len(ranked) != relevant.shape[0]:
        raise DataError(f"There are {len(ranked)} ranked lists for {relevant.shape[0]} users.")
    lists = np.full((len(ranked), k), -1, dtype=np.int64)
    lists[:, : ranked.shape[1]] = ranked[:, :k]
    _check_distinct(lists)
    # A cell becomes one number, user x stride + item. A list may offer items beyond the columns of
    # `relevant` (startups nobody acted on): the stride leaves room for them.
    stride = max(int(lists.max(initial=-1)) + 1, relevant.shape[1])
    first_cell = np.arange(len(lists)) * stride
    cells = np.repeat(first_cell, np.diff(relevant.indptr)) + relevant.indices
    hits: BoolArray = np.isin(first_cell[:, np.newaxis] + lists, cells[relevant.data > 0]) & (lists >= 0)
    return hits


def check_cutoff(k: object) -> None:
    """Refuse a k no list can be cut off at.

    Raises:
        ConfigError: it is not a whole number, or below 1.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= MOST_K:
        raise ConfigError(f"k is {k}; it must be a whole number from 1 to {MOST_K:,}.")


def check_cutoffs(cutoffs: Sequence[int]) -> None:
    """Refuse cut-offs of which one is impossible, or none at all."""
    if len(cutoffs) == 0:
        raise ConfigError("There is no cut-off; give whole numbers from 1, such as 10 20 50.")
    for k in cutoffs:
        check_cutoff(k)


def parse_cutoff(metric: str) -> int:
    """The k of a metric's name.

    Raises:
        ConfigError: there is no such metric, or its k is not a whole number from 1.

    Example:
        >>> parse_cutoff("ndcg@20")
        20
    """
    name, _, k = metric.partition("@")
    if name not in METRICS or not k.isdecimal():
        raise ConfigError(
            f"There is no metric {metric!r}; write {', '.join(METRICS)} with a cut-off, such as ndcg@20."
        )
    check_cutoff(int(k))
    return int(k)


def relevant_counts(relevant: csr_matrix) -> Int64Array:
    """(n_users,) how many items are relevant to each user.

    Example:
        >>> relevant_counts(csr_matrix([[0, 1, 0, 1, 1], [0, 0, -1, 0, 0]]))
        array([3, 0])
    """
    positives_before = np.concatenate(([0], np.cumsum(relevant.data > 0)))
    counts: Int64Array = np.diff(positives_before[relevant.indptr])
    return counts


def catalogue_coverage(ranked: RankedItems, n_items: int) -> float:
    """The share of `n_items` items that stand in at least one list.

    Example:
        >>> catalogue_coverage(np.array([[3, 0, -1], [3, 4, 0]]), n_items=6)
        0.5
    """
    return len(np.unique(ranked[ranked >= 0])) / n_items


def _precision(hits: BoolArray, n_relevant: Int64Array) -> Float64Array:
    return _where_relevant(_hit_counts(hits) / hits.shape[1], n_relevant)


def _recall(hits: BoolArray, n_relevant: Int64Array) -> Float64Array:
    return _where_relevant(_hit_counts(hits) / np.maximum(n_relevant, 1), n_relevant)


def _ndcg(hits: BoolArray, n_relevant: Int64Array) -> Float64Array:
    k = hits.shape[1]
    discounts = 1.0 / np.log2(np.arange(k) + 2.0)
    best = np.cumsum(discounts)[np.clip(n_relevant, 1, k) - 1]
    return _where_relevant(np.minimum(hits @ discounts / best, 1.0), n_relevant)


def _average_precision(hits: BoolArray, n_relevant: Int64Array) -> Float64Array:
    k = hits.shape[1]
    precision_at_rank = np.cumsum(hits, axis=1) / (np.arange(k) + 1.0)
    total = (precision_at_rank * hits).sum(axis=1)
    return _where_relevant(total / np.clip(n_relevant, 1, k), n_relevant)


def _hit_rate(hits: BoolArray, n_relevant: Int64Array) -> Float64Array:
    return _where_relevant((_hit_counts(hits) > 0).astype(np.float64), n_relevant)


def _reciprocal_rank(hits: BoolArray, n_relevant: Int64Array) -> Float64Array:
    ranks = np.arange(hits.shape[1]) + 1.0
    reciprocal: Float64Array = (hits / ranks).max(axis=1)
    return _where_relevant(reciprocal, n_relevant)


METRICS: Mapping[str, Callable[[BoolArray, Int64Array], Float64Array]] = {
    "precision": _precision,
    "recall": _recall,
    "ndcg": _ndcg,
    "map": _average_precision,
    "hit_rate": _hit_rate,
    "mrr": _reciprocal_rank,
}


def _hit_counts(hits: BoolArray) -> Int64Array:
    counts: Int64Array = hits.sum(axis=1, dtype=np.int64)
    return counts


def _where_relevant(values: Float64Array, n_relevant: Int64Array) -> Float64Array:
    return np.where(n_relevant > 0, values, np.nan)


def _check_distinct(lists: Int64Array) -> None:
    ordered = np.sort(lists, axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if twice.any():
        user = int(np.flatnonzero(twice)[0])
        raise DataError(f"The list of user {user} offers an item twice: {lists[user].tolist()[:20]}.")
