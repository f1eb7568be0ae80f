"""Factors carried over: old rows stay what they were, new ones are solved from the other side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.als_carry_over import carry_over

NEW_USERS, NEW_ITEMS = 3, 2


@pytest.fixture(params=["implicit", "irspack"])
def config(request: pytest.FixtureRequest) -> ALSConfig:
    return ALSConfig.default(engine=request.param, factors=4, iterations=60, alpha=4.0, regularization=0.1)


@pytest.fixture
def likes(two_circles: Dataset) -> Dataset:
    return replace(two_circles, user_items=two_circles.positive, last_event_at=None)


@pytest.fixture
def before(likes: Dataset) -> Dataset:
    """Without the last users and items, and in the opposite order: rows are matched by id."""
    matrix = likes.user_items[:-NEW_USERS, :-NEW_ITEMS][::-1, ::-1].tocsr()
    matrix.sort_indices()
    return Dataset(
        matrix,
        IdMap(likes.user_mapping.ids[-NEW_USERS - 1 :: -1]),
        IdMap(likes.item_mapping.ids[-NEW_ITEMS - 1 :: -1]),
    )


def test_who_was_there_keeps_every_score(likes: Dataset, before: Dataset, config: ALSConfig) -> None:
    served = ALSRecommender(config).fit(before)
    rows = (
        before.user_mapping.indices(likes.user_mapping.ids),
        before.item_mapping.indices(likes.item_mapping.ids),
    )

    users, items = carry_over(served, likes, *rows, config)

    assert (users.dtype, items.dtype) == (np.float32, np.float32)
    scores = (users @ items.T)[:-NEW_USERS, :-NEW_ITEMS]
    np.testing.assert_allclose(scores, (served.user_factors @ served.item_factors.T)[::-1, ::-1], atol=1e-4)


def test_new_rows_are_what_the_engine_would_solve(likes: Dataset, before: Dataset, config: ALSConfig) -> None:
    served = ALSRecommender(config).fit(before)
    rows = (
        before.user_mapping.indices(likes.user_mapping.ids),
        before.item_mapping.indices(likes.item_mapping.ids),
    )

    users, items = carry_over(served, likes, *rows, config)

    user, column = likes.n_users - 1, likes.n_items - 1
    known = items.copy()
    known[-NEW_ITEMS:] = 0  # a new item could not speak for a new user yet
    _check_solved(users[user], known, likes.user_items[[user]].toarray()[0], config)
    _check_solved(items[column], users, likes.user_items[:, [column]].toarray()[:, 0], config)


def test_nobody_new_is_a_start_where_the_iterations_have_nothing_left_to_do(
    likes: Dataset, config: ALSConfig
) -> None:
    served = ALSRecommender(replace(config, iterations=400)).fit(likes)
    everybody = np.arange(likes.n_users, dtype=np.int32), np.arange(likes.n_items, dtype=np.int32)

    users, items = carry_over(served, likes, *everybody, config)

    np.testing.assert_allclose(users @ items.T, served.user_factors @ served.item_factors.T, atol=1e-4)


def _check_solved(x: np.ndarray, fixed: np.ndarray, weights: np.ndarray, config: ALSConfig) -> None:
    """The gradient of the engine's objective is zero at x, over the dense row."""
    x, y, weights = (side.astype(np.float64) for side in (x, fixed, weights))
    if config.engine == "implicit":
        confidence = np.where(weights > 0, config.alpha * weights, 1.0)
        gradient = (confidence * (y @ x - (weights > 0))) @ y + config.regularization * x
    else:
        cells = (weights * (y @ x - 1.0)) @ y + config.alpha0 * (y @ x) @ y
        ridge = config.regularization * (config.alpha0 * len(y) + np.count_nonzero(weights)) ** config.nu
        gradient = cells + ridge * x
    assert np.linalg.norm(x) > 0.01
    np.testing.assert_allclose(gradient, 0, atol=2e-3)
