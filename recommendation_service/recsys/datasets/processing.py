"""From a dataset to what collaborative filtering is trained and measured on.

Users with enough cells in the train part are trainable; the others are cold, served by content and measured
apart. Popularity and hard negatives are of the train part alone: nothing of the test part is in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from recsys.config import SectionConfig
from recsys.datasets.hard_negatives import count_likes, explicit_negatives, implicit_negatives
from recsys.datasets.id_map import IdMap
from recsys.datasets.processed import OF_COUNTS, OF_LIKES, ProcessedData, Segment
from recsys.datasets.splits import Split, split_for_training
from recsys.datasets.user_items import Dataset, cells_where, check_user_items
from recsys.errors import DataError
from recsys.types import BoolArray, Float64Array

NOT_SPLIT = "not split"


@dataclass(frozen=True)
class ProcessingConfig(SectionConfig):
    """How a dataset is processed; the meanings stand in training_config.yaml."""

    section: ClassVar[str] = "processing"
    min_user_interactions: int
    test_split: float
    n_popular: int
    seed: int

    def __post_init__(self) -> None:
        self.require(self.min_user_interactions >= 1, "min_user_interactions", "a whole number from 1")
        self.require(0 <= self.test_split < 1, "test_split", "from 0 (hold out nothing) to below 1")
        self.require(self.n_popular >= 0, "n_popular", "a whole number from 0")
        self.require(0 <= self.seed < 2**32, "seed", "from 0 to 4294967295")


def process_dataset(
    dataset: Dataset, config: ProcessingConfig, *, counts: Float64Array | None = None
) -> ProcessedData:
    """Split, part the users, and work out what trainings draw from.

    Args:
        dataset: signed cells, of acts or of ratings.
        config: how.
        counts: (n_items,) what popularity is taken from, such as sales; by default the users who like an
            item in the train part.

    Raises:
        DataError: the dataset is empty, cannot be split, or no user has enough cells.
    """
    check_user_items(dataset.user_items)
    split = _split(dataset, config)
    train = split.train.user_items
    is_trainable = np.diff(train.indptr) >= config.min_user_interactions
    if not (cells_where(train, train.data > 0)[is_trainable].nnz):
        raise DataError(
            f"No user with {config.min_user_interactions} interactions in the train part likes anything "
            f"({dataset.n_users:,} users in all); lower --min-user-interactions or collect more."
        )
    confidence = _rows(train, is_trainable)
    basis = count_likes(confidence) if counts is None else counts
    return ProcessedData(
        trainable=_segment(dataset, split, is_trainable),
        cold=_segment(dataset, split, ~is_trainable),
        item_mapping=dataset.item_mapping,
        item_popularity=np.log1p(basis).astype(np.float32),
        explicit_negatives=explicit_negatives(confidence),
        implicit_negatives=implicit_negatives(confidence, config.n_popular),
        catalogue=dataset.catalogue,
        users=dataset.users,
        strategy=split.strategy,
        popularity_of=OF_LIKES if counts is None else OF_COUNTS,
    )


def _split(dataset: Dataset, config: ProcessingConfig) -> Split:
    if config.test_split > 0:
        return split_for_training(dataset, config.test_split, config.seed)
    nothing = cells_where(dataset.user_items, np.zeros(dataset.user_items.nnz, np.bool_))
    return Split(dataset, nothing, NOT_SPLIT)


def _segment(dataset: Dataset, split: Split, chosen: BoolArray) -> Segment:
    """The chosen users: what is learned from, every other cell of theirs, and when all of it was done."""
    train, whole = split.train.user_items, dataset.user_items
    n_columns = whole.shape[1]
    in_whole, in_train = (
        np.repeat(np.arange(m.shape[0]) * n_columns, np.diff(m.indptr)) + m.indices for m in (whole, train)
    )
    held_out = cells_where(whole, ~np.isin(in_whole, in_train, assume_unique=True))
    times = dataset.last_event_at
    return Segment(
        confidence=_rows(train, chosen),
        held_out=_rows(held_out, chosen),
        last_event_at=None if times is None else times[chosen],
        user_mapping=IdMap(dataset.user_mapping.ids[user] for user in np.flatnonzero(chosen)),
    )


def _rows(matrix: csr_matrix, chosen: BoolArray) -> csr_matrix:
    rows: csr_matrix = matrix[chosen]
    return rows if rows.has_sorted_indices else rows.sorted_indices()
