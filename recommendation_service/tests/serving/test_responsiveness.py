"""One act changes the next list where it should: how far, in ranks, on a world with known tastes."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.datasets.synthetic import build_dataset, make_world
from recsys.datasets.user_items import Dataset
from recsys.recommenders.base import Recommender, VectorRecommender
from recsys.recommenders.table import make_recommender
from recsys.serving.retrieval import rank
from recsys.types import History, Int32Array

N_PEOPLE = 40
N_NEIGHBOURS = 10
LEAST_FALL = {"als": 30.0, "ensemble": 20.0}  # mean ranks, of some 300


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return build_dataset(make_world(300, 300, seed=5, now_s=1_760_000_000.0))


@pytest.fixture(scope="module")
def recommenders(dataset: Dataset) -> dict[str, Recommender]:
    als = make_recommender("als", factors=16, alpha=1.0, regularization=20.0).fit(dataset)
    parts = {"als": als, "two_tower": make_recommender("two_tower", dimensions=16, epochs=10).fit(dataset)}
    ensemble = make_recommender("ensemble")
    ensemble.attach(parts)
    return {"als": als, "ensemble": ensemble.fit(dataset)}


def ranks_of_all(recommender: Recommender, history: History) -> Int32Array:
    """(n_items,) the place of every item not acted on in the list as it is served; 0 for the others."""
    allowed = np.ones(recommender.n_items, np.bool_)
    allowed[history.item_indices] = False
    ranks = np.zeros(recommender.n_items, np.int32)
    listed = rank(recommender, history, recommender.n_items, allowed).item_indices
    ranks[listed] = np.arange(1, len(listed) + 1)
    return ranks


def with_act(history: History, item_index: int, weight: float) -> History:
    return History(
        np.append(history.item_indices, np.int32(item_index)),
        np.append(history.weights, np.float32(weight)),
        interests=history.interests,
    )


def mean_move_of_neighbours(recommender: Recommender, history: History, weight: float) -> float:
    """Act on the first of the list; ranks its nearest neighbours go down by, on average."""
    assert isinstance(recommender, VectorRecommender)
    before = ranks_of_all(recommender, history)
    first = int(np.flatnonzero(before == 1)[0])
    after = ranks_of_all(recommender, with_act(history, first, weight))
    unseen = (before > 0) & (after > 0)
    everything = np.arange(recommender.n_items, dtype=np.int32)
    alike = recommender.likeness(everything, np.array([first], np.int32))[:, 0]
    cosines = np.where(unseen, alike, -np.inf)
    nearest = np.argsort(-cosines)[:N_NEIGHBOURS]
    return float((after[nearest] - before[nearest]).mean())


@pytest.mark.parametrize("name", list(LEAST_FALL))
def test_the_nearest_neighbours_of_one_fresh_dislike_fall(
    name: str, recommenders: dict[str, Recommender], dataset: Dataset
) -> None:
    histories = [dataset.history(user) for user in range(dataset.n_users)]
    asked = [h for h in histories if recommenders[name].why_not(h) is None][:N_PEOPLE]

    falls = [mean_move_of_neighbours(recommenders[name], history, -1.0) for history in asked]

    print(f"{name}: one dislike, {N_NEIGHBOURS} nearest neighbours fall by {np.mean(falls):.1f} ranks")  # noqa: T201
    assert np.mean(falls) >= LEAST_FALL[name]


@pytest.mark.parametrize("name", list(LEAST_FALL))
def test_the_nearest_neighbours_of_one_fresh_favorite_rise(
    name: str, recommenders: dict[str, Recommender], dataset: Dataset
) -> None:
    histories = [dataset.history(user) for user in range(dataset.n_users)]
    asked = [h for h in histories if recommenders[name].why_not(h) is None][:N_PEOPLE]

    rises = [-mean_move_of_neighbours(recommenders[name], history, 2.5) for history in asked]

    print(f"{name}: one favorite, {N_NEIGHBOURS} nearest neighbours rise by {np.mean(rises):.1f} ranks")  # noqa: T201
    assert np.mean(rises) > 0
