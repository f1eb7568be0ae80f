"""Cold items: which they are, figures by hand, and two recommenders side by side."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError
from recsys.evaluation.cold_items import ColdItems, compare_cold_items
from recsys.recommenders.base import Recommender
from recsys.recommenders.popularity import PopularityConfig, PopularityRecommender
from recsys.types import Float32Array, History

# Items 0 and 1 are liked by three, 2 by one, 3 by one (and disliked by another), 4 by nobody.
TRAIN = [[2, 2, 0, 0, 0], [2, 0, 2, 0, 0], [2, 2, 0, 2, 0], [0, 2, 0, -1, 0]]
TEST = [[0, 0, 2, 0, 2], [0, 2, 0, 0, 0], [0, 0, 0, 0, 2], [2, 0, 0, 0, 0]]


@pytest.fixture
def split() -> Split:
    train = Dataset(csr_matrix(np.array(TRAIN, np.float32)), IdMap("abcd"), IdMap("vwxyz"))
    return Split(train, csr_matrix(np.array(TEST, np.float32)), "by hand", None)


class Fixed(Recommender):
    """The same scores for everybody; answers nobody without two acts."""

    name = "fixed"
    covers_catalogue = False

    def __init__(self, scores: list[float]) -> None:
        self.scores, self.n_items = np.array(scores, np.float32), len(scores)

    def fit(self, dataset: object, progress: object = None) -> Fixed:
        return self

    def why_not(self, history: History) -> str | None:
        return None if len(history.item_indices) > 1 else "one act"

    def score_batch(self, histories: list[History]) -> Float32Array:
        return np.tile(self.scores, (len(histories), 1))

    def save(self, folder: object) -> dict[str, object]:
        raise NotImplementedError

    @classmethod
    def load(cls, folder: object, recipe: object) -> Fixed:
        raise NotImplementedError


def test_cold_is_what_few_like_in_train(split: Split) -> None:
    cold = ColdItems.of(split, threshold=2)

    assert cold.is_cold.tolist() == [False, False, True, True, True]
    assert cold.users.tolist() == [0, 2]
    assert cold.facts == {"threshold": 2, "cold_items": 3, "cold_items_held_back": 2, "users": 2}
    assert ColdItems.of(split, threshold=1).is_cold.tolist() == [False] * 4 + [True]


def test_figures_worked_out_by_hand(split: Split) -> None:
    """Among all, user 0 sees 2, 3 (0 and 1 are seen), user 2 sees 2, 4 of which 4 is right."""
    measured = ColdItems.of(split, threshold=2).measure(Fixed([9, 8, 7, 6, 5, 99]), k=2)

    ideal = 1 + 1 / np.log2(3)
    assert measured["among_all"]["recall@2"].tolist() == [0.5, 1.0]
    np.testing.assert_allclose(measured["among_all"]["ndcg@2"], [1 / ideal, 1 / np.log2(3)])
    assert measured["among_cold"]["recall@2"].tolist() == [0.5, 1.0]


def test_warm_items_push_cold_ones_out_of_the_one_list_only(split: Split) -> None:
    cold = ColdItems.of(split, threshold=4)  # every item is cold: the same list
    both = cold.measure(Fixed([1, 2, 3, 4, 5]), k=1)
    np.testing.assert_array_equal(both["among_all"]["recall@1"], both["among_cold"]["recall@1"])

    train = np.array(TRAIN, np.float32)
    train[0] = [2, 0, 0, 0, 0]
    pushed = Split(Dataset(csr_matrix(train), IdMap("abcd"), IdMap("vwxyz")), split.test, "by hand", None)
    warm_first = Fixed([9, 8, 7, 1, 1])
    warm_first.why_not = lambda history: None  # type: ignore[method-assign]
    measured = ColdItems.of(pushed, threshold=2).measure(warm_first, k=1)
    assert measured["among_all"]["recall@1"].tolist() == [0.0, 0.0]
    assert measured["among_cold"]["recall@1"].tolist() == [0.5, 0.0]


def test_who_cannot_be_answered_counts_as_zero(split: Split) -> None:
    measured = ColdItems.of(split, threshold=2).measure(Fixed([0, 0, 1, 0, 0]), k=1)
    assert measured["among_all"]["recall@1"].tolist() == [0.5, 0.0]

    nobody = Fixed([0, 0, 1, 0, 0])
    nobody.why_not = lambda history: "never"  # type: ignore[method-assign]
    assert not ColdItems.of(split, threshold=2).measure(nobody, k=1)["among_all"]["recall@1"].any()


def test_two_are_compared_over_the_same_users(split: Split) -> None:
    facts = compare_cold_items(
        Fixed([0, 0, 0, 0, 1]), Fixed([0, 0, 0, 1, 0]), split, against="random", threshold=2, k=1
    )

    recall = facts["among_cold"]["recall@1"]
    assert (recall["text"]["mean"], recall["random"]["mean"]) == (0.75, 0.0)
    assert recall["difference"] == {"mean": 0.75, "low": 0.5, "high": 1.0}
    assert (facts["against"], facts["users"]) == ("random", 2)
    json.dumps(facts)


def test_without_a_cold_item_held_back_there_is_nothing_but_counts(split: Split) -> None:
    popularity = PopularityRecommender(PopularityConfig.default()).fit(split.train)
    warm = Split(split.train, csr_matrix(np.array([[0, 0, 0, 0, 0]] * 3 + [[2, 0, 0, 0, 0]])), "", None)

    facts = compare_cold_items(popularity, popularity, warm, against="random", threshold=2)

    assert facts["users"] == 0
    assert "among_all" not in facts


def test_a_threshold_of_none_is_refused(split: Split) -> None:
    with pytest.raises(ConfigError, match="threshold of cold items is 0"):
        ColdItems.of(split, threshold=0)
