"""How good a rating recommender is: errors over all test pairs, and ranking figures as for any other.

The errors are over every test pair, whatever the answer rests on; the ranking is of every item
but those the user rated in the train part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.ratings import Ratings
from recsys.errors import DataError
from recsys.evaluation.bootstrap import Interval, mean_intervals
from recsys.metrics.ranking import check_cutoff, ranking_metrics, relevant_counts
from recsys.metrics.rating import ACCURACY_MEANING, rating_metrics
from recsys.recommenders.base import top_items
from recsys.recommenders.rating_base import BIASES, FEATURES, RatingRecommender
from recsys.types import Float32Array, Float64Array, Int32Array

CUTOFFS = (10, 20, 50)
RANKING = ("ndcg", "recall", "map")
PAIRS_AT_ONCE = 1 << 20
SCORES_AT_ONCE = 1 << 22  # of users by items: 16 MiB as float32
RELEVANT_SHARE = 0.75  # of the range: 4 of 1 to 5


@dataclass(frozen=True, slots=True)
class RatingEvaluation:
    """What was measured, under which protocol.

    `errors`: rmse, mae and accuracy over all `n_pairs`, of which `n_unknown` were answered by biases
    alone and `n_by_features` by the features of a side without ratings. `metrics`: "ndcg@10" (recall,
    map; 20, 50) to its mean over the `n_users` with a relevant item and a 95 % interval; empty when
    nobody has one. `per_user`: their values, (n_users,) each, for the users of `user_indices` in that
    order.
    """

    recommender: str
    protocol: str
    n_pairs: int
    n_unknown: int
    n_by_features: int
    n_users: int
    errors: Mapping[str, float]
    metrics: Mapping[str, Interval]
    user_indices: Int32Array
    per_user: Mapping[str, Float64Array]

    def figures(self) -> dict[str, float]:
        """Every figure by name: the errors, then the means of the ranking."""
        return {**self.errors, **{name: interval["mean"] for name, interval in self.metrics.items()}}


def relevant_from(points_range: tuple[float, float]) -> float:
    """The points from which an item counts as liked where nobody says otherwise.

    >>> relevant_from((1.0, 5.0)), relevant_from((0.0, 10.0))
    (4.0, 7.5)
    """
    low, high = points_range
    return low + RELEVANT_SHARE * (high - low)


def evaluate_ratings(
    recommender: RatingRecommender,
    test: Ratings,
    *,
    train: Ratings,
    relevant_at: float,
    cutoffs: Sequence[int] = CUTOFFS,
    strategy: str = "",
    seed: int = 0,
) -> RatingEvaluation:
    """Predict every test pair, rank every item for every user with a relevant test item, compare.

    Args:
        recommender: fitted on `train`.
        test: ratings it has not seen.
        train: what it has seen; a list never holds an item the user rated there.
        relevant_at: a test item is relevant when it got at least these points.
        cutoffs: where lists are cut off.
        strategy: how the test part was drawn, in words, for the protocol.
        seed: of the bootstrap.

    Raises:
        ConfigError: a cut-off is below 1.
        DataError: there is no test rating, or a prediction is not finite.
    """
    for k in cutoffs:
        check_cutoff(k)
    if len(test) == 0:
        raise DataError("There are no ratings to test on; give a part with some.")
    rests_on = recommender.rests_on(test.user_index, test.item_index)
    by_features, by_biases = (int((rests_on == what).sum()) for what in (FEATURES, BIASES))
    errors = rating_metrics(predict_pairs(recommender, test.user_index, test.item_index), test.points)
    users, per_user = _rank(recommender, test, train, relevant_at, cutoffs)
    protocol = (
        f"{strategy + '; ' if strategy else ''}errors over {len(test):,} pairs, "
        f"{_answered(by_features, by_biases)}; {ACCURACY_MEANING}; "
        "ranking: all items but those the user rated in train; "
        f"relevant: held-back items of at least {relevant_at:g} points; "
        f"mean over {len(users):,} users with one; 95 % bootstrap over users"
    )
    return RatingEvaluation(
        recommender=recommender.name,
        protocol=protocol,
        n_pairs=len(test),
        n_unknown=by_biases,
        n_by_features=by_features,
        n_users=len(users),
        errors=errors,
        metrics=mean_intervals(dict(per_user), seed) if len(users) else {},
        user_indices=users,
        per_user=per_user,
    )


def predict_pairs(
    recommender: RatingRecommender, user_index: Int32Array, item_index: Int32Array
) -> Float32Array:
    """(n,) predictions, a million pairs at a time."""
    starts = range(0, len(user_index), PAIRS_AT_ONCE)
    parts = [
        recommender.predict(
            user_index[start : start + PAIRS_AT_ONCE], item_index[start : start + PAIRS_AT_ONCE]
        )
        for start in starts
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def rank_users(recommender: RatingRecommender, users: Int32Array, limit: int, train: Ratings) -> Int32Array:
    """(n, limit) item indices, best first, none the user rated in `train`; -1 where a list is shorter."""
    ranked = np.full((len(users), limit), -1, np.int32)
    seen = _as_matrix(train, recommender.n_users, recommender.n_items)
    step = max(SCORES_AT_ONCE // max(recommender.n_items, 1), 1)
    for start in range(0, len(users), step):
        batch = users[start : start + step]
        scores = recommender.score_users(batch)
        for row, (user, of_user) in enumerate(zip(batch, scores, strict=True)):
            allowed = np.ones(recommender.n_items, np.bool_)
            allowed[seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = False
            best = top_items(of_user, limit, allowed).item_indices
            ranked[start + row, : len(best)] = best
    return ranked


def _answered(by_features: int, by_biases: int) -> str:
    if not by_features:
        return f"{by_biases:,} of them answered by biases alone"
    return f"{by_features:,} of them answered by features, {by_biases:,} by biases alone"


def _rank(
    recommender: RatingRecommender,
    test: Ratings,
    train: Ratings,
    relevant_at: float,
    cutoffs: Sequence[int],
) -> tuple[Int32Array, dict[str, Float64Array]]:
    relevant = _as_matrix(test, recommender.n_users, recommender.n_items, relevant_at)
    users = np.flatnonzero(relevant_counts(relevant)).astype(np.int32)
    if len(users) == 0:
        return users, {}
    ranked = rank_users(recommender, users, max(cutoffs), train)
    of_users = relevant[users]
    at_k = {k: ranking_metrics(ranked, of_users, k) for k in cutoffs}
    return users, {f"{name}@{k}": at_k[k][f"{name}@{k}"] for name in RANKING for k in cutoffs}


def _as_matrix(ratings: Ratings, n_users: int, n_items: int, at_least: float = -np.inf) -> csr_matrix:
    """(n_users, n_items) CSR of ones where a pair got at least so many points; ids nobody knows left out."""
    rows = (ratings.points >= at_least) & (ratings.user_index >= 0) & (ratings.item_index >= 0)
    users, items = ratings.user_index[rows], ratings.item_index[rows]
    return csr_matrix((np.ones(len(users), np.float32), (users, items)), (n_users, n_items))
