"""What a recommender does for items with few acts: cold ones.

Two questions, over the users who have a cold item held back. `among_all`: do cold items reach a list in
which every item competes? `among_cold`: of the cold items alone, are the right ones first?
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.splits import Split
from recsys.datasets.user_items import cells_where
from recsys.errors import ConfigError
from recsys.evaluation.bootstrap import mean_interval, paired_difference_interval
from recsys.metrics.ranking import check_cutoff, ranking_metrics, relevant_counts
from recsys.recommenders.base import Recommender
from recsys.types import BoolArray, Float64Array, Int32Array

THRESHOLD = 5  # an item with fewer positive cells in train is cold
METRICS = ("recall", "ndcg")
BATCH = 256


@dataclass(frozen=True)
class ColdItems:
    """A split seen from its cold items.

    `is_cold` (n_items,); `relevant` (n_users, n_items) the held-back cells of cold items; `users` those
    who have one.
    """

    split: Split
    threshold: int
    is_cold: BoolArray
    relevant: csr_matrix
    users: Int32Array

    @classmethod
    def of(cls, split: Split, threshold: int = THRESHOLD) -> ColdItems:
        """Find the items with fewer than `threshold` positive cells in train.

        Raises:
            ConfigError: the threshold is below 1.
        """
        if threshold < 1:
            raise ConfigError(
                f"The threshold of cold items is {threshold}; it must be a whole number from 1."
            )
        n_likes = np.bincount(split.train.positive.indices, minlength=split.test.shape[1])
        is_cold: BoolArray = n_likes < threshold
        relevant = cells_where(split.test, is_cold[split.test.indices])
        users = np.flatnonzero(relevant_counts(relevant)).astype(np.int32)
        return cls(split, threshold, is_cold, relevant, users)

    @property
    def facts(self) -> dict[str, Any]:
        """How many items and users it is about."""
        return {
            "threshold": self.threshold,
            "cold_items": int(self.is_cold.sum()),
            "cold_items_held_back": int((np.diff(self.relevant.tocsc().indptr) > 0).sum()),
            "users": len(self.users),
        }

    def measure(self, recommender: Recommender, k: int = 10) -> dict[str, dict[str, Float64Array]]:
        """Recall and NDCG at k of each of `users`, among_all and among_cold: (n_users,) by metric.

        Items the user has a cell with in train are left out. Whom it cannot answer counts as zero.

        Raises:
            ConfigError: k is below 1.
        """
        check_cutoff(k)
        measured: dict[str, dict[str, Float64Array]] = {}
        for name, candidates in (("among_all", None), ("among_cold", self.is_cold)):
            ranked = np.full((len(self.users), k), -1, np.int32)
            for start in range(0, len(self.users), BATCH):
                self._rank(recommender, ranked[start : start + BATCH], start, k, candidates)
            figures = ranking_metrics(ranked, self.relevant[self.users], k)
            measured[name] = {f"{metric}@{k}": figures[f"{metric}@{k}"] for metric in METRICS}
        return measured

    def _rank(
        self, recommender: Recommender, ranked: Int32Array, start: int, k: int, candidates: BoolArray | None
    ) -> None:
        train = self.split.train
        histories = [train.history(int(user)) for user in self.users[start : start + len(ranked)]]
        outside = np.flatnonzero(~candidates) if candidates is not None else np.empty(0, np.int64)
        answered = [row for row, one in enumerate(histories) if recommender.why_not(one) is None]
        # Startups nobody acted on, beyond the split's columns, are nobody's answer here.
        beyond = np.arange(len(self.is_cold), recommender.n_items)
        left_out = np.concatenate((outside, beyond)).astype(np.int32)
        exclude = [np.concatenate((histories[row].item_indices, left_out)) for row in answered]
        if not answered:
            return
        lists = recommender.recommend_batch([histories[row] for row in answered], k, exclude=exclude)
        for row, one in zip(answered, lists, strict=True):
            ranked[row, : len(one.item_indices)] = one.item_indices


def compare_cold_items(
    text: Recommender,
    other: Recommender,
    split: Split,
    *,
    against: str,
    threshold: int = THRESHOLD,
    k: int = 10,
    seed: int = 0,
) -> dict[str, Any]:
    """Two recommenders' figures on cold items, and their differences with 95 % intervals, user by user.

    Args:
        text: the one that has read texts, fitted on `split.train`.
        other: what it is compared with.
        split: what was held back.
        against: what `other` is, in a word.
        threshold: an item with fewer positive cells in train is cold.
        k: where lists are cut off.
        seed: of the bootstrap.

    Returns:
        Threshold and counts; with at least one user, by `among_all` and `among_cold` and metric: the
        mean interval of `text`, of `against`, and of their `difference`.

    Raises:
        ConfigError: the threshold or k is below 1.
    """
    cold = ColdItems.of(split, threshold)
    facts: dict[str, Any] = {"against": against, **cold.facts}
    if len(cold.users) == 0:
        return facts
    ours, theirs = cold.measure(text, k), cold.measure(other, k)
    for among, figures in ours.items():
        facts[among] = {
            metric: {
                "text": mean_interval(values, seed),
                against: mean_interval(theirs[among][metric], seed),
                "difference": paired_difference_interval(values, theirs[among][metric], seed),
            }
            for metric, values in figures.items()
        }
    return facts
