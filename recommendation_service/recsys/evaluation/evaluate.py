"""How good a recommender is on a split: every item ranked, figures with intervals, by tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.datasets.splits import Split
from recsys.errors import DataError
from recsys.evaluation.bootstrap import Interval, mean_intervals, paired_difference_interval
from recsys.evaluation.ranked_lists import USERS_AT_ONCE, as_array, recommend_unseen
from recsys.metrics.ranking import catalogue_coverage, check_cutoff, ranking_metrics, relevant_counts
from recsys.progress import ignore_progress
from recsys.recommenders.base import Recommender
from recsys.types import (
    BoolArray,
    Float64Array,
    Int32Array,
    Int64Array,
    ProgressCallback,
    ProgressReport,
)

# A tier starts at this many cells in the train part.
TIERS: Mapping[str, int] = {"cold": 0, "warm": 5, "hot": 20}


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over some users, those the recommender could not answer counted as zero."""

    n_users: int
    n_answered: int
    metrics: Mapping[str, Interval]

    def to_json(self) -> dict[str, Any]:
        """A dictionary json.dumps takes."""
        return {"n_users": self.n_users, "n_answered": self.n_answered, "metrics": dict(self.metrics)}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured, under which protocol.

    `metrics` maps "precision@10" (recall, ndcg, map, hit_rate, mrr) to its mean over users and a
    95 % interval; `coverage` is the share of items in any list. `user_indices`, `answered` and each
    array of `per_user` are aligned: (n_users,), the users with a relevant item in order.
    """

    recommender: str
    protocol: str
    k: int
    n_users: int
    n_answered: int
    metrics: Mapping[str, Interval]
    coverage: float
    by_tier: Mapping[str, Figures]
    user_indices: Int32Array
    answered: BoolArray
    per_user: Mapping[str, Float64Array]

    def summary(self) -> str:
        """One line: the guide's two figures and NDCG, with the protocol they hold under."""
        figures = " ".join(
            f"{name} {self.metrics[name]['mean']:.4f}"
            for name in (f"precision@{self.k}", f"map@{self.k}", f"ndcg@{self.k}")
        )
        return f"{figures} coverage {self.coverage:.3f} [{self.protocol}]"

    def to_json(self) -> dict[str, Any]:
        """Everything but the per-user arrays, for a manifest or a log line."""
        return {
            "protocol": self.protocol,
            "k": self.k,
            "n_users": self.n_users,
            "n_answered": self.n_answered,
            "metrics": dict(self.metrics),
            "coverage": self.coverage,
            "by_tier": {tier: figures.to_json() for tier, figures in self.by_tier.items()},
        }

    def lift_over(self, baseline: Evaluation, metric: str, *, seed: int = 0) -> Interval:
        """(this - baseline) / baseline of a metric, paired user by user.

        Raises:
            DataError: the two were not measured on the same users, or the baseline's mean is zero.
        """
        if not np.array_equal(self.user_indices, baseline.user_indices):
            raise DataError(f"{self.recommender} and {baseline.recommender} were measured on other users.")
        return paired_difference_interval(
            self.per_user[metric], baseline.per_user[metric], seed, relative=True
        )


def evaluate(
    recommender: Recommender,
    split: Split,
    *,
    k: int = 10,
    tiers: Mapping[str, int] = TIERS,
    batch_size: int = USERS_AT_ONCE,
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
) -> Evaluation:
    """Rank every item for every user with a held-back item, and compare.

    A list never holds an item the user has a cell with in the train part, so an active dislike is
    neither offered nor relevant. A user the recommender cannot answer gets an empty list: zero in
    every metric, so that recommenders are compared over the same users.

    Args:
        recommender: fitted on `split.train`.
        split: what was held back.
        k: where lists are cut off.
        tiers: name -> fewest cells in the train part, from low to high.
        batch_size: users asked for at once; what their scores take in memory is bounded by itself.
        seed: of the bootstrap.

    Raises:
        ConfigError: k is below 1.
        DataError: no user has a held-back item.
    """
    check_cutoff(k)
    users = np.flatnonzero(relevant_counts(split.test)).astype(np.int32)
    if len(users) == 0:
        raise DataError("No user has a held-back item; there is nothing to evaluate on.")
    ranked, answered = _rank_users(recommender, split, users, k, batch_size, progress)
    per_user = ranking_metrics(ranked, split.test[users], k)
    train_cells = np.diff(split.train.user_items.indptr)[users]
    return Evaluation(
        recommender=recommender.name,
        protocol=_describe_protocol(split, k, answered),
        k=k,
        n_users=len(users),
        n_answered=int(answered.sum()),
        metrics=mean_intervals(per_user, seed),
        coverage=catalogue_coverage(ranked, recommender.n_items),
        by_tier=_measure_tiers(per_user, answered, train_cells, tiers, seed),
        user_indices=users,
        answered=answered,
        per_user=per_user,
    )


def _rank_users(
    recommender: Recommender,
    split: Split,
    users: Int32Array,
    k: int,
    batch_size: int,
    progress: ProgressCallback,
) -> tuple[Int32Array, BoolArray]:
    histories = (split.train.history(int(user)) for user in users)
    ranked = np.empty((len(users), k), dtype=np.int32)
    answered = np.zeros(len(users), dtype=np.bool_)
    done = 0
    for lists in recommend_unseen(recommender, histories, k, batch_size):
        batch = slice(done, done + len(lists))
        ranked[batch] = as_array(lists, k)
        answered[batch] = [one is not None for one in lists]
        done += len(lists)
        progress(ProgressReport(f"evaluating {recommender.name}", done / len(users)))
    return ranked, answered


def _describe_protocol(split: Split, k: int, answered: BoolArray) -> str:
    unanswered = int((~answered).sum())
    note = f", {unanswered:,} of whom it cannot answer and count as 0" if unanswered else ""
    return (
        f"{split.strategy}; all items ranked but those the user has a cell with in train; "
        f"relevant: held-back positive cells; k={k}; "
        f"mean over {len(answered):,} users with one{note}; 95 % bootstrap over users"
    )


def _measure_tiers(
    per_user: dict[str, Float64Array],
    answered: BoolArray,
    train_cells: Int64Array,
    tiers: Mapping[str, int],
    seed: int,
) -> dict[str, Figures]:
    tier_of_user = np.searchsorted(list(tiers.values()), train_cells, side="right") - 1
    figures: dict[str, Figures] = {}
    for number, tier in enumerate(tiers):
        inside = tier_of_user == number
        values = {name: column[inside] for name, column in per_user.items()}
        metrics = mean_intervals(values, seed) if inside.any() else {}
        figures[tier] = Figures(int(inside.sum()), int(answered[inside].sum()), metrics)
    return figures
