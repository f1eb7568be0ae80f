"""A fit that is stopped goes on from its last checkpoint, to the same factors bit for bit."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.engines.checkpoints import KEPT_DAYS, Checkpoints, State
from recsys.engines.start import Start
from recsys.progress import ignore_progress
from recsys.recommenders.als import ALSRecommender
from recsys.types import ProgressCallback, ProgressReport


@pytest.fixture(params=["implicit", "irspack"])
def config(request: pytest.FixtureRequest) -> ALSConfig:
    return ALSConfig.default(
        engine=request.param, factors=4, iterations=7, alpha=4.0, regularization=0.1, checkpoint_every=2
    )


def fit(
    world: Dataset,
    config: ALSConfig,
    folder: Path,
    progress: ProgressCallback = ignore_progress,
    start: Start | None = None,
) -> tuple[ALSRecommender, Checkpoints]:
    als, checkpoints = ALSRecommender(config), Checkpoints(folder)
    als.keep_checkpoints(checkpoints)
    if start is not None:
        als.start_from(start)
    als.fit(world, progress)
    return als, checkpoints


def stop_at(iteration: int) -> ProgressCallback:
    """Ctrl-C while this iteration is told."""

    def stop(report: ProgressReport) -> None:
        if report.facts["iteration"] == iteration:
            raise KeyboardInterrupt

    return stop


def iterations_of(als: ALSRecommender) -> list[float]:
    return [point["iteration"] for point in als.learning_curve]


def assert_same(one: ALSRecommender, other: ALSRecommender) -> None:
    """To rounding: irspack adds up in the order in which its threads end."""
    np.testing.assert_allclose(one.item_factors, other.item_factors, atol=1e-5)
    np.testing.assert_allclose(one.user_factors, other.user_factors, atol=1e-5)


def test_a_stopped_fit_goes_on_to_the_factors_of_one_that_was_not(
    world: Dataset, config: ALSConfig, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(world, config, tmp_path, stop_at(5))

    resumed, _ = fit(world, config, tmp_path)

    assert iterations_of(resumed) == [5, 6, 7]  # the last checkpoint was after the fourth
    never_stopped = ALSRecommender(config).fit(world)
    assert_same(resumed, never_stopped)


def test_a_fit_that_was_finished_is_not_done_again_until_the_training_is(
    world: Dataset, config: ALSConfig, tmp_path: Path
) -> None:
    first, _ = fit(world, config, tmp_path / "kept")

    again, checkpoints = fit(world, config, tmp_path / "kept")

    assert again.learning_curve == []
    np.testing.assert_array_equal(again.item_factors, first.item_factors)
    checkpoints.clear()
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("changed", ["data", "config", "start"])
def test_what_another_fit_left_behind_is_not_taken(
    world: Dataset, config: ALSConfig, tmp_path: Path, changed: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(world, config, tmp_path, stop_at(5))
    start = Start(np.ones((world.n_items, 4), np.float32)) if changed == "start" else None
    if changed == "data":
        world = replace(world, user_items=world.user_items * np.float32(2))
    if changed == "config":
        config = replace(config, regularization=0.2)

    als, _ = fit(world, config, tmp_path, start=start)

    assert iterations_of(als) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("damage", ["cut short", "one bit", "empty", "wants a password", "one array"])
def test_a_damaged_checkpoint_is_told_and_the_fit_begins_anew(
    world: Dataset, config: ALSConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(world, config, tmp_path, stop_at(5))
    (path,) = tmp_path.glob("als-*.npz")
    content = bytearray(path.read_bytes())
    middle = content.index(b"users.npy") + 400  # within the numbers
    locked = bytearray(content)
    content[middle] ^= 1
    locked[locked.index(b"PK\x01\x02") + 8] |= 1  # a flag of the archive's first file
    array = BytesIO()
    np.save(array, np.ones(3))
    damaged = {
        "cut short": content[:-300],
        "one bit": content,
        "empty": b"",
        "wants a password": locked,
        "one array": array.getvalue(),
    }
    path.write_bytes(damaged[damage])

    als, _ = fit(world, config, tmp_path)

    assert iterations_of(als) == [1, 2, 3, 4, 5, 6, 7]
    assert "checkpoint damaged, als begins anew" in caplog.text
    assert_same(als, ALSRecommender(config).fit(world))


def test_where_none_can_be_written_the_fit_goes_on_and_says_so(
    world: Dataset, config: ALSConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")

    als, checkpoints = fit(world, config, tmp_path / "file")

    assert als.n_items == world.n_items
    assert "checkpoint not written" in caplog.text
    assert checkpoints.how_to_go_on is None


def test_ctrl_c_while_one_is_written_leaves_the_one_before_alone(
    world: Dataset, config: ALSConfig, tmp_path: Path
) -> None:
    class Stop:
        def __array__(self, *args: object, **kwargs: object) -> np.ndarray:
            raise KeyboardInterrupt

    users, items = np.ones((2, 4), np.float32), np.ones((3, 4), np.float32)
    checkpoint = Checkpoints(tmp_path).of(world, config, None)
    checkpoint.save(State(1, users, items))

    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(State(2, users, items, {"more": Stop()}))  # type: ignore[dict-item]

    assert checkpoint.saved == 1
    assert len(list(tmp_path.iterdir())) == 1
    left = checkpoint.load((users.shape, items.shape))
    assert left is not None
    assert left.iteration == 1


def test_it_says_how_to_go_on(
    world: Dataset, config: ALSConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    _, checkpoints = fit(world, config, tmp_path)
    assert "kept up to iteration 7 in" in (checkpoints.how_to_go_on or "")
    assert "goes on from there" in (checkpoints.how_to_go_on or "")
    fit(world, config, tmp_path)
    assert "als goes on from a checkpoint iteration=7" in caplog.text


def test_it_says_what_would_start_over(world: Dataset, config: ALSConfig, tmp_path: Path) -> None:
    als, checkpoints = fit(world, config, tmp_path)
    for name in (als.name, "two_tower"):
        checkpoints.begin(name)
    assert (checkpoints.how_to_go_on or "").endswith(" goes on from there. two_tower would start over.")

    nothing_kept = Checkpoints(tmp_path)
    nothing_kept.begin("two_tower")
    assert nothing_kept.how_to_go_on == "two_tower would start over."


def test_zero_asks_for_none(world: Dataset, config: ALSConfig, tmp_path: Path) -> None:
    fit(world, replace(config, checkpoint_every=0), tmp_path / "none")

    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["als", "bpr"])
def test_those_of_a_training_nobody_started_again_are_removed(tmp_path: Path, name: str) -> None:
    old, new = tmp_path / f"{name}-old.npz", tmp_path / f"{name}-new.npz"
    for path in (old, new):
        path.write_bytes(b"")
    long_ago = time.time() - (KEPT_DAYS + 1) * 86_400
    os.utime(old, (long_ago, long_ago))

    Checkpoints(tmp_path)

    assert not old.exists()
    assert new.exists()
