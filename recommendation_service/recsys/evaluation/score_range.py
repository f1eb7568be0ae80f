"""The range of a recommender's raw scores, from which answers get a score between 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recsys.errors import DataError
from recsys.evaluation.ranked_lists import recommend_unseen
from recsys.recommenders.base import Recommender
from recsys.types import History

TOP = 100


def score_range(recommender: Recommender, histories: Sequence[History]) -> dict[str, Any]:
    """Measure the scores of each user's best 100 unseen items: those an answer may ever show.

    Returns:
        min, max, mean, std, p01, p99 (percentiles) and `method`, which says over what.

    Raises:
        DataError: the recommender can answer none of these users, or a score is not finite.
    """
    lists = [
        ranked.scores
        for batch in recommend_unseen(recommender, histories, TOP)
        for ranked in batch
        if ranked is not None and len(ranked.scores)
    ]
    if not lists:
        raise DataError(f"{recommender.name} can answer none of {len(histories):,} users: no score range.")
    scores = np.concatenate(lists).astype(np.float64)
    if not np.isfinite(scores).all():
        raise DataError(f"{recommender.name} gives scores that are not finite numbers; train it again.")
    p01, p99 = np.quantile(scores, [0.01, 0.99])
    return {
        "min": float(scores.min()),
        "max": float(scores.max()),
        "mean": float(scores.mean()),
        "std": float(scores.std()),
        "p01": float(p01),
        "p99": float(p99),
        "method": f"raw scores of the best {TOP} unseen items of {len(lists):,} users",
    }
