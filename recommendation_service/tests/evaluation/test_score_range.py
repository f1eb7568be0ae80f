"""Score ranges are taken over the scores an answer may show."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.errors import DataError
from recsys.evaluation import score_range as module
from recsys.evaluation.score_range import normalize_scores, score_range
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.popularity import PopularityRecommender
from recsys.types import History


def popularity_over(n_items: int) -> PopularityRecommender:
    """Item i was liked by i + 1 users, so its score is i + 1."""
    liked = np.tril(np.ones((n_items, n_items), dtype=np.float32))
    ids = IdMap(str(i) for i in range(n_items))
    return PopularityRecommender().fit(Dataset(csr_matrix(liked[:, ::-1]), ids, ids))


def test_the_range_covers_the_best_100_unseen_items() -> None:
    recommender = popularity_over(150)
    seen = History(np.array([149], np.int32), np.ones(1, np.float32))

    found = score_range(recommender, [seen, History.empty()])
    scores = np.concatenate((np.arange(50, 150), np.arange(51, 151)))  # 50..149 and 51..150
    assert found["min"] == 50.0
    assert found["max"] == 150.0
    assert found["mean"] == pytest.approx(scores.mean())
    assert found["std"] == pytest.approx(scores.std())
    assert found["p01"] == pytest.approx(np.percentile(scores, 1))
    assert found["p99"] == pytest.approx(np.percentile(scores, 99))
    assert found["method"] == "raw scores of the best 100 unseen items of 2 users"


def test_users_it_cannot_answer_are_left_out() -> None:
    ids = IdMap("abc")
    dataset = Dataset(csr_matrix(np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]], np.float32)), ids, ids)
    als = ALSRecommender(ALSConfig.default(factors=2, iterations=2)).fit(dataset)

    assert "of 1 users" in score_range(als, [dataset.history(0), History.empty()])["method"]
    with pytest.raises(DataError, match="als can answer none of 1 users"):
        score_range(als, [History.empty()])


def test_the_example_in_the_docstring_is_true() -> None:
    results = doctest.testmod(module)
    assert results.attempted >= 1
    assert results.failed == 0


def test_normalized_scores_keep_their_order_and_lie_between_0_and_1() -> None:
    raw = np.sort(np.random.default_rng(0).normal(5.0, 3.0, 500)).astype(np.float32)
    far = np.concatenate(([-1e4], np.unique(raw), [1e4])).astype(np.float32)

    normalized = normalize_scores(far, {"mean": 5.0, "std": 3.0, "p01": -1.0, "p99": 11.0})

    assert (np.diff(normalized) > 0).all()
    assert normalized.min() > 0.0
    assert normalized.max() < 1.0


def test_two_recommenders_stand_on_one_scale() -> None:
    raw = np.array([-1.0, 0.0, 2.0], np.float32)

    one = normalize_scores(raw, {"mean": 0.0, "std": 1.0})
    other = normalize_scores(100 * raw + 7, {"mean": 7.0, "std": 100.0})

    np.testing.assert_allclose(one, other)


def test_a_range_of_one_score_or_none_is_no_fault() -> None:
    assert normalize_scores(np.array([3.0], np.float32), {"mean": 3.0, "std": 0.0}).tolist() == [0.5]
    assert normalize_scores(np.array([0.0], np.float32), {}).tolist() == [0.5]
