"""Evaluation: agrees with a loop over users, never rewards what must not count, says its protocol."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.splits import Split, split_random
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError, DataError
from recsys.evaluation.evaluate import evaluate
from recsys.progress import ignore_progress
from recsys.recommenders.base import Recommender
from recsys.recommenders.popularity import PopularityRecommender
from recsys.types import Float32Array, History, ProgressCallback, ProgressReport

N_USERS, N_ITEMS = 12, 9


class FixedRecommender(Recommender):
    """The same scores for everybody who has acted at all."""

    name: ClassVar[str] = "fixed"

    def __init__(self, scores: Sequence[float]) -> None:
        self.scores = np.array(scores, dtype=np.float32)
        self.n_items = len(scores)
        self.batch_sizes: list[int] = []

    def fit(self, dataset: Dataset, progress: ProgressCallback = ignore_progress) -> Self:
        return self

    def why_not(self, history: History) -> str | None:
        return None if len(history.item_indices) else "no history"

    def score_batch(self, histories: Sequence[History]) -> Float32Array:
        self.batch_sizes.append(len(histories))
        return np.tile(self.scores, (len(histories), 1))

    def save(self, folder: Path) -> dict[str, Any]:
        return {}

    @classmethod
    def load(cls, folder: Path, recipe: dict[str, Any]) -> Self:
        return cls(recipe["scores"])


def dataset_of(user_items: np.ndarray) -> Dataset:
    matrix = csr_matrix(user_items.astype(np.float32))
    return Dataset(
        matrix,
        IdMap(f"u{user}" for user in range(matrix.shape[0])),
        IdMap(f"i{item}" for item in range(matrix.shape[1])),
    )


def split_of(train: list[list[float]], test: list[list[float]]) -> Split:
    return Split(dataset_of(np.array(train)), csr_matrix(np.array(test, dtype=np.float32)), "by hand")


def random_dataset(seed: int) -> Dataset:
    rng = np.random.default_rng(seed)
    weights = rng.choice([0.0, 0.0, 1.0, 2.5, -1.0], (N_USERS, N_ITEMS))
    weights[0, :3] = 1.0
    return dataset_of(weights)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 12), batch_size=st.integers(1, 5))
def test_evaluation_agrees_with_a_loop_over_users(seed: int, k: int, batch_size: int) -> None:
    dataset = random_dataset(seed)
    split = split_random(dataset, 0.3, seed)
    popularity = PopularityRecommender().fit(split.train)

    evaluation = evaluate(popularity, split, k=k, batch_size=batch_size)

    train, test = split.train.user_items.toarray(), split.test.toarray()
    counts = (train > 0).sum(axis=0)
    recalls, offered = [], set()
    for user in range(N_USERS):
        relevant = set(np.flatnonzero(test[user] > 0))
        if not relevant:
            continue
        unseen = [item for item in range(N_ITEMS) if train[user, item] == 0]
        top = sorted(unseen, key=lambda item: (-counts[item], item))[:k]
        recalls.append(len(relevant & set(top)) / len(relevant))
        offered |= set(top)
    assert evaluation.n_users == len(recalls)
    np.testing.assert_allclose(evaluation.per_user[f"recall@{k}"], recalls)
    assert evaluation.metrics[f"recall@{k}"]["mean"] == pytest.approx(np.mean(recalls))
    assert evaluation.coverage == pytest.approx(len(offered) / N_ITEMS)


def test_seen_and_disliked_items_are_neither_offered_nor_relevant() -> None:
    # Item 0 was liked, item 1 disliked in train; the recommender would love to offer both.
    split = split_of(train=[[2.0, -1.0, 0.0, 0.0]], test=[[0.0, 0.0, 0.0, 1.0]])

    evaluation = evaluate(FixedRecommender([9, 8, 7, 6]), split, k=2)
    assert evaluation.per_user["recall@2"].tolist() == [1.0]
    assert evaluation.per_user["mrr@2"].tolist() == [0.5]
    assert evaluation.coverage == 0.5


def test_users_without_a_held_back_item_are_left_out() -> None:
    split = split_of(train=[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], test=[[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])

    evaluation = evaluate(FixedRecommender([1, 2]), split, k=1)
    assert evaluation.user_indices.tolist() == [0, 2]
    assert evaluation.metrics["precision@1"]["mean"] == 1.0


def test_a_user_it_cannot_answer_counts_as_zero_and_the_protocol_says_so() -> None:
    split = split_of(train=[[1.0, 0.0], [0.0, 0.0]], test=[[0.0, 1.0], [0.0, 1.0]])

    evaluation = evaluate(FixedRecommender([1, 2]), split, k=1)
    assert evaluation.per_user["recall@1"].tolist() == [1.0, 0.0]
    assert evaluation.answered.tolist() == [True, False]
    assert evaluation.n_answered == 1
    assert "mean over 2 users with one, 1 of whom it cannot answer and count as 0" in evaluation.protocol


def test_the_protocol_stands_beside_every_figure() -> None:
    split = split_of(train=[[1.0, 0.0]], test=[[0.0, 1.0]])
    evaluation = evaluate(FixedRecommender([1, 2]), split, k=1)

    assert evaluation.protocol.startswith("by hand; all items ranked but those")
    assert "k=1" in evaluation.protocol
    assert evaluation.summary().endswith(f"[{evaluation.protocol}]")
    assert evaluation.summary().startswith("precision@1 1.0000 map@1 1.0000 ndcg@1 1.0000")
    written = json.loads(json.dumps(evaluation.to_json()))
    assert written["protocol"] == evaluation.protocol
    assert written["metrics"]["precision@1"] == {"mean": 1.0, "low": 1.0, "high": 1.0}


def test_tiers_go_by_the_cells_of_the_train_part() -> None:
    cells = {"u_cold": 4, "u_warm": 5, "u_warm_too": 19, "u_hot": 20}
    train = np.zeros((4, 25))
    for user, n_cells in enumerate(cells.values()):
        train[user, :n_cells] = 1.0
    test = np.zeros((4, 25))
    test[:, 24] = 1.0
    test[2, :] = 0.0
    test[2, 22] = 1.0  # the second warm user's item is ranked below 24
    scores = np.arange(25)

    split = Split(dataset_of(train), csr_matrix(test), "by hand")
    by_tier = evaluate(FixedRecommender(list(scores)), split, k=1).by_tier
    assert {tier: figures.n_users for tier, figures in by_tier.items()} == {"cold": 1, "warm": 2, "hot": 1}
    assert by_tier["cold"].metrics["recall@1"]["mean"] == 1.0
    assert by_tier["warm"].metrics["recall@1"]["mean"] == 0.5
    assert by_tier["hot"].metrics["recall@1"]["mean"] == 1.0


def test_a_tier_nobody_is_in_has_no_figures() -> None:
    split = split_of(train=[[1.0, 0.0]], test=[[0.0, 1.0]])

    hot = evaluate(FixedRecommender([1, 2]), split, k=1).by_tier["hot"]
    assert hot.to_json() == {"n_users": 0, "n_answered": 0, "metrics": {}}


def test_held_back_items_no_recommender_can_offer_still_count_in_recall() -> None:
    split = split_of(train=[[1.0, 0.0]], test=[[0.0, 1.0, 1.0]])

    assert evaluate(FixedRecommender([1, 2]), split, k=2).per_user["recall@2"].tolist() == [0.5]


def test_users_are_scored_in_batches_with_progress() -> None:
    dataset = dataset_of(np.eye(7))
    split = Split(dataset, csr_matrix(np.roll(np.eye(7), 1, axis=1)), "by hand")
    recommender = FixedRecommender(list(range(7)))
    reports: list[ProgressReport] = []

    evaluate(recommender, split, k=1, batch_size=3, progress=reports.append)
    assert recommender.batch_sizes == [3, 3, 1]
    assert [report.fraction for report in reports] == pytest.approx([3 / 7, 6 / 7, 1.0])


def test_the_batch_size_changes_no_figure() -> None:
    split = split_random(random_dataset(5), 0.4, seed=1)
    popularity = PopularityRecommender().fit(split.train)

    figures = [evaluate(popularity, split, batch_size=size).to_json() for size in (1, 4, None)]
    assert figures[0] == figures[1] == figures[2]


def test_a_lift_is_paired_over_the_same_users() -> None:
    split = split_of(
        train=[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]],
        test=[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0]],
    )
    one = evaluate(FixedRecommender([0, 2, 1]), split, k=2)
    other = evaluate(FixedRecommender([0, 1, 2]), split, k=2)

    assert one.lift_over(other, "recall@2") == {"mean": 0.0, "low": 0.0, "high": 0.0}
    lift = one.lift_over(other, "mrr@2")
    assert lift["mean"] == pytest.approx(0.0)
    assert lift["low"] < 0 < lift["high"]


def test_a_lift_over_other_users_is_refused() -> None:
    one = evaluate(FixedRecommender([1, 2]), split_of([[1, 0], [1, 0]], [[0, 1], [0, 0]]), k=1)
    other = evaluate(FixedRecommender([1, 2]), split_of([[1, 0], [1, 0]], [[0, 0], [0, 1]]), k=1)

    with pytest.raises(DataError, match="measured on other users"):
        one.lift_over(other, "recall@1")


def test_nothing_held_back_and_an_impossible_cut_off_are_refused() -> None:
    with pytest.raises(DataError, match="nothing to evaluate on"):
        evaluate(FixedRecommender([1, 2]), split_of([[1, 0]], [[0, 0]]), k=1)
    with pytest.raises(ConfigError, match="k is -3"):
        evaluate(FixedRecommender([1, 2]), split_of([[1, 0]], [[0, 1]]), k=-3)


class BrokenRecommender(FixedRecommender):
    """Gives no numbers for one user, or infinite ones."""

    def __init__(self, score: float) -> None:
        super().__init__([1.0] * 5)
        self.scores[3] = score


@pytest.mark.parametrize("score", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(score: float) -> None:
    split = split_of(train=[[1.0, 0.0, 0.0, 0.0, 0.0]], test=[[0.0, 1.0, 0.0, 0.0, 0.0]])

    with pytest.raises(DataError, match="fixed gives user 0 scores that are not finite"):
        evaluate(BrokenRecommender(score), split, k=4)


@pytest.mark.parametrize("seed", [5, 22, 50])
def test_several_cut_offs_are_each_what_it_measures_alone(seed: int) -> None:
    split = split_random(random_dataset(seed), 0.4, seed=1)
    popularity = PopularityRecommender().fit(split.train)

    together = evaluate(popularity, split, k=2, cutoffs=(5, 1, 5, 20))

    assert together.cutoffs == (1, 2, 5, 20)
    assert together.k == 2
    for k in together.cutoffs:
        alone = evaluate(popularity, split, k=k)
        for metric, interval in alone.metrics.items():
            assert together.metrics[metric] == pytest.approx(interval)
        assert together.lists | alone.lists == together.lists
        for tier, figures in alone.by_tier.items():
            for metric, interval in figures.metrics.items():
                assert together.by_tier[tier].metrics[metric] == pytest.approx(interval)
        for name, bucket in alone.by_item_popularity.items():
            for metric, interval in bucket.recall.items():
                assert together.by_item_popularity[name].recall[metric] == pytest.approx(interval)


def test_in_json_the_figures_at_k_stand_alone() -> None:
    split = split_random(random_dataset(5), 0.4, seed=1)
    evaluation = evaluate(PopularityRecommender().fit(split.train), split, k=2, cutoffs=(5,))

    written = json.loads(json.dumps(evaluation.to_json()))

    assert {metric.partition("@")[2] for metric in written["metrics"]} == {"2"}
    assert written["other_cutoffs"]["metrics"]["ndcg@5"] == evaluation.metrics["ndcg@5"]
    tier = next(tier for tier, figures in evaluation.by_tier.items() if figures.n_users)
    assert "ndcg@2" in written["by_tier"][tier]["metrics"]
    assert "ndcg@5" in written["other_cutoffs"]["by_tier"][tier]
    assert written["coverage"] == written["lists"]["coverage@2"]
    assert set(written["by_item_popularity"]) == {"head", "mid", "tail"}


def test_recall_by_item_popularity_counts_only_the_relevant_items_of_a_bucket() -> None:
    # Item 0 has three users, item 1 two, item 2 one; items 3 and 4 have nobody.
    split = split_of(
        train=[[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 1, 0]],
        test=[[0, 0, 1, 0, 1], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0]],
    )

    buckets = evaluate(FixedRecommender([5, 4, 3, 2, 1]), split, k=1).by_item_popularity

    # Of 7 cells item 0 has the first three; item 1 starts with 3 before it (3 x 3 // 7 = 1).
    assert [bucket.n_items for bucket in buckets.values()] == [1, 1, 3]
    assert [bucket.n_users for bucket in buckets.values()] == [1, 1, 2]
    assert [bucket.n_relevant for bucket in buckets.values()] == [1, 1, 3]
    assert buckets["head"].recall["recall@1"]["mean"] == 1.0
    assert buckets["mid"].recall["recall@1"]["mean"] == 1.0
    assert buckets["tail"].recall["recall@1"]["mean"] == (1 / 2 + 1) / 2
    assert buckets["tail"].share_of_lists["share@1"] == 2 / 4


def test_list_figures_leave_out_who_gets_no_list() -> None:
    split = split_of(train=[[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]], test=[[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])

    lists = evaluate(FixedRecommender([3, 2, 1]), split, k=1).lists

    assert lists["novelty@1"] == 1.0  # nobody has it: as if one of two users had
    assert lists["popularity_bias@1"] == 0.0
    assert lists["coverage@1"] == pytest.approx(1 / 3)


def test_an_improvement_is_every_lift_in_per_cent() -> None:
    split = split_random(random_dataset(5), 0.4, seed=1)
    popularity = evaluate(PopularityRecommender().fit(split.train), split, k=3)
    other = evaluate(FixedRecommender(list(range(N_ITEMS))), split, k=3)

    improvement = other.improvement_over(popularity, seed=3)

    assert set(improvement) == set(popularity.metrics)
    lift = other.lift_over(popularity, "recall@3", seed=3)
    assert improvement["recall@3"] == pytest.approx({end: 100 * value for end, value in lift.items()})
    of_nothing = evaluate(FixedRecommender([1, 2]), split_of([[1, 0]], [[0, 1]]), k=1)
    with pytest.raises(DataError, match="measured on other users"):
        other.improvement_over(of_nothing)


def test_nothing_is_an_improvement_over_a_mean_of_zero() -> None:
    split = split_of(train=[[1.0, 0.0, 0.0]], test=[[0.0, 1.0, 0.0]])
    hit, miss = (evaluate(FixedRecommender(scores), split, k=1) for scores in ([0, 2, 1], [0, 1, 2]))

    assert hit.improvement_over(miss) == {}


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "10", 1_001])
def test_a_cut_off_that_is_no_whole_number_from_1_is_refused(k: Any) -> None:
    split = split_of([[1, 0]], [[0, 1]])

    with pytest.raises(ConfigError, match="must be a whole number from 1"):
        evaluate(FixedRecommender([1, 2]), split, k=k)
    with pytest.raises(ConfigError, match="must be a whole number from 1"):
        evaluate(FixedRecommender([1, 2]), split, k=1, cutoffs=(5, k))
