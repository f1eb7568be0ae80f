"""How popular the items are that stand in lists, and which part of a catalogue a hit is from.

`popularity` is (n_items,): of each item how many users have a positive cell with it in the train part.
An item beyond its end is one nobody has. Lists are as in `ranking`: (n_users, width) item indices, best
first, -1 where a list is shorter; a user without a list has NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsys.errors import DataError
from recsys.metrics.ranking import RankedItems, check_cutoff
from recsys.types import Float64Array, Int32Array, Int64Array

HEAD, MID, TAIL = "head", "mid", "tail"
BUCKETS = (HEAD, MID, TAIL)


def item_popularity(positive: csr_matrix) -> Int64Array:
    """(n_items,) how many users have a cell above zero with each item.

    Example:
        >>> item_popularity(csr_matrix([[1, 0, 2], [0.5, 0, -1]]))
        array([2, 0, 1])
    """
    return np.bincount(positive.indices[positive.data > 0], minlength=positive.shape[1])


def novelty_at_k(ranked: RankedItems, popularity: Int64Array, n_users: int, k: int) -> Float64Array:
    """Mean self-information of the first k: -log2 of the share of users who have the item, in bits.

    An item nobody has counts as if one user had it (Zhou et al., PNAS 2010; Vargas and Castells,
    RecSys 2011).

    Example: one item half of the users have, one that a quarter has
        >>> novelty_at_k(np.array([[0, 1, 2]]), np.array([4, 2, 1]), n_users=8, k=2)
        array([1.5])
    """
    if n_users < 1:
        raise DataError("Novelty is by the share of users who have an item, and there are no users.")
    bits = -np.log2(np.maximum(popularity, 1) / n_users)
    return _mean_over_list(ranked, bits, float(np.log2(n_users)), k)


def mean_popularity_at_k(ranked: RankedItems, popularity: Int64Array, k: int) -> Float64Array:
    """Mean popularity of the first k: the average recommendation popularity of a user.

    Example:
        >>> mean_popularity_at_k(np.array([[0, 1, 2], [2, -1, -1]]), np.array([4, 2, 1]), k=2)
        array([3., 1.])
    """
    return _mean_over_list(ranked, popularity.astype(np.float64), 0.0, k)


def history_popularity(positive: csr_matrix, popularity: Int64Array) -> Float64Array:
    """(n_users,) mean popularity of what each user has a cell above zero with; NaN without one.

    Example:
        >>> history_popularity(csr_matrix([[1, 1, 0], [0, -1, 1]]), np.array([4, 2, 1]))
        array([3., 1.])
    """
    liked = positive.data > 0
    of_user = np.repeat(np.arange(positive.shape[0]), np.diff(positive.indptr))[liked]
    weights = popularity[positive.indices[liked]].astype(np.float64)
    total = np.bincount(of_user, weights=weights, minlength=positive.shape[0])
    return _divided(np.asarray(total, np.float64), np.bincount(of_user, minlength=positive.shape[0]))


def popularity_bias(of_lists: Float64Array, of_histories: Float64Array) -> float | None:
    """Mean popularity of lists over that of the same users' histories; 1: as popular as their own choice.

    Over users who have both; None without one (after Abdollahpouri et al., RMSE 2019).

    Example:
        >>> popularity_bias(np.array([30.0, 10.0, np.nan]), np.array([15.0, 5.0, 8.0]))
        2.0
    """
    both = np.isfinite(of_lists) & np.isfinite(of_histories)
    if not both.any() or of_histories[both].sum() == 0:
        return None
    return float(of_lists[both].mean() / of_histories[both].mean())


def popularity_buckets(popularity: Int64Array, n_items: int) -> Int32Array:
    """(n_items,) 0, 1 or 2: whether an item is of the head, the middle or the tail.

    Items by falling popularity, ties by the lower index: the head starts with the first, the middle
    where a third of all interactions lies before an item, the tail where two thirds do. Items nobody
    has are of the tail.

    Example: 12 interactions; before the third item lie 8, two thirds
        >>> popularity_buckets(np.array([1, 4, 3, 4, 0]), n_items=6)
        array([2, 0, 2, 1, 2, 2], dtype=int32)
    """
    counts = np.zeros(max(n_items, len(popularity)), np.int64)
    counts[: len(popularity)] = popularity
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    total = max(int(counts.sum()), 1)
    buckets = np.empty(len(counts), np.int32)
    buckets[order] = np.where(counts[order] == 0, 2, np.minimum(3 * before // total, 2))
    return buckets[:n_items]


def bucket_shares_at_k(ranked: RankedItems, buckets: Int32Array, k: int) -> Float64Array:
    """(3,) which share of the places of all lists, cut off at k, goes to each bucket; 0 without lists.

    Example:
        >>> bucket_shares_at_k(np.array([[0, 2], [0, 1]]), np.array([0, 1, 2]), k=2)
        array([0.5 , 0.25, 0.25])
    """
    check_cutoff(k)
    places = ranked[:, :k]
    items = places[places >= 0]
    known = np.where(items < len(buckets), buckets[np.minimum(items, len(buckets) - 1)], 2)
    shares: Float64Array = np.bincount(known, minlength=len(BUCKETS)) / max(len(items), 1)
    return shares


def _mean_over_list(ranked: RankedItems, values: Float64Array, beyond: float, k: int) -> Float64Array:
    check_cutoff(k)
    places = ranked[:, :k]
    padded = np.append(values, [beyond, 0.0])  # of an item beyond the end, and of no item
    position = np.where(places < 0, len(values) + 1, np.minimum(places, len(values)))
    return _divided(padded[position].sum(axis=1), (places >= 0).sum(axis=1))


def _divided(total: Float64Array, count: NDArray[np.int64]) -> Float64Array:
    quotients: Float64Array = np.full(len(total), np.nan)
    return np.divide(total, count, out=quotients, where=count > 0)
