"""Maximal marginal relevance: the paper's rule, its two ends, and what it does to whole lists."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.synthetic import build_dataset, make_world
from recsys.recommenders.content import ContentConfig, ContentRecommender
from recsys.serving.diversity import most_diverse, shortlist_size
from recsys.types import History

N_PEOPLE, LIMIT = 60, 10


@cache
def content() -> ContentRecommender:
    world = make_world(200, 400, seed=7, now_s=1_760_000_000.0)
    return ContentRecommender(ContentConfig.default(dimensions=64)).fit(build_dataset(world))


@cache
def shortlists() -> list[tuple[np.ndarray, np.ndarray]]:
    """The scores and vectors of the shortlist of somebody who liked three startups, for many."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(N_PEOPLE):
        liked = rng.choice(content().n_items, 3, replace=False).astype(np.int32)
        history = History(liked, np.full(3, 2.0, np.float32))
        ranked = content().recommend(history, shortlist_size(LIMIT), exclude=liked)
        found.append((ranked.scores.astype(np.float64), content().vectors[ranked.item_indices]))
    return found


def likeness_within(vectors: np.ndarray) -> float:
    """The mean cosine of all pairs of a list."""
    cosines = vectors @ vectors.T
    return float(cosines[np.triu_indices(len(vectors), 1)].mean())


def test_lists_get_less_alike_the_more_diversity_is_asked_for() -> None:
    steps = np.arange(0, 1.01, 0.1)
    likeness = [
        np.mean(
            [
                likeness_within(vectors[most_diverse(scores, vectors, LIMIT, diversity=step)])
                for scores, vectors in shortlists()
            ]
        )
        for step in steps
    ]
    assert likeness == sorted(likeness, reverse=True)
    assert likeness[-1] < 0.5 * likeness[0]


def test_nothing_asked_for_is_the_list_by_relevance() -> None:
    for scores, vectors in shortlists():
        chosen = most_diverse(scores, vectors, LIMIT, diversity=0.0)
        assert chosen.tolist() == list(range(LIMIT))


def by_the_paper(relevance: np.ndarray, vectors: np.ndarray, limit: int, diversity: float) -> list[int]:
    """The rule as it is written, one candidate after the other."""
    span = relevance.max() - relevance.min()
    scaled = (relevance - relevance.min()) / (span if span > 0 else 1)
    chosen: list[int] = []
    while len(chosen) < min(limit, len(relevance)):
        marginal = {}
        for candidate in range(len(relevance)):
            if candidate in chosen:
                continue
            alike = max((float(vectors[candidate] @ vectors[other]) for other in chosen), default=0.0)
            marginal[candidate] = (1 - diversity) * scaled[candidate] - diversity * alike
        chosen.append(max(marginal, key=lambda candidate: (marginal[candidate], -candidate)))
    return chosen


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 25),
    limit=st.integers(1, 30),
    diversity=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
)
def test_it_chooses_as_the_papers_rule_does(seed: int, n: int, limit: int, diversity: float) -> None:
    """Coordinates of 0, 1 and -1 make ties and exact products."""
    rng = np.random.default_rng(seed)
    vectors = np.zeros((n, 4), np.float32)
    vectors[np.arange(n), rng.integers(0, 4, n)] = rng.choice([-1, 0, 1], n)
    relevance = np.sort(rng.integers(0, 5, n) / 4.0)[::-1]
    chosen = most_diverse(relevance, vectors, limit, diversity=diversity)
    assert chosen.tolist() == by_the_paper(relevance, vectors, limit, diversity)


@pytest.mark.parametrize("diversity", [0.0, 0.5, 1.0])
def test_an_empty_shortlist_gives_an_empty_list(diversity: float) -> None:
    empty = most_diverse(np.empty(0), np.empty((0, 4), np.float32), 5, diversity=diversity)
    assert empty.tolist() == []


def test_the_shortlist_is_five_times_the_list_and_at_least_fifty() -> None:
    assert [shortlist_size(limit) for limit in (1, 10, 11, 100)] == [50, 50, 55, 500]
