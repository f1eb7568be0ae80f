"""What ALS is stopped early by: NDCG@10 of its factors on a validation part.

A user there is folded in from the train part, as they would be when they are answered.
"""

from __future__ import annotations

from collections.abc import Callable

from recsys.datasets.splits import Split
from recsys.engines.iterations import Measure
from recsys.recommenders.base import Recommender
from recsys.recommenders.early_stopping import validation_metric
from recsys.types import Float32Array

VALIDATION_K = 10


def measure_on(
    validation: Split, seed: int, recommender_of: Callable[[Float32Array, Float32Array], Recommender]
) -> Measure:
    """A function of user and item factors fitted on `validation.train`; `seed` is of the users drawn."""

    def ndcg(users: Float32Array, items: Float32Array) -> float:
        return validation_metric(recommender_of(users, items), validation, "ndcg", VALIDATION_K, seed)

    return ndcg
