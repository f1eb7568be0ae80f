"""Lists of a block of scores are those of sorting every row."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import InvalidRequestError
from recsys.recommenders import top_of_batch
from recsys.recommenders.base import top_items
from recsys.recommenders.inner_product_search import InnerProductSearch, exact_products
from recsys.recommenders.top_of_batch import contenders, top_of_scores
from recsys.types import Float32Array, Int32Array


def by_sorting(row: Float32Array, limit: int, left_out: Int32Array) -> list[tuple[int, float]]:
    items = sorted(set(range(len(row))) - set(left_out.tolist()), key=lambda i: (-float(row[i]), i))
    return [(i, float(row[i])) for i in items[:limit]]


def test_the_examples_in_the_docstrings_are_true() -> None:
    results = doctest.testmod(top_of_batch)
    assert results.attempted >= 2
    assert results.failed == 0


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.integers(1, 5),
    n_items=st.integers(1, 700),
    limit=st.sampled_from([1, 2, 3, 10, 60, 800]),
    whole=st.booleans(),
    share=st.sampled_from([0.0, 0.3, 0.95, 1.0]),
)
def test_every_list_equals_sorting_with_ties_to_the_lower_item(
    seed: int, n_rows: int, n_items: int, limit: int, whole: bool, share: float
) -> None:
    rng = np.random.default_rng(seed)
    shape = (n_rows, n_items)
    scores = (rng.integers(-3, 4, shape) if whole else rng.normal(size=shape)).astype(np.float32)
    left_out = [np.flatnonzero(rng.random(n_items) < share).astype(np.int32) for _ in range(n_rows)]
    beyond = [np.append(one, [-1, n_items, n_items + 7]).astype(np.int32) for one in left_out]
    before = scores.copy()

    lists = top_of_scores(scores, limit, beyond)

    np.testing.assert_array_equal(scores, before)
    for row, one, found in zip(scores, left_out, lists, strict=True):
        pairs = list(zip(found.item_indices.tolist(), found.scores.tolist(), strict=True))
        assert pairs == by_sorting(row, limit, one)
        alone = top_items(row, limit, ~np.isin(np.arange(n_items), one))
        assert found.item_indices.tolist() == alone.item_indices.tolist()


def test_few_cells_contend_for_a_place_of_a_large_catalogue() -> None:
    scores = np.random.default_rng(0).normal(size=(20, 40_000)).astype(np.float32)

    rows, _ = contenders(scores, 20)

    assert 20 * 20 <= len(rows) < 1.1 * 20 * 20


def test_the_highest_and_the_lowest_of_scores_are_found() -> None:
    largest = np.finfo(np.float32).max
    scores = np.array([[-largest, largest, 0.0, -largest]], np.float32)

    assert top_of_scores(scores, 4)[0].item_indices.tolist() == [1, 2, 0, 3]


def test_a_shared_row_of_scores_may_be_read_only() -> None:
    scores = np.broadcast_to(np.array([1.0, 2.0, 3.0], np.float32), (2, 3))

    lists = top_of_scores(scores, 1, [np.array([2], np.int32), np.array([], np.int32)])

    assert [one.item_indices.tolist() for one in lists] == [[1], [2]]


@pytest.mark.parametrize("limit", [0, -2])
def test_a_list_of_no_item_is_refused(limit: int) -> None:
    with pytest.raises(InvalidRequestError, match=f"limit is {limit}"):
        top_of_scores(np.ones((1, 2), np.float32), limit)
    with pytest.raises(InvalidRequestError, match=f"limit is {limit}"):
        InnerProductSearch(np.ones((2, 1), np.float32)).top_batch(np.ones((1, 1), np.float32), limit)


@pytest.mark.parametrize("limit", [1, 20, 300])
def test_vectors_searched_in_blocks_give_the_lists_of_brute_force(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(top_of_batch, "SCORES_AT_ONCE", 20_000)  # blocks of four users
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(5_000, 16)).astype(np.float32)
    vectors[2_500:] = vectors[:2_500]  # every score comes twice
    users = rng.normal(size=(11, 16)).astype(np.float32)
    left_out = [rng.choice(5_000, size, replace=False).astype(np.int32) for size in range(0, 4_400, 400)]

    lists = InnerProductSearch(vectors).top_batch(users, limit, left_out)

    for user, one, found in zip(users, left_out, lists, strict=True):
        pairs = list(zip(found.item_indices.tolist(), found.scores.tolist(), strict=True))
        assert pairs == by_sorting(exact_products(vectors, user), limit, one)
