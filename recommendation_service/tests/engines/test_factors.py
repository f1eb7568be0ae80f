"""The rotation into the eigenbasis: no score changes, and the Gram matrix becomes diagonal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.engines import factors as factors_module
from recsys.engines.factors import diagonalize, gram_matrix, is_diagonal


def random_factors(rng: np.random.Generator, n: int, factors: int) -> np.ndarray:
    """Columns of very different lengths and dependent on one another, as trained ones are."""
    mixing = rng.normal(size=(factors, factors)) * 10.0 ** rng.uniform(-3, 1, factors)
    return (rng.normal(size=(n, factors)) @ mixing).astype(np.float32)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), n_items=st.sampled_from([1, 2, 6, 200]), factors=st.sampled_from([1, 6]))
def test_the_rotation_changes_no_score_and_leaves_a_diagonal(seed: int, n_items: int, factors: int) -> None:
    rng = np.random.default_rng(seed)
    users, items = random_factors(rng, 9, factors), random_factors(rng, n_items, factors)

    rotated_users, rotated_items = diagonalize(users, items)

    assert is_diagonal(gram_matrix(rotated_items))
    assert (rotated_users.dtype, rotated_items.dtype) == (np.float32, np.float32)
    scores, before = rotated_users @ rotated_items.T, users @ items.T
    lengths = np.outer(np.linalg.norm(users, axis=1), np.linalg.norm(items, axis=1))
    assert (np.abs(scores - before) <= 1e-5 * lengths).all()


def test_the_largest_direction_comes_first() -> None:
    rng = np.random.default_rng(2)

    _, items = diagonalize(random_factors(rng, 3, 5), random_factors(rng, 50, 5))

    assert (np.diff(np.diagonal(gram_matrix(items))) < 0).all()


def test_factors_as_trained_are_not_diagonal() -> None:
    assert not is_diagonal(gram_matrix(random_factors(np.random.default_rng(0), 50, 4)))


@pytest.mark.parametrize("n_items", [0, 3])
def test_items_that_are_nothing_are_diagonal(n_items: int) -> None:
    assert is_diagonal(gram_matrix(np.zeros((n_items, 4), np.float32)))


def test_large_matrices_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    users, items = random_factors(rng, 8, 3), random_factors(rng, 11, 3)
    whole = gram_matrix(items), *diagonalize(users, items)

    monkeypatch.setattr(factors_module, "ROWS_AT_ONCE", 4)

    for in_parts, at_once in zip((gram_matrix(items), *diagonalize(users, items)), whole, strict=True):
        np.testing.assert_allclose(in_parts, at_once, rtol=1e-5, atol=1e-5)
