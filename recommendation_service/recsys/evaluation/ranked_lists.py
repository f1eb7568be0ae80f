"""Ranked lists of many users in bounded memory, through the contract that also serves them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from recsys.recommenders.base import Recommender
from recsys.types import History, Int32Array, Recommendation

SCORE_BYTES_AT_ONCE = 128 * 2**20
COPIES_OF_A_SCORE = 4  # the scores themselves, and what making and masking them takes
MAX_BATCH = 1_024


def batch_size_for(n_items: int) -> int:
    """Users whose scores over `n_items` items fit the memory set aside for them.

    >>> batch_size_for(40_000), batch_size_for(3_000), batch_size_for(100_000_000)
    (209, 1024, 1)
    """
    bytes_a_user = max(n_items, 1) * np.dtype(np.float32).itemsize * COPIES_OF_A_SCORE
    return min(max(SCORE_BYTES_AT_ONCE // bytes_a_user, 1), MAX_BATCH)


def recommend_unseen(
    recommender: Recommender, histories: Iterable[History], limit: int, batch_size: int | None = None
) -> Iterator[list[Recommendation | None]]:
    """Batch after batch, the best items each user has no cell with; None where it cannot answer.

    `histories` is consumed as the batches are asked for, so it may be longer than memory.
    """
    remaining = iter(histories)
    batch_size = batch_size or batch_size_for(recommender.n_items)
    while batch := list(islice(remaining, batch_size)):
        yield _recommend_batch(recommender, batch, limit)


def as_array(lists: Sequence[Recommendation | None], width: int) -> Int32Array:
    """(n_lists, width) int32 item indices, -1 where a list is shorter or there is none."""
    array = np.full((len(lists), width), -1, dtype=np.int32)
    for row, ranked in zip(array, lists, strict=True):
        if ranked is not None:
            row[: len(ranked.item_indices)] = ranked.item_indices
    return array


def _recommend_batch(
    recommender: Recommender, histories: Sequence[History], limit: int
) -> list[Recommendation | None]:
    lists: list[Recommendation | None] = [None] * len(histories)
    answerable = [i for i, history in enumerate(histories) if recommender.why_not(history) is None]
    if answerable:
        chosen = [histories[i] for i in answerable]
        seen = [history.item_indices for history in chosen]
        for i, ranked in zip(
            answerable, recommender.recommend_batch(chosen, limit, exclude=seen), strict=True
        ):
            lists[i] = ranked
    return lists
