"""What a training notes of itself: memory, and the range of a recommender's scores."""

from __future__ import annotations

import resource
from itertools import islice
from typing import Any

from recsys.datasets.user_items import Dataset
from recsys.evaluation.score_range import score_range
from recsys.recommenders.base import Recommender
from recsys.types import Int64Array

MAX_SCORE_RANGE_USERS = 1_000


def peak_memory_mb() -> float:
    """The most memory this process has held, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def score_range_of(recommender: Recommender, dataset: Dataset, users: Int64Array) -> dict[str, Any]:
    """Of the first thousand of these users whom it can answer."""
    histories = (dataset.history(int(user)) for user in users)
    answerable = (history for history in histories if recommender.why_not(history) is None)
    chosen = list(islice(answerable, MAX_SCORE_RANGE_USERS))
    return score_range(recommender, chosen) if chosen else {}
