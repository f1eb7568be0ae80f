"""The area under the curve, against its definition pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recsys.errors import DataError
from recsys.metrics.pairwise import area_under_curve


@given(seed=st.integers(0, 2**32 - 1), n_items=st.integers(1, 12))
def test_it_is_the_share_of_pairs_in_order(seed: int, n_items: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, (3, n_items)).astype(np.float32)  # with ties
    relevant, excluded = (rng.random((3, n_items)) < share for share in (0.4, 0.3))

    areas = area_under_curve(scores, csr_matrix(relevant * 2.0), csr_matrix(excluded * -1.0))

    for user in range(3):
        pairs = [
            1.0 if scores[user, i] > scores[user, j] else 0.5 if scores[user, i] == scores[user, j] else 0.0
            for i in np.flatnonzero(relevant[user] & ~excluded[user])
            for j in np.flatnonzero(~relevant[user] & ~excluded[user])
        ]
        np.testing.assert_allclose(areas[user], np.mean(pairs) if pairs else np.nan)


def test_a_cell_below_zero_is_not_relevant() -> None:
    areas = area_under_curve(np.array([[1.0, 2.0, 3.0]]), csr_matrix([[-1.0, 0, 1.0]]), csr_matrix((1, 3)))

    assert areas.tolist() == [1.0]


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(DataError, match="shape"):
        area_under_curve(np.zeros((1, 2)), csr_matrix((1, 3)), csr_matrix((1, 2)))
    with pytest.raises(DataError, match="finite"):
        area_under_curve(np.array([[np.nan, 1.0]]), csr_matrix((1, 2)), csr_matrix((1, 2)))
