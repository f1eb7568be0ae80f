"""Ranking metrics: a table worked out by hand, properties, and two other implementations."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.metrics import ndcg_score

from recsys.errors import ConfigError, DataError
from recsys.metrics import ranking
from recsys.metrics.ranking import (
    average_precision_at_k,
    catalogue_coverage,
    hit_rate_at_k,
    hits_at_k,
    metrics_at,
    ndcg_at_k,
    precision_at_k,
    ranking_metrics,
    recall_at_k,
    reciprocal_rank_at_k,
)

N_ITEMS = 9


def relevance(*rows: list[int]) -> csr_matrix:
    dense = np.zeros((len(rows), N_ITEMS), dtype=np.float32)
    for user, items in enumerate(rows):
        dense[user, items] = 1.0
    return csr_matrix(dense)


# Five users at k = 4, each value worked out on paper.
RANKED = np.array([[0, 1, 2, 3], [5, 6, 7, 8], [4, 3, 2, 1], [0, 1, -1, -1], [8, 0, 3, 6]], dtype=np.int32)
RELEVANT = relevance([0, 1, 2, 3], [0, 1], [1, 5], [1], [0, 1, 2, 3, 4, 5])
LOG3, LOG5 = math.log2(3), math.log2(5)
BY_HAND = {
    "precision@4": [1.0, 0.0, 1 / 4, 1 / 4, 2 / 4],
    "recall@4": [1.0, 0.0, 1 / 2, 1.0, 2 / 6],
    "ndcg@4": [
        1.0,
        0.0,
        (1 / LOG5) / (1 + 1 / LOG3),  # hit at rank 4; best list: ranks 1, 2
        (1 / LOG3) / 1.0,  # hit at rank 2; best list: rank 1
        (1 / LOG3 + 1 / 2) / (1 + 1 / LOG3 + 1 / 2 + 1 / LOG5),  # 6 relevant, only 4 fit
    ],
    "map@4": [1.0, 0.0, (1 / 4) / 2, 1 / 2, (1 / 2 + 2 / 3) / 4],
    "hit_rate@4": [1.0, 0.0, 1.0, 1.0, 1.0],
    "mrr@4": [1.0, 0.0, 1 / 4, 1 / 2, 1 / 2],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_metrics_match_the_table_worked_out_by_hand(name: str) -> None:
    np.testing.assert_allclose(ranking_metrics(RANKED, RELEVANT, k=4)[name], BY_HAND[name], rtol=1e-12)


def test_the_examples_in_the_docstrings_are_true() -> None:
    results = doctest.testmod(ranking)
    assert results.attempted >= 9
    assert results.failed == 0


@st.composite
def lists_and_relevance(draw: st.DrawFn) -> tuple[np.ndarray, csr_matrix, int]:
    """Lists of distinct items (some shorter), relevant items for some users, a cut-off."""
    n_users, width = draw(st.integers(1, 6)), draw(st.integers(1, 7))
    ranked = np.full((n_users, width), -1, dtype=np.int32)
    relevant = np.zeros((n_users, N_ITEMS), dtype=np.float32)
    for user in range(n_users):
        offered = draw(st.lists(st.integers(0, N_ITEMS + 3), max_size=width, unique=True))
        ranked[user, : len(offered)] = offered
        relevant[user, draw(st.lists(st.integers(0, N_ITEMS - 1), unique=True))] = draw(
            st.sampled_from([0.5, 3.0])
        )
    return ranked, csr_matrix(relevant), draw(st.integers(1, 9))


def naive_metrics(offered: list[int], relevant: set[int], k: int) -> dict[str, float]:
    """The definitions one user at a time, in plain Python."""
    if not relevant:
        return dict.fromkeys(("precision", "recall", "ndcg", "map", "hit_rate", "mrr"), math.nan)
    ranks = [rank for rank, item in enumerate(offered[:k], start=1) if item in relevant]
    best = min(k, len(relevant))
    return {
        "precision": len(ranks) / k,
        "recall": len(ranks) / len(relevant),
        "ndcg": sum(1 / math.log2(rank + 1) for rank in ranks)
        / sum(1 / math.log2(rank + 1) for rank in range(1, best + 1)),
        "map": sum(number / rank for number, rank in enumerate(ranks, start=1)) / best,
        "hit_rate": 1.0 if ranks else 0.0,
        "mrr": 1 / ranks[0] if ranks else 0.0,
    }


@given(lists_and_relevance())
def test_metrics_agree_with_the_definitions_in_plain_python(
    drawn: tuple[np.ndarray, csr_matrix, int],
) -> None:
    ranked, relevant, k = drawn
    ours = ranking_metrics(ranked, relevant, k)
    for user in range(len(ranked)):
        offered = [int(item) for item in ranked[user] if item >= 0]
        wanted = set(relevant[user].indices.tolist())
        for name, value in naive_metrics(offered, wanted, k).items():
            np.testing.assert_allclose(ours[f"{name}@{k}"][user], value, rtol=1e-12, err_msg=name)


@given(lists_and_relevance())
def test_metrics_lie_between_0_and_1(drawn: tuple[np.ndarray, csr_matrix, int]) -> None:
    ranked, relevant, k = drawn
    has_relevant = relevant.getnnz(axis=1) > 0
    for name, values in ranking_metrics(ranked, relevant, k).items():
        assert (np.isnan(values) == ~has_relevant).all(), name
        assert ((values[has_relevant] >= 0) & (values[has_relevant] <= 1)).all(), name


@given(lists_and_relevance())
def test_the_single_functions_are_the_columns_of_ranking_metrics(
    drawn: tuple[np.ndarray, csr_matrix, int],
) -> None:
    together = ranking_metrics(*drawn)
    alone = {
        "precision": precision_at_k(*drawn),
        "recall": recall_at_k(*drawn),
        "ndcg": ndcg_at_k(*drawn),
        "map": average_precision_at_k(*drawn),
        "hit_rate": hit_rate_at_k(*drawn),
        "mrr": reciprocal_rank_at_k(*drawn),
    }
    assert set(together) == {f"{name}@{drawn[2]}" for name in alone}
    for name, values in alone.items():
        np.testing.assert_array_equal(together[f"{name}@{drawn[2]}"], values)


@given(st.sets(st.integers(0, N_ITEMS - 1), min_size=1), st.integers(1, 12))
def test_a_perfect_list_scores_1(wanted: set[int], k: int) -> None:
    others = [item for item in range(N_ITEMS) if item not in wanted]
    ranked = np.array([[*sorted(wanted), *others]])
    values = ranking_metrics(ranked, relevance(sorted(wanted)), k)

    for name in ("ndcg", "map", "hit_rate", "mrr"):
        assert values[f"{name}@{k}"] == pytest.approx(1.0)
    assert values[f"precision@{k}"] == pytest.approx(min(k, len(wanted)) / k)
    assert values[f"recall@{k}"] == pytest.approx(min(k, len(wanted)) / len(wanted))


@given(st.permutations(range(N_ITEMS)), st.sets(st.integers(0, N_ITEMS - 1), min_size=1), st.integers(1, 9))
def test_ndcg_agrees_with_scikit_learn(order: list[int], wanted: set[int], k: int) -> None:
    scores = np.empty((1, N_ITEMS))
    scores[0, order] = np.arange(N_ITEMS, 0, -1)
    relevant = relevance(sorted(wanted))

    ours = ndcg_at_k(np.array([order]), relevant, k)
    assert ours[0] == pytest.approx(ndcg_score(relevant.toarray(), scores, k=k))


def test_a_stored_dislike_is_not_relevant() -> None:
    relevant = csr_matrix([[0.0, -1.0, 2.0]])

    assert precision_at_k(np.array([[1, 0]]), relevant, k=2).tolist() == [0.0]
    assert recall_at_k(np.array([[1, 2]]), relevant, k=2).tolist() == [1.0]


def test_an_item_beyond_the_columns_of_the_relevant_never_hits_the_next_user() -> None:
    # With 3 columns, cell (0, 4) and cell (1, 1) would be the same number.
    relevant = csr_matrix([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

    assert not hits_at_k(np.array([[4], [0]]), relevant, k=1).any()


def test_a_list_with_an_item_twice_is_refused() -> None:
    with pytest.raises(DataError, match="user 1 offers an item twice"):
        precision_at_k(np.array([[0, 1], [2, 2]]), relevance([0], [2]), k=2)


def test_lists_and_users_must_fit() -> None:
    with pytest.raises(DataError, match="1 ranked lists for 2 users"):
        recall_at_k(np.array([[0, 1]]), relevance([0], [2]), k=2)
    with pytest.raises(ConfigError, match="k is 0"):
        recall_at_k(np.array([[0, 1]]), relevance([0]), k=0)


def test_coverage_counts_each_item_once_and_no_padding() -> None:
    assert catalogue_coverage(np.array([[0, 1, -1], [1, 0, 2]]), n_items=10) == 0.3
    assert catalogue_coverage(np.full((2, 3), -1), n_items=10) == 0.0


@given(lists_and_relevance(), st.lists(st.integers(1, 9), min_size=1))
def test_metrics_at_several_cut_offs_are_those_of_each(
    drawn: tuple[np.ndarray, csr_matrix, int], cutoffs: list[int]
) -> None:
    ranked, relevant, _ = drawn

    together = metrics_at(ranked, relevant, cutoffs)

    for k in cutoffs:
        for name, values in ranking_metrics(ranked, relevant, k).items():
            np.testing.assert_allclose(together[name], values, rtol=1e-12)


def test_no_cut_off_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="There is no cut-off"):
        metrics_at(np.array([[0]]), relevance([0]), [])
