"""How good a recommender is on a split: every item ranked, figures with intervals, by tier and popularity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.datasets.splits import Split
from recsys.errors import DataError
from recsys.evaluation.bootstrap import Interval, in_per_cent, mean_intervals, paired_difference_interval
from recsys.evaluation.list_figures import Bucket, list_figures, measure_buckets
from recsys.evaluation.ranked_lists import USERS_AT_ONCE, as_array, recommend_unseen
from recsys.metrics.ranking import check_cutoffs, metrics_at, relevant_counts
from recsys.progress import ignore_progress
from recsys.recommenders.base import Recommender
from recsys.types import (
    BoolArray,
    Float64Array,
    Int32Array,
    Int64Array,
    ProgressCallback,
    ProgressReport,
    Recommendation,
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

    `metrics` maps "precision@10" (recall, ndcg, map, hit_rate, mrr; at every one of `cutoffs`, `k`
    among them) to its mean over users and a 95 % interval; `lists` maps "coverage@10", "novelty@10" and
    "popularity_bias@10" to one number of all lists; `coverage` is that at k. `user_indices`, `answered`
    and each array of `per_user` are aligned: (n_users,), the users with a relevant item in order.
    """

    recommender: str
    protocol: str
    k: int
    cutoffs: tuple[int, ...]
    n_users: int
    n_answered: int
    metrics: Mapping[str, Interval]
    lists: Mapping[str, float]
    by_tier: Mapping[str, Figures]
    by_item_popularity: Mapping[str, Bucket]
    user_indices: Int32Array
    answered: BoolArray
    per_user: Mapping[str, Float64Array]

    @property
    def coverage(self) -> float:
        """The share of items that stand in any list of k."""
        return self.lists[f"coverage@{self.k}"]

    def summary(self) -> str:
        """One line: the guide's two figures and NDCG, with the protocol they hold under."""
        figures = " ".join(
            f"{name} {self.metrics[name]['mean']:.4f}"
            for name in (f"precision@{self.k}", f"map@{self.k}", f"ndcg@{self.k}")
        )
        return f"{figures} coverage {self.coverage:.3f} [{self.protocol}]"

    def to_json(self) -> dict[str, Any]:
        """Everything but the per-user arrays, for a manifest or a log line.

        "metrics" and "by_tier" are at k; what else was cut off elsewhere stands under "other_cutoffs".
        """
        at_k, elsewhere = self._cut(self.metrics)
        tiers = {tier: figures.to_json() for tier, figures in self.by_tier.items()}
        tiers_elsewhere: dict[str, Any] = {}
        for tier, figures in self.by_tier.items():
            tiers[tier]["metrics"], tiers_elsewhere[tier] = self._cut(figures.metrics)
        others = {"metrics": elsewhere, "by_tier": tiers_elsewhere} if elsewhere else {}
        return {
            "protocol": self.protocol,
            "k": self.k,
            "n_users": self.n_users,
            "n_answered": self.n_answered,
            "metrics": at_k,
            "coverage": self.coverage,
            "lists": dict(self.lists),
            "by_tier": tiers,
            "by_item_popularity": {name: one.to_json() for name, one in self.by_item_popularity.items()},
            **({"other_cutoffs": others} if others else {}),
        }

    def lift_over(self, baseline: Evaluation, metric: str, *, seed: int = 0) -> Interval:
        """(this - baseline) / baseline of a metric, paired user by user.

        Raises:
            DataError: the two were not measured on the same users, or the baseline's mean is zero.
        """
        self._check_same_users(baseline)
        return paired_difference_interval(
            self.per_user[metric], baseline.per_user[metric], seed, relative=True
        )

    def improvement_over(self, baseline: Evaluation, *, seed: int = 0) -> dict[str, Interval]:
        """`lift_over` of every metric in per cent, those left out whose mean is zero for the baseline.

        Raises:
            DataError: the two were not measured on the same users.
        """
        self._check_same_users(baseline)
        lifts = {
            metric: self.lift_over(baseline, metric, seed=seed)
            for metric in self.metrics
            if metric in baseline.metrics and baseline.metrics[metric]["mean"] > 0
        }
        return {metric: in_per_cent(lift) for metric, lift in lifts.items()}

    def _check_same_users(self, baseline: Evaluation) -> None:
        if not np.array_equal(self.user_indices, baseline.user_indices):
            raise DataError(f"{self.recommender} and {baseline.recommender} were measured on other users.")

    def _cut(self, metrics: Mapping[str, Interval]) -> tuple[dict[str, Interval], dict[str, Interval]]:
        """Those at k, and the others."""
        at_k = {name: one for name, one in metrics.items() if name.endswith(f"@{self.k}")}
        return at_k, {name: one for name, one in metrics.items() if name not in at_k}


def evaluate(
    recommender: Recommender,
    split: Split,
    *,
    k: int = 10,
    cutoffs: Sequence[int] = (),
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
        cutoffs: other places to cut the same lists off at.
        tiers: name -> fewest cells in the train part, from low to high.
        batch_size: users asked for at once; what their scores take in memory is bounded by itself.
        seed: of the bootstrap.

    Raises:
        ConfigError: k or a cut-off is not a whole number from 1.
        DataError: no user has a held-back item, or scores are not finite numbers.
    """
    check_cutoffs((k, *cutoffs))
    cuts = tuple(sorted({int(k), *map(int, cutoffs)}))
    users = np.flatnonzero(relevant_counts(split.test)).astype(np.int32)
    if len(users) == 0:
        raise DataError("No user has a held-back item; there is nothing to evaluate on.")
    ranked, answered = _rank_users(recommender, split, users, cuts[-1], batch_size, progress)
    relevant = split.test[users]
    per_user = metrics_at(ranked, relevant, cuts)
    train_cells = np.diff(split.train.user_items.indptr)[users]
    return Evaluation(
        recommender=recommender.name,
        protocol=_describe_protocol(split, cuts, answered),
        k=int(k),
        cutoffs=cuts,
        n_users=len(users),
        n_answered=int(answered.sum()),
        metrics=mean_intervals(per_user, seed),
        lists=list_figures(ranked, split.train, users, recommender.n_items, cuts),
        by_tier=_measure_tiers(per_user, answered, train_cells, tiers, seed),
        by_item_popularity=measure_buckets(ranked, relevant, split.train, cuts, seed),
        user_indices=users,
        answered=answered,
        per_user=per_user,
    )


def _rank_users(
    recommender: Recommender,
    split: Split,
    users: Int32Array,
    width: int,
    batch_size: int,
    progress: ProgressCallback,
) -> tuple[Int32Array, BoolArray]:
    histories = (split.train.history(int(user)) for user in users)
    ranked = np.empty((len(users), width), dtype=np.int32)
    answered = np.zeros(len(users), dtype=np.bool_)
    done = 0
    for lists in recommend_unseen(recommender, histories, width, batch_size):
        batch = slice(done, done + len(lists))
        ranked[batch] = as_array(lists, width)
        answered[batch] = [one is not None for one in lists]
        _check_lists(recommender, split, users[batch], lists, width)
        done += len(lists)
        progress(ProgressReport(f"evaluating {recommender.name}", done / len(users)))
    return ranked, answered


def _check_lists(
    recommender: Recommender,
    split: Split,
    users: Int32Array,
    lists: Sequence[Recommendation | None],
    width: int,
) -> None:
    """Refuse scores that are no numbers: they stand in no list, so one that is too short tells."""
    for user, one in zip(users.tolist(), lists, strict=True):
        if one is None:
            continue
        if len(one.scores) < width:
            seen = split.train.history(user).item_indices
            must = min(recommender.n_items - int((seen < recommender.n_items).sum()), width)
        else:
            must = width
        if len(one.scores) < must or not np.isfinite(one.scores).all():
            raise DataError(
                f"{recommender.name} gives user {user} scores that are not finite numbers; train it again, "
                "with a higher regularization or a lower learning rate."
            )


def _describe_protocol(split: Split, cutoffs: Sequence[int], answered: BoolArray) -> str:
    unanswered = int((~answered).sum())
    note = f", {unanswered:,} of whom it cannot answer and count as 0" if unanswered else ""
    return (
        f"{split.strategy}; all items ranked but those the user has a cell with in train; "
        f"relevant: held-back positive cells; k={', '.join(map(str, cutoffs))}; "
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
