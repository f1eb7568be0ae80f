"""Novelty, popularity bias and buckets against the definitions in plain Python."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recsys.errors import ConfigError, DataError
from recsys.metrics import popularity
from recsys.metrics.popularity import (
    bucket_shares_at_k,
    history_popularity,
    item_popularity,
    mean_popularity_at_k,
    novelty_at_k,
    popularity_bias,
    popularity_buckets,
)


def test_the_examples_in_the_docstrings_are_true() -> None:
    results = doctest.testmod(popularity)
    assert results.attempted >= 7
    assert results.failed == 0


@st.composite
def lists_and_counts(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Lists over items, a few of them beyond the counts; how many users each item has; a cut-off."""
    n_items, width = draw(st.integers(1, 8)), draw(st.integers(1, 5))
    counts = np.array(draw(st.lists(st.integers(0, 20), min_size=n_items, max_size=n_items)))
    ranked = np.full((draw(st.integers(1, 5)), width), -1, np.int32)
    for row in ranked:
        offered = draw(st.lists(st.integers(0, n_items + 2), max_size=width, unique=True))
        row[: len(offered)] = offered
    return ranked, counts, draw(st.integers(1, 7))


@given(lists_and_counts())
def test_novelty_and_popularity_of_lists_agree_with_plain_python(
    drawn: tuple[np.ndarray, np.ndarray, int],
) -> None:
    ranked, counts, k = drawn

    novelty, mean = novelty_at_k(ranked, counts, 20, k), mean_popularity_at_k(ranked, counts, k)

    for user, row in enumerate(ranked.tolist()):
        offered = [item for item in row[:k] if item >= 0]
        have = [int(counts[item]) if item < len(counts) else 0 for item in offered]
        if not offered:
            assert math.isnan(novelty[user])
            assert math.isnan(mean[user])
            continue
        bits = [-math.log2(max(n, 1) / 20) for n in have]
        assert novelty[user] == pytest.approx(sum(bits) / len(bits))
        assert mean[user] == pytest.approx(sum(have) / len(have))


@given(lists_and_counts())
def test_buckets_are_thirds_of_the_interactions_by_falling_popularity(
    drawn: tuple[np.ndarray, np.ndarray, int],
) -> None:
    ranked, counts, k = drawn
    n_items = len(counts) + 3

    buckets = popularity_buckets(counts, n_items)

    before, total = 0, int(counts.sum())
    for item in sorted(range(len(counts)), key=lambda i: (-counts[i], i)):
        third = 2 if counts[item] == 0 else [3 * before >= total, 3 * before >= 2 * total].count(True)
        assert buckets[item] == third
        before += int(counts[item])
    assert (buckets[len(counts) :] == 2).all()

    offered = [item for row in ranked.tolist() for item in row[:k] if item >= 0]
    shares = bucket_shares_at_k(ranked, buckets, k)
    for bucket in range(3):
        own = sum(buckets[item] == bucket for item in offered)
        assert shares[bucket] == pytest.approx(own / max(len(offered), 1))


@given(st.integers(0, 1000))
def test_popularity_of_histories_leaves_dislikes_out(seed: int) -> None:
    dense = np.random.default_rng(seed).choice([0.0, 0.0, 1.0, 2.5, -1.0], (5, 6))
    matrix = csr_matrix(dense)

    counts = item_popularity(matrix)
    means = history_popularity(matrix, counts)

    assert counts.tolist() == (dense > 0).sum(axis=0).tolist()
    for row, mean in zip(dense, means, strict=True):
        expected = counts[row > 0].mean() if (row > 0).any() else math.nan
        np.testing.assert_allclose(mean, expected)


def test_there_is_no_bias_without_users_who_have_both() -> None:
    assert popularity_bias(np.array([np.nan, 2.0]), np.array([3.0, np.nan])) is None


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ConfigError, match="k is 0"):
        novelty_at_k(np.array([[0]]), np.array([1]), 3, 0)
    with pytest.raises(DataError, match="no users"):
        novelty_at_k(np.array([[0]]), np.array([1]), 0, 1)
