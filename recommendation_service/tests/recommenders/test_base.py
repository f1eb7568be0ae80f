from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ArtifactError, InvalidRequestError
from recsys.recommenders.base import load_array, top_items


@given(
    scores=st.lists(st.integers(-3, 3), min_size=1, max_size=40),
    limit=st.integers(1, 50),
    seed=st.integers(0, 1000),
)
def test_top_items_equals_a_full_sort_with_ties_to_the_lower_index(
    scores: list[int], limit: int, seed: int
) -> None:
    allowed = np.random.default_rng(seed).random(len(scores)) < 0.7

    answer = top_items(np.array(scores, np.float32), limit, allowed)

    expected = sorted((i for i in range(len(scores)) if allowed[i]), key=lambda i: (-scores[i], i))[:limit]
    assert answer.item_indices.tolist() == expected
    assert answer.scores.tolist() == [scores[i] for i in expected]


def test_a_limit_of_zero_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="at least 1"):
        top_items(np.ones(3, np.float32), 0)


def test_a_pickle_in_place_of_an_array_is_refused(tmp_path) -> None:
    path = tmp_path / "als_v1_item_factors.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)

    with pytest.raises(ArtifactError, match="not a plain NumPy array"):
        load_array(path)


def test_another_width_than_the_manifest_says_is_refused(tmp_path) -> None:
    path = tmp_path / "als_v1_item_factors.npy"
    np.save(path, np.zeros((4, 63), np.float32))

    with pytest.raises(ArtifactError, match="says 64 columns"):
        load_array(path, columns=64)


def test_a_truncated_array_is_refused(tmp_path) -> None:
    path = tmp_path / "factors.npy"
    np.save(path, np.zeros((100, 8), np.float32))
    path.write_bytes(path.read_bytes()[:500])

    with pytest.raises(ArtifactError, match="train again"):
        load_array(path)
