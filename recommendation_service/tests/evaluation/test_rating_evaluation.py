"""Rating evaluation: errors over all pairs, lists without what was rated in train, unknown ids counted."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pytest

from recsys.datasets.ratings import Ratings
from recsys.errors import ConfigError, DataError
from recsys.evaluation.rating_evaluation import evaluate_ratings, rank_users
from recsys.progress import ignore_progress
from recsys.recommenders.rating_base import RatingData, RatingRecommender
from recsys.types import BoolArray, Float32Array, Int32Array, ProgressCallback

TABLE = np.array(
    [[5.0, 4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0], [3.0, 3.0, 3.0, 3.0, 3.0]], np.float32
)


class TableRecommender(RatingRecommender):
    """Answers from a table; what it does not know is 3."""

    name: ClassVar[str] = "table"

    def fit(
        self,
        data: RatingData,
        validation: Ratings | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Self:
        self.remember(data)
        return self

    def predict(self, user_index: Int32Array, item_index: Int32Array) -> Float32Array:
        return np.where(self.is_known(user_index, item_index), TABLE[user_index, item_index], 3.0)

    def score_users(self, user_index: Int32Array) -> Float32Array:
        return TABLE[user_index]

    @classmethod
    def load(cls, folder: Path) -> Self:
        raise NotImplementedError


def ratings_of(*rows: tuple[int, int, float]) -> Ratings:
    users, items, points = zip(*rows, strict=True)
    return Ratings(np.array(users, np.int32), np.array(items, np.int32), np.array(points, np.float32), None)


TRAIN = ratings_of((0, 0, 5.0), (0, 1, 4.0), (0, 2, 3.0), (0, 3, 2.0), (1, 0, 1.0), (1, 4, 5.0))
FITTED = TableRecommender().fit(RatingData(TRAIN, 3, 5, (1.0, 5.0)))


def test_errors_are_over_all_pairs_and_unknown_ones_counted() -> None:
    test = ratings_of((0, 4, 1.5), (1, 1, 4.0), (1, 3, 4.0), (2, 0, 5.0), (-1, 0, 3.0))

    evaluation = evaluate_ratings(FITTED, test, train=TRAIN, relevant_at=4.0)

    off = np.array([0.5, 2.0, 0.0, 2.0, 0.0])
    assert evaluation.errors["rmse"] == pytest.approx(np.sqrt((off**2).mean()))
    assert evaluation.errors["mae"] == pytest.approx(off.mean())
    assert evaluation.errors["accuracy"] == pytest.approx(3 / 5)
    assert (evaluation.n_pairs, evaluation.n_unknown) == (5, 2)
    assert "errors over 5 pairs, 2 of them answered by biases alone" in evaluation.protocol
    assert "within 0.5" in evaluation.protocol


class PlacedRecommender(TableRecommender):
    """Places users without a rating by something else, items not."""

    def placed(self) -> tuple[BoolArray, BoolArray]:
        return np.ones(self.n_users, np.bool_), self.known_items


def test_answers_by_features_are_counted_apart_from_those_by_biases_alone() -> None:
    train = ratings_of((0, 0, 5.0), (0, 1, 4.0), (1, 0, 1.0))
    test = ratings_of((0, 1, 1.5), (2, 0, 4.0), (2, 1, 4.0), (2, 4, 5.0), (-1, 0, 3.0), (0, 4, 3.0))
    fitted = PlacedRecommender().fit(RatingData(train, 3, 5, (1.0, 5.0)))

    evaluation = evaluate_ratings(fitted, test, train=train, relevant_at=4.0)

    assert (evaluation.n_pairs, evaluation.n_by_features, evaluation.n_unknown) == (6, 2, 3)
    assert "errors over 6 pairs, 2 of them answered by features, 3 by biases alone" in evaluation.protocol


def test_lists_leave_out_what_was_rated_in_train_and_only_liked_items_are_relevant() -> None:
    test = ratings_of((0, 4, 1.5), (1, 1, 4.0), (1, 3, 3.0), (2, 0, 5.0))

    evaluation = evaluate_ratings(FITTED, test, train=TRAIN, relevant_at=4.0, cutoffs=(1, 3))

    # User 0 likes nothing held back. User 1 is offered 3, 2, 1 and likes 1; user 2 is offered 0, 1, 2.
    assert evaluation.user_indices.tolist() == [1, 2]
    assert rank_users(FITTED, np.array([1, 0], np.int32), 4, TRAIN).tolist() == [
        [3, 2, 1, -1],
        [4, -1, -1, -1],
    ]
    assert evaluation.per_user["ndcg@3"].tolist() == pytest.approx([0.5, 1.0])
    assert evaluation.per_user["recall@1"].tolist() == [0.0, 1.0]
    assert evaluation.metrics["map@3"]["mean"] == pytest.approx((1 / 3 + 1) / 2)
    assert list(evaluation.figures()) == [
        *("rmse", "mae", "accuracy"),
        *("ndcg@1", "ndcg@3", "recall@1", "recall@3", "map@1", "map@3"),
    ]


def test_without_a_liked_item_there_are_errors_and_no_ranking() -> None:
    evaluation = evaluate_ratings(FITTED, ratings_of((0, 4, 1.0)), train=TRAIN, relevant_at=4.0)
    assert evaluation.n_users == 0
    assert evaluation.metrics == {}
    assert evaluation.errors["rmse"] == 0.0


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(DataError, match="no ratings to test on"):
        evaluate_ratings(
            FITTED, Ratings(*(np.empty(0, np.int32),) * 2, np.empty(0), None), train=TRAIN, relevant_at=4
        )
    with pytest.raises(ConfigError, match="k is 0"):
        evaluate_ratings(FITTED, TRAIN, train=TRAIN, relevant_at=4, cutoffs=(0,))
