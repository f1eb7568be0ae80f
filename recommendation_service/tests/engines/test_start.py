"""Factors to begin with: where they lead, what is held, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.engines import implicit_engine, irspack_engine
from recsys.engines.als_config import ALSConfig
from recsys.engines.factors import Factors
from recsys.engines.iterations import Course
from recsys.engines.start import Start
from recsys.errors import DataError
from recsys.progress import ignore_progress
from recsys.types import Float32Array

N_USERS, N_ITEMS, FACTORS = 40, 24, 4
ENGINES: dict[str, Any] = {"implicit": implicit_engine, "irspack": irspack_engine}


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dataset() -> Dataset:
    """Everybody acts on a fifth of the items; no dislikes, which irspack would not see."""
    rng = np.random.default_rng(2)
    weights = rng.choice([0.5, 2.0, 3.5], (N_USERS, N_ITEMS)).astype(np.float32)
    weights[rng.random((N_USERS, N_ITEMS)) > 0.2] = 0.0
    weights[0, 0] = 1.0
    users, items = (
        [f"{side}{n:02}" for n in range(size)] for side, size in zip("ui", weights.shape, strict=True)
    )
    return Dataset(csr_matrix(weights), IdMap(users), IdMap(items))


def fit(dataset: Dataset, engine: str, iterations: int, start: Start | None = None) -> Factors:
    config = ALSConfig.default(
        engine=engine, factors=FACTORS, iterations=iterations, alpha=4.0, regularization=0.1
    )
    fitted: Factors = ENGINES[engine].fit_factors(dataset, config, ignore_progress, Course(start))
    return fitted


def objective(factors: Factors, dataset: Dataset, engine: str) -> float:
    """What the engine minimises, over the dense matrix."""
    weights = dataset.user_items.toarray().astype(np.float64)
    scores = factors.users.astype(np.float64) @ factors.items.T.astype(np.float64)
    lengths = [np.sum(side.astype(np.float64) ** 2, axis=1) for side in (factors.users, factors.items)]
    if engine == "implicit":
        confidence = np.where(weights > 0, 4.0 * weights, 1.0)
        fit_error = (confidence * (scores - (weights > 0)) ** 2).sum()
        return float(fit_error + 0.1 * (lengths[0].sum() + lengths[1].sum()))
    alpha0 = ALSConfig.default().alpha0
    acts = [np.count_nonzero(weights, axis=axis) for axis in (1, 0)]
    ridges = [0.1 * (alpha0 * size + n) for size, n in zip((N_ITEMS, N_USERS), acts, strict=True)]
    fit_error = (weights * (scores - 1.0) ** 2).sum() + alpha0 * (scores**2).sum()
    return float(fit_error + (ridges[0] * lengths[0]).sum() + (ridges[1] * lengths[1]).sum())


def random_items(seed: int) -> Float32Array:
    return np.random.default_rng(seed).normal(0, 0.5, (N_ITEMS, FACTORS)).astype(np.float32)


def test_a_start_where_the_iterations_end_stays_there(dataset: Dataset, engine: str) -> None:
    converged = fit(dataset, engine, iterations=400)
    reached = objective(converged, dataset, engine)

    again = fit(dataset, engine, 1, Start(converged.items, converged.users))
    cold = fit(dataset, engine, 1)

    assert objective(again, dataset, engine) <= reached * (1 + 1e-5)
    np.testing.assert_allclose(again.users @ again.items.T, converged.users @ converged.items.T, atol=1e-3)
    assert objective(cold, dataset, engine) > reached * 1.01


def test_the_items_of_a_start_decide_where_one_iteration_ends(dataset: Dataset, engine: str) -> None:
    one, other = (fit(dataset, engine, 1, Start(random_items(seed))) for seed in (1, 2))

    assert not np.allclose(one.users @ one.items.T, other.users @ other.items.T, atol=1e-2)


def test_users_are_solved_first_so_that_without_their_start_they_come_from_the_items(
    dataset: Dataset, engine: str
) -> None:
    converged = fit(dataset, engine, iterations=400)

    from_items = fit(dataset, engine, 3, Start(converged.items))

    reached = objective(converged, dataset, engine)
    assert objective(from_items, dataset, engine) == pytest.approx(reached, rel=1e-3)


def test_frozen_items_are_held_in_the_first_iteration_alone(dataset: Dataset, engine: str) -> None:
    items = random_items(4)

    held = fit(dataset, engine, 1, Start(items, freeze_items_first=True))
    freed = fit(dataset, engine, 2, Start(items, freeze_items_first=True))
    never_held = fit(dataset, engine, 1, Start(items))

    # A rotation leaves the products of items with each other as they are.
    np.testing.assert_allclose(held.items @ held.items.T, items @ items.T, atol=1e-4)
    for moved in (freed, never_held):
        assert not np.allclose(moved.items @ moved.items.T, items @ items.T, atol=1e-2)


def test_the_arrays_of_a_start_are_not_written_into(dataset: Dataset, engine: str) -> None:
    items, users = random_items(1), np.ones((N_USERS, FACTORS), np.float32)
    items.flags.writeable = users.flags.writeable = False  # as mapped from a release

    fit(dataset, engine, 2, Start(items, users))

    np.testing.assert_array_equal(items, random_items(1))
    assert (users == 1).all()


@pytest.mark.parametrize(
    ("items", "users", "message"),
    [
        (np.ones((N_ITEMS + 1, FACTORS), np.float32), None, r"item factors .* \(25, 4\).* need \(24, 4\)"),
        (np.ones((N_ITEMS, 3), np.float32), None, r"\(24, 3\).*make them 4 long"),
        (np.ones((N_ITEMS, FACTORS)), None, "float64; convert them to float32"),
        (np.full((N_ITEMS, FACTORS), np.nan, np.float32), None, "not a finite number"),
        (np.zeros((N_ITEMS, FACTORS), np.float32), None, "all zero"),
        (np.ones((N_ITEMS, FACTORS), np.float32), np.ones((1, FACTORS), np.float32), "user factors"),
    ],
)
def test_a_start_that_does_not_fit_is_named_with_the_mend(
    dataset: Dataset, engine: str, items: Float32Array, users: Float32Array | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        fit(dataset, engine, 1, Start(items, users))
