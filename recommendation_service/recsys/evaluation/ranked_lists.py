"""Ranked lists of many users in bounded memory, through the contract that also serves them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from recsys.recommenders.base import Recommender
from recsys.types import History, Int32Array, Recommendation

USERS_AT_ONCE = 1_024  # their histories; the scores are made in smaller blocks


def recommend_unseen(
    recommender: Recommender, histories: Iterable[History], limit: int, batch_size: int = USERS_AT_ONCE
) -> Iterator[list[Recommendation | None]]:
    """Batch after batch, the best items each user has no cell with; None where it cannot answer.

    `histories` is consumed as the batches are asked for, so it may be longer than memory.
    """
    remaining = iter(histories)
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
