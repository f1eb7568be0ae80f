"""What stands as a negative beside a liked item."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from recsys.recommenders.sampling import NegativePools, Rows, shares_of

signed = arrays(np.float32, (6, 9), elements=st.sampled_from([0.0, 0.0, 0.0, 2.0, -1.0]))


def items_of(rows: Rows, user: int) -> list[int]:
    return rows.items[rows.starts[user] : rows.starts[user + 1]].tolist()


@given(weights=signed, n_popular=st.integers(0, 12))
def test_pools_hold_dislikes_and_popular_items_never_touched(weights: np.ndarray, n_popular: int) -> None:
    pools = NegativePools.build(csr_matrix(weights), n_popular=n_popular)

    likes = (weights > 0).sum(axis=0)
    popular = [item for item in np.argsort(-likes, kind="stable")[:n_popular] if likes[item] > 0]
    for user, row in enumerate(weights):
        assert items_of(pools.seen, user) == np.flatnonzero(row).tolist()
        assert items_of(pools.explicit, user) == np.flatnonzero(row < 0).tolist()
        assert items_of(pools.implicit, user) == sorted(item for item in popular if row[item] == 0)


@given(weights=signed)
def test_popularity_is_a_cumulated_share_and_items_nobody_likes_have_none(weights: np.ndarray) -> None:
    shares = np.diff(NegativePools.build(csr_matrix(weights), n_popular=3).popularity, prepend=0.0)

    likes = (weights > 0).sum(axis=0)
    expected = np.log1p(likes) / max(np.log1p(likes).sum(), 1e-12)
    np.testing.assert_allclose(shares, expected, atol=1e-12)


def test_the_given_matrix_stays_as_it_was() -> None:
    given_matrix = csr_matrix(np.array([[2.0, -1.0, 0.0], [0.0, 2.0, 2.0]], np.float32))
    before = given_matrix.copy()

    NegativePools.build(given_matrix, n_popular=2)

    assert given_matrix.indices.tolist() == before.indices.tolist()
    assert given_matrix.data.tolist() == before.data.tolist()


def test_shares_follow_the_strategy() -> None:
    assert shares_of("hard_mixed", explicit=0.15, implicit=0.1).tolist() == [0.15, 0.1, 0.0]
    assert shares_of("popularity", explicit=0.15, implicit=0.1).tolist() == [0.0, 0.0, 1.0]
    assert shares_of("uniform", explicit=0.15, implicit=0.1).tolist() == [0.0, 0.0, 0.0]
