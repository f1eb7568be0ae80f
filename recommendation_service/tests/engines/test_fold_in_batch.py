"""Users solved together are those solved alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.engines import fold_in_batch as module
from recsys.engines.fold_in import FoldIn, FoldInTerms
from recsys.engines.fold_in_batch import fold_in_batch

FACTORS, N_ITEMS = 8, 40


@settings(deadline=None)
@given(
    lengths=st.lists(
        st.sampled_from([0, 1, 2, 5, FACTORS - 1, FACTORS, FACTORS + 1, 30]), min_size=1, max_size=12
    ),
    seed=st.integers(0, 10_000),
)
def test_a_batch_is_each_history_alone(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(N_ITEMS, FACTORS)).astype(np.float32)
    spectrum = 10.0 ** rng.uniform(-1, 2, FACTORS) + N_ITEMS
    items = [rng.choice(N_ITEMS, n, replace=False).astype(np.int32) for n in lengths]
    terms = []
    for n in lengths:
        quadratic = rng.choice([-0.9, 0.0, 1.0, 4.0, 39.0], size=n)
        linear = np.where(rng.random(n) < 0.3, 0.0, quadratic + 1.0)
        terms.append(FoldInTerms(rng.choice([1.0, 2.5]), rng.choice([1.0, 50.0]), quadratic, linear))

    together = fold_in_batch(spectrum, factors, items, terms)

    assert together.dtype == np.float32
    for row, seen, of_row in zip(together, items, terms, strict=True):
        alone = FoldIn(spectrum, factors[seen].astype(np.float64), of_row).user
        np.testing.assert_allclose(row, alone, rtol=1e-5, atol=1e-7)


def test_blocks_hold_every_history_once_within_the_memory_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", 100)
    lengths = np.array([3, 0, 40, 1, 9, 9, 2, 0, 1, 1])

    blocks = list(module._blocks(lengths, FACTORS))

    assert sorted(np.concatenate(blocks).tolist()) == list(range(len(lengths)))
    assert len(blocks) > 2
    for rows in blocks:
        assert len(rows) == 1 or len(rows) * module._numbers(lengths[rows].max(), FACTORS) <= 100


def test_no_history_at_all_is_no_user() -> None:
    assert fold_in_batch(np.ones(FACTORS), np.ones((3, FACTORS), np.float32), [], []).shape == (0, FACTORS)
