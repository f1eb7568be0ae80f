"""What lists are like beside being right: coverage, novelty, popularity, and by how popular items are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.user_items import Dataset, cells_where
from recsys.evaluation.bootstrap import Interval, mean_intervals
from recsys.metrics.popularity import (
    BUCKETS,
    bucket_shares_at_k,
    history_popularity,
    item_popularity,
    mean_popularity_at_k,
    novelty_at_k,
    popularity_bias,
    popularity_buckets,
)
from recsys.metrics.ranking import RankedItems, catalogue_coverage, metrics_at, relevant_counts
from recsys.types import Int32Array


@dataclass(frozen=True, slots=True)
class Bucket:
    """Items that stand together by how popular they are in the train part.

    `recall` maps "recall@10" to the share of the relevant items of this bucket that stand in the lists,
    a mean over the `n_users` who have one; `share_of_lists` maps "share@10" to the share of all places
    its items take; `n_relevant` is how many cells were held back of its items.
    """

    n_items: int
    n_relevant: int
    n_users: int
    recall: Mapping[str, Interval]
    share_of_lists: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """A dictionary json.dumps takes."""
        return {
            "n_items": self.n_items,
            "n_relevant": self.n_relevant,
            "n_users": self.n_users,
            "recall": dict(self.recall),
            "share_of_lists": dict(self.share_of_lists),
        }


def list_figures(
    ranked: RankedItems, train: Dataset, users: Int32Array, n_items: int, cutoffs: Sequence[int]
) -> dict[str, float]:
    """Coverage, novelty and popularity bias of the lists of these users, at each cut-off.

    Novelty and bias are means over users with a list (bias: and a positive cell in train); without
    one they are left out.
    """
    popularity = item_popularity(train.user_items)
    of_histories = history_popularity(train.user_items, popularity)[users]
    figures: dict[str, float] = {}
    for k in cutoffs:
        figures[f"coverage@{k}"] = catalogue_coverage(ranked[:, :k], n_items)
        novelty = novelty_at_k(ranked, popularity, train.n_users, k)
        if np.isfinite(novelty).any():
            figures[f"novelty@{k}"] = float(np.nanmean(novelty))
        bias = popularity_bias(mean_popularity_at_k(ranked, popularity, k), of_histories)
        if bias is not None:
            figures[f"popularity_bias@{k}"] = bias
    return figures


def measure_buckets(
    ranked: RankedItems, relevant: csr_matrix, train: Dataset, cutoffs: Sequence[int], seed: int
) -> dict[str, Bucket]:
    """Recall and share of the lists of the head, the middle and the tail; see `popularity_buckets`."""
    n_items = max(int(ranked.max(initial=-1)) + 1, relevant.shape[1], train.n_items)
    buckets = popularity_buckets(item_popularity(train.user_items), n_items)
    shares = {k: bucket_shares_at_k(ranked, buckets, k) for k in cutoffs}
    measured: dict[str, Bucket] = {}
    for number, name in enumerate(BUCKETS):
        inside = cells_where(relevant, (buckets[relevant.indices] == number) & (relevant.data > 0))
        has_one = relevant_counts(inside) > 0
        recall = metrics_at(ranked[has_one], inside[has_one], cutoffs, ["recall"]) if has_one.any() else {}
        measured[name] = Bucket(
            n_items=int((buckets == number).sum()),
            n_relevant=inside.nnz,
            n_users=int(has_one.sum()),
            recall=mean_intervals(recall, seed) if recall else {},
            share_of_lists={f"share@{k}": float(shares[k][number]) for k in cutoffs},
        )
    return measured
