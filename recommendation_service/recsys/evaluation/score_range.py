"""The range of a recommender's raw scores, from which answers get a score between 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recsys.errors import DataError
from recsys.evaluation.ranked_lists import recommend_unseen
from recsys.recommenders.base import Recommender
from recsys.types import Float32Array, Float64Array, History

TOP = 100
SMALLEST_WIDTH = 1e-9  # where all scores seen in validation were one


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


def normalize_scores(raw_scores: Float32Array, score_range: Mapping[str, float]) -> Float64Array:
    """Raw scores of any recommender on one scale from 0 to 1, by the `score_range` of its manifest entry.

    z = (score - mean) / std over all users' best scores in validation, then 0.5 (1 + z / (1 + |z|)).
    Strictly increasing, so no order changes and, unlike a clipped minimum and maximum, no two scores
    beyond what validation saw become one; and global, not user by user, so what two recommenders say
    can be blended. Without a range (nothing was measured) the mean is 0 and the deviation 1.

    Example:
        >>> normalize_scores(np.array([1.0, 3.0, 9.0], np.float32), {"mean": 3.0, "std": 2.0}).tolist()
        [0.25, 0.5, 0.875]
    """
    centre, width = score_range.get("mean", 0.0), score_range.get("std", 1.0)
    z = (raw_scores.astype(np.float64) - centre) / max(width, SMALLEST_WIDTH)
    normalized: Float64Array = 0.5 * (1.0 + z / (1.0 + np.abs(z)))
    return normalized
