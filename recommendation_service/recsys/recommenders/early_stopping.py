"""What training by epochs is stopped by: lists for users with a held-back item, measured now and then."""

from __future__ import annotations

import numpy as np

from recsys.datasets.splits import Split
from recsys.errors import DataError
from recsys.metrics.pairwise import area_under_curve
from recsys.metrics.ranking import ranking_metrics, relevant_counts
from recsys.recommenders.base import Recommender
from recsys.types import Int64Array

MOST_USERS = 2_000  # as many tell one epoch from another
BATCH = 200


def check_validation(validation: Split) -> None:
    """Refuse a validation part that tells nothing.

    Raises:
        DataError: no user has a held-back item.
    """
    if validation.test.nnz == 0:
        raise DataError("No user has a held-back item; there is nothing to stop early by.")


def validation_metric(recommender: Recommender, validation: Split, metric: str, k: int, seed: int) -> float:
    """Mean of a metric at k over a fixed draw of the users with a held-back item, every unseen item ranked.

    Args:
        recommender: fitted on `validation.train`; whom it cannot answer counts as zero.
        validation: what was held back.
        metric: a name of `ranking_metrics` without its cut-off, such as ndcg.
        k: the cut-off.
        seed: of the draw.
    """
    users = _draw_users(validation, seed)
    ranked = np.full((len(users), k), -1, np.int32)
    for start in range(0, len(users), BATCH):
        histories = [validation.train.history(int(user)) for user in users[start : start + BATCH]]
        seen = [history.item_indices for history in histories]
        lists = recommender.recommend_batch(histories, k, exclude=seen)
        for row, history, one in zip(ranked[start:], histories, lists, strict=False):
            if recommender.why_not(history) is None:
                row[: len(one.item_indices)] = one.item_indices
    per_user = ranking_metrics(ranked, validation.test[users], k)[f"{metric}@{k}"]
    return round(float(per_user.mean()), 6)


def validation_auc(recommender: Recommender, validation: Split, seed: int) -> float:
    """Mean area under the curve over the same users, of held-back and unseen items; nan without a pair."""
    users = _draw_users(validation, seed)
    areas = []
    for start in range(0, len(users), BATCH):
        batch = users[start : start + BATCH]
        relevant, seen = validation.test[batch], validation.train.user_items[batch]
        scores = recommender.score_batch([validation.train.history(int(user)) for user in batch])
        areas.append(area_under_curve(scores[:, : relevant.shape[1]], relevant, seen))
    return round(float(np.nanmean(np.concatenate(areas))), 6)


def _draw_users(validation: Split, seed: int) -> Int64Array:
    users = np.flatnonzero(relevant_counts(validation.test))
    if len(users) > MOST_USERS:
        users = np.sort(np.random.default_rng(seed).choice(users, MOST_USERS, replace=False))
    return users
