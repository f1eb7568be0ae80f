"""Lists from scores: exactness of what is lowered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.engines.als_config import ALSConfig
from recsys.recommenders.als import ALSRecommender
from recsys.serving.retrieval import rank
from recsys.types import History

N_ITEMS, FACTORS = 300, 5
CONFIG = ALSConfig.default(factors=FACTORS, regularization=0.1, alpha=10.0)


def als_of(seed: int) -> ALSRecommender:
    """A recommender over random factors, as if they had been trained."""
    rng = np.random.default_rng(seed)
    return als_over(rng.normal(size=(N_ITEMS, FACTORS)).astype(np.float32))


def als_over(item_factors: np.ndarray) -> ALSRecommender:
    return ALSRecommender.from_factors(np.zeros((1, FACTORS), np.float32), item_factors, CONFIG)


def history_of(likes: list[int], dislikes: list[int]) -> History:
    weights = [2.0] * len(likes) + [-1.0] * len(dislikes)
    return History(np.array(likes + dislikes, np.int32), np.array(weights, np.float32))


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000),
    limit=st.sampled_from([1, 3, 10, 100, 400]),
    dislikes=st.lists(st.integers(100, 299), min_size=1, max_size=30, unique=True),
    n_allowed=st.sampled_from([1, 8, 250, 300]),
)
def test_the_shortlist_gives_the_same_list_as_lowering_every_score(
    seed: int, limit: int, dislikes: list[int], n_allowed: int
) -> None:
    als = als_of(seed)
    history = history_of([0, 1, 2], dislikes)
    allowed = np.arange(N_ITEMS) < n_allowed

    y = als.item_factors
    unit = y / np.linalg.norm(y, axis=1, keepdims=True)
    alike = (unit @ unit[dislikes].T).max(axis=1).clip(0, 1)
    scores = als.score_batch([history])[0]
    lowered = np.where(scores > 0, scores * (1 - alike**4), scores)
    lowered[~allowed] = -np.inf
    expected = np.argsort(-lowered, kind="stable")[: min(limit, n_allowed)]

    ranked = rank(als, history, limit, allowed)
    np.testing.assert_allclose(ranked.scores, lowered[expected], rtol=1e-4, atol=1e-6)
    assert len(set(ranked.item_indices.tolist())) == min(limit, n_allowed)
    assert allowed[ranked.item_indices].all()


def test_a_twin_of_what_was_disliked_falls_to_zero_and_a_stranger_keeps_its_score() -> None:
    like, dislike, twin, stranger = 0, 1, 2, 3
    y = np.zeros((N_ITEMS, FACTORS), np.float32)
    y[like] = [1, 1, 0, 0, 0]
    y[dislike] = y[twin] = [1, 0, 0, 0, 0]
    y[stranger] = [0, 1, 0, 0, 0]
    als = als_over(y)
    history = history_of([like], [dislike])
    raw = als.score_batch([history])[0]
    allowed = np.ones(N_ITEMS, np.bool_)
    ranked = rank(als, history, N_ITEMS, allowed)
    scores = dict(zip(ranked.item_indices.tolist(), ranked.scores.tolist(), strict=True))
    assert scores[twin] == pytest.approx(0.0, abs=1e-6)
    assert scores[stranger] == pytest.approx(float(raw[stranger]))
