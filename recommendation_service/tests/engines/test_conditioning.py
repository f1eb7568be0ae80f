"""The condition number beside NumPy's own, of the matrix written out."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.engines.conditioning import condition_number


def test_it_is_that_of_the_matrix_written_out() -> None:
    factors = np.random.default_rng(1).normal(size=(30, 6))
    gram = factors.T @ factors

    number = condition_number(gram, gram_weight=0.3, ridge=0.05)

    assert number == pytest.approx(np.linalg.cond(0.3 * gram + 0.05 * np.eye(6)), rel=1e-9)


def test_the_ridge_bounds_what_has_no_full_rank() -> None:
    gram = np.outer([3.0, 4.0], [3.0, 4.0])  # eigenvalues 25 and 0

    assert condition_number(gram, gram_weight=1.0, ridge=0.5) == pytest.approx(51.0)
    assert condition_number(np.zeros((2, 2)), gram_weight=1.0, ridge=0.5) == 1.0
