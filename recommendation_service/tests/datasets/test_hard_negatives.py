"""Hard negatives are told from the train part alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from recsys.datasets.hard_negatives import explicit_negatives, implicit_negatives

signed = arrays(np.float32, (6, 9), elements=st.sampled_from([0.0, 0.0, 0.0, 5.0, -3.0]))


@given(weights=signed, n_popular=st.integers(0, 12))
def test_they_are_dislikes_and_popular_items_never_touched(weights: np.ndarray, n_popular: int) -> None:
    cells = csr_matrix(weights)
    explicit, implicit = explicit_negatives(cells), implicit_negatives(cells, n_popular)

    likes = (weights > 0).sum(axis=0)
    popular = [item for item in np.argsort(-likes, kind="stable")[:n_popular] if likes[item] > 0]
    for user, row in enumerate(weights):
        assert explicit.of_user(user).tolist() == np.flatnonzero(row < 0).tolist()
        assert implicit.of_user(user).tolist() == sorted(item for item in popular if row[item] == 0)
