"""The loop that `implicit` and `irspack` share: their own steps, what is told, and where it is stopped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recsys.datasets.user_items import Dataset
from recsys.engines import implicit_engine, irspack_engine
from recsys.engines.als_config import ALSConfig
from recsys.engines.factors import diagonalize
from recsys.engines.iterations import Course, iterate
from recsys.errors import ConfigError, DataError
from recsys.progress import ignore_progress
from recsys.types import Float32Array, ProgressReport

ENGINES: dict[str, Any] = {"implicit": implicit_engine, "irspack": irspack_engine}


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def config_of(engine: str, **changes: object) -> ALSConfig:
    return ALSConfig.default(
        **{"engine": engine, "factors": 5, "iterations": 6, "alpha": 4.0, "regularization": 0.1, **changes}
    )


def test_implicit_comes_out_as_from_its_own_fit_bit_for_bit(world: Dataset) -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    likes = Dataset(world.positive, world.user_mapping, world.item_mapping)
    config = config_of("implicit")
    model = AlternatingLeastSquares(
        factors=5, alpha=4.0, regularization=0.1, iterations=6, random_state=config.seed
    )
    model.fit(likes.user_items, show_progress=False)

    ours = implicit_engine.fit_factors(likes, config, ignore_progress)

    users, items = diagonalize(model.user_factors, model.item_factors)
    np.testing.assert_array_equal(ours.users, users)
    np.testing.assert_array_equal(ours.items, items)


def test_irspack_comes_out_as_from_its_own_epochs(world: Dataset) -> None:
    from irspack import IALSRecommender

    config = config_of("irspack")
    model = IALSRecommender(
        world.positive,
        n_components=5,
        alpha0=config.alpha0,
        reg=0.1,
        nu=config.nu,
        random_seed=config.seed,
        train_epochs=6,
        n_threads=1,
    )
    model.learn()

    ours = irspack_engine.fit_factors(world, config, ignore_progress)

    scores = model.get_user_embedding() @ model.get_item_embedding().T
    np.testing.assert_allclose(ours.users @ ours.items.T, scores, atol=1e-5)


def test_each_iteration_is_told_with_loss_seconds_and_memory(
    world: Dataset, engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    told: list[ProgressReport] = []

    ENGINES[engine].fit_factors(world, config_of(engine, track_loss=True), told.append)

    facts = [report.facts for report in told]
    assert [one["iteration"] for one in facts] == [1, 2, 3, 4, 5, 6]
    losses = [one["loss"] for one in facts]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    assert all(one["seconds"] >= 0 and one["memory_mb"] > 10 for one in facts)
    lines = [record.message for record in caplog.records if record.message.startswith("als: iteration")]
    assert len(lines) == 6
    assert all("loss" in line and line.endswith("MB") for line in lines)


def test_the_loss_is_not_worked_out_unasked(world: Dataset, engine: str) -> None:
    told: list[ProgressReport] = []

    ENGINES[engine].fit_factors(world, config_of(engine), told.append)

    assert all("loss" not in report.facts for report in told)


def test_early_stopping_keeps_the_best_and_not_the_last(world: Dataset, engine: str) -> None:
    by_iteration: list[Float32Array] = []
    figures = iter([0.1, 0.3, 0.2, 0.25, 0.9])

    def measure(users: Float32Array, items: Float32Array) -> float:
        by_iteration.append(users @ items.T)
        return next(figures)

    config = config_of(engine, iterations=20, check_every=2, patience=2)
    factors = ENGINES[engine].fit_factors(world, config, ignore_progress, Course(measure=measure))

    assert factors.run.best == 4
    assert len(factors.run.curve) == 8  # two looks after the best one
    assert [point.get("ndcg") for point in factors.run.curve] == [None, 0.1, None, 0.3, None, 0.2, None, 0.25]
    np.testing.assert_allclose(factors.users @ factors.items.T, by_iteration[1], atol=1e-5)


def test_the_last_iteration_is_looked_at_and_without_patience_nothing_stops(
    world: Dataset, engine: str
) -> None:
    config = config_of(engine, iterations=7, check_every=3)

    factors = ENGINES[engine].fit_factors(
        world, config, ignore_progress, Course(measure=lambda users, items: 0.5)
    )

    looks = [point["iteration"] for point in factors.run.curve if "ndcg" in point]
    assert looks == [3, 6, 7]
    assert factors.run.best == 3  # the first of equals


class Rising:
    """A solver whose loss is what it is told, so that the loop can be seen to stop."""

    def __init__(self, losses: list[float]) -> None:
        self._losses = iter(losses)
        self.users = self.items = np.ones((1, 5), np.float32)

    def put(self, users: Float32Array | None, items: Float32Array) -> None: ...

    def step(self, *, hold_items: bool) -> None: ...

    def loss(self) -> float:
        return next(self._losses)

    def not_finite(self, found: str) -> DataError:
        return DataError(found)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([4.0, 3.0, 4.6], "the loss diverges: 4.6 after 3"),
        ([4.0, float("nan")], "the loss of iteration 2 is nan"),
    ],
)
def test_a_loss_that_diverges_is_stopped_by_name(world: Dataset, losses: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        iterate(Rising(losses), world, config_of("implicit", track_loss=True), ignore_progress, Course())


def test_factors_that_overflow_are_stopped_in_the_iteration_where_they_do(
    world: Dataset, engine: str
) -> None:
    huge = Dataset(world.positive * np.float32(1e30), world.user_mapping, world.item_mapping)
    told: list[ProgressReport] = []

    with pytest.raises(DataError, match=r"raise als\.regularization"):
        ENGINES[engine].fit_factors(huge, config_of(engine), told.append)

    assert len(told) < 6


def test_a_gpu_that_is_not_there_is_refused_with_the_mend(world: Dataset) -> None:
    from implicit.gpu import HAS_CUDA

    if HAS_CUDA:
        pytest.skip("this machine has one")

    with pytest.raises(ConfigError, match=r"als\.use_gpu is true but implicit .*set als\.use_gpu to false"):
        implicit_engine.fit_factors(world, config_of("implicit", use_gpu=True, factors=32), ignore_progress)


def test_irspack_on_a_gpu_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"als\.use_gpu.*irspack, which computes on CPUs alone"):
        config_of("irspack", use_gpu=True)
