"""Every way of searching gives the list of brute force, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.errors import InvalidRequestError
from recsys.recommenders import inner_product_search
from recsys.recommenders.inner_product_search import InnerProductSearch, NormOrder, exact_products
from recsys.types import BoolArray, Float32Array, Recommendation

SCALES = (1.0, 1e-20, 1e-38, 1e18, 3e38)
COUNT = 12_000  # items, several blocks


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that a few items go through every branch."""
    monkeypatch.setattr(inner_product_search, "FIRST_BLOCK", 4)
    monkeypatch.setattr(inner_product_search, "BLOCK_GROWTH", 2)
    monkeypatch.setattr(inner_product_search, "FIRST_SCORED", 2)
    monkeypatch.setattr(inner_product_search, "FEW_ALLOWED", 1)
    monkeypatch.setattr(inner_product_search, "ROWS_AT_ONCE", 7)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Float32Array, Float32Array, BoolArray | None]:
    """Item vectors, a user and a mask: whole numbers tie often; some vectors come twice or are zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d = draw(st.integers(1, 40)), draw(st.integers(1, 9))
    kind = draw(st.sampled_from(["whole", "normal", "skewed", "negative"]))
    vectors = rng.integers(-2, 3, (n, d)).astype(np.float32) if kind == "whole" else rng.normal(size=(n, d))
    user = rng.integers(-2, 3, d) if kind == "whole" else rng.normal(size=d)
    if kind == "skewed":
        vectors = vectors * rng.lognormal(0, 2, (n, 1))
    if kind == "negative":
        vectors, user = np.abs(vectors), -np.abs(user)
    vectors[rng.random(n) < draw(st.sampled_from([0.0, 0.3]))] = 0.0
    vectors = vectors[rng.integers(0, n, n)] if draw(st.booleans()) else vectors
    vectors = scaled(vectors, draw(st.sampled_from(SCALES)))
    user = scaled(user, draw(st.sampled_from(SCALES)))
    share = draw(st.sampled_from([None, 0.0, 0.1, 0.5, 0.95]))
    return vectors, user, None if share is None else rng.random(n) < share


def scaled(values: np.ndarray, scale: float) -> Float32Array:
    largest = float(np.finfo(np.float32).max)
    return (values.astype(np.float64) * scale).clip(-largest, largest).astype(np.float32)


def brute_force(
    vectors: Float32Array, user: Float32Array, limit: int, allowed: BoolArray | None
) -> list[tuple[int, float]]:
    scores = exact_products(vectors, user).tolist()
    items = [i for i in range(len(vectors)) if allowed is None or allowed[i]]
    return [(i, scores[i]) for i in sorted(items, key=lambda i: (-scores[i], i))[:limit]]


def pairs(found: Recommendation) -> list[tuple[int, float]]:
    return list(zip(found.item_indices.tolist(), found.scores.tolist(), strict=True))


@given(problem=problems(), give_up=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_way_equals_brute_force_for_every_k(
    small_blocks: None,
    monkeypatch: pytest.MonkeyPatch,
    problem: tuple[Float32Array, Float32Array, BoolArray | None],
    give_up: float,
) -> None:
    vectors, user, allowed = problem
    monkeypatch.setattr(inner_product_search, "GIVE_UP_SHARE", give_up)
    full = InnerProductSearch(vectors)
    pruned = InnerProductSearch(vectors, NormOrder.build(vectors))
    n_in_order = -(-len(vectors) // 2)
    extended = InnerProductSearch(vectors[:n_in_order], NormOrder.build(vectors[:n_in_order])).extended(
        vectors
    )

    for limit in range(1, len(vectors) + 2):
        expected = brute_force(vectors, user, limit, allowed)
        assert pairs(full.top(user, limit, allowed)) == expected
        assert pairs(pruned.top(user, limit, allowed)) == expected
        assert pairs(extended.top(user, limit, allowed)) == expected
        nothing = np.empty(0, np.int32)
        left_out = nothing if allowed is None else np.flatnonzero(~allowed).astype(np.int32)
        batch = full.top_batch(np.stack([user, user]), limit, [left_out, nothing])
        assert pairs(batch[0]) == expected
        assert pairs(batch[1]) == brute_force(vectors, user, limit, None)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 200), d=st.sampled_from([1, 3, 16, 128]))
def test_a_product_does_not_depend_on_the_rows_beside_it(seed: int, n: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, user = rng.normal(size=(n, d)).astype(np.float32), rng.normal(size=d).astype(np.float32)
    chosen = rng.integers(0, n, rng.integers(1, n + 1))

    together = exact_products(vectors, user)

    assert exact_products(vectors[chosen], user).tobytes() == together[chosen].tobytes()
    assert exact_products(np.asfortranarray(vectors), user).tobytes() == together.tobytes()


def skewed_vectors(*, spread: float) -> tuple[Float32Array, Float32Array]:
    rng = np.random.default_rng(3)
    directions = rng.normal(size=(COUNT, 32)) * np.linspace(2.0, 0.2, 32)
    vectors = (directions * rng.lognormal(0, spread, (COUNT, 1))).astype(np.float32)
    return vectors, rng.normal(size=32).astype(np.float32)


@pytest.mark.parametrize("limit", [1, 10, 400, COUNT])
@pytest.mark.parametrize("share", [None, 0.5, 0.01, 0.0005])
def test_many_blocks_and_masks_give_the_list_of_brute_force(limit: int, share: float | None) -> None:
    vectors, user = skewed_vectors(spread=1.0)
    allowed = None if share is None else np.random.default_rng(4).random(COUNT) < share
    search = InnerProductSearch(vectors, NormOrder.build(vectors))

    assert pairs(search.top(user, limit, allowed)) == brute_force(vectors, user, limit, allowed)


def test_skewed_norms_are_pruned_and_flat_ones_are_told_not_to_pay() -> None:
    shares = []
    for spread in (1.0, 0.0):
        vectors, user = skewed_vectors(spread=spread)
        search = InnerProductSearch(vectors, NormOrder.build(vectors))
        shares.append(search.scan_share(user, 10))

    assert shares[0] < 0.5 < shares[1]


def test_a_norm_order_bounds_every_product() -> None:
    vectors, user = skewed_vectors(spread=1.0)
    order = NormOrder.build(vectors)

    exact = exact_products(vectors, user)[order.order]
    coordinates = order.axes @ user.astype(np.float64)
    rest = np.linalg.norm(user - coordinates @ order.axes)

    assert (exact <= order.head @ coordinates + order.tail_norms * rest + 1e-4).all()
    assert (np.diff(order.norms) <= 0).all()
    np.testing.assert_allclose(
        np.hypot(np.linalg.norm(order.head, axis=1), order.tail_norms), order.norms, rtol=1e-5
    )


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="limit is 0"):
        InnerProductSearch(np.ones((3, 2), np.float32)).top(np.ones(2, np.float32), 0)


def test_the_share_of_a_search_without_norm_order_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="NormOrder"):
        InnerProductSearch(np.ones((3, 2), np.float32)).scan_share(np.ones(2, np.float32), 1)
