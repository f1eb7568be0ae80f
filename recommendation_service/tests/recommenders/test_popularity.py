from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.recommenders.popularity import PopularityConfig, PopularityRecommender

DAY_S = 86_400.0


def make_dataset(days_ago: list[list[float]]) -> Dataset:
    """Three users, two items; a cell is a like that many days before the latest."""
    ages = np.array(days_ago)
    likes = csr_matrix(np.ones_like(ages, dtype=np.float32) * 2)
    times = csr_matrix((100 * DAY_S - ages.ravel() * DAY_S, likes.indices, likes.indptr), likes.shape)
    return Dataset(likes, IdMap("abc"), IdMap("xy"), last_event_at=times)


def test_a_user_counts_half_after_the_half_life() -> None:
    dataset = make_dataset([[0, 30], [0, 30], [30, 0]])

    recommender = PopularityRecommender(PopularityConfig(half_life_days=30)).fit(dataset)

    np.testing.assert_allclose(recommender.scores, [2.5, 2.0])


def test_without_times_every_user_counts_one() -> None:
    dataset = make_dataset([[0, 30], [0, 30], [30, 0]])
    timeless = Dataset(dataset.user_items, dataset.user_mapping, dataset.item_mapping)

    recommender = PopularityRecommender(PopularityConfig(half_life_days=30)).fit(timeless)

    np.testing.assert_allclose(recommender.scores, [3.0, 3.0])


def test_a_dislike_is_not_popularity() -> None:
    matrix = csr_matrix(np.array([[2.0, -1.0], [2.0, -1.0], [0.0, 0.5]], np.float32))

    recommender = PopularityRecommender().fit(Dataset(matrix, IdMap("abc"), IdMap("xy")))

    assert recommender.scores.tolist() == [2.0, 1.0]
