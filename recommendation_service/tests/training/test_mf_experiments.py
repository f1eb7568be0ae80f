"""The experiment log of mf: steps that build on each other, words made from figures, a table and pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.datasets.rating_splits import GLOBAL, split_ratings
from recsys.datasets.ratings import Ratings
from recsys.errors import DataError
from recsys.experiments.log import EXPERIMENTS_FILE, append_experiment
from recsys.recommenders.mf import EpochLoss, MFConfig
from recsys.training.mf_experiments import (
    TUNING_STEPS,
    Result,
    Step,
    _parts,
    generate_with_zeros,
    plot_curve,
    plot_steps,
    run_steps,
    scale_steps,
)
from recsys.training.mf_scale import HIGH, LOW, generate_world

SHAPE = (120, 80)
SMALL = {"factors": 3, "epochs": 3, "batch_size": 128, "history": False}


def small_set() -> tuple[Ratings, float]:
    return generate_with_zeros(n_users=SHAPE[0], n_items=SHAPE[1], n_ratings=6_000)


def test_parameters_of_a_step_hold_for_those_after_it_and_zeros_are_dropped_where_it_says() -> None:
    ratings, _ = small_set()
    steps = (
        Step("zeros kept", SMALL, drops_zeros=False),
        Step("dropped", {"factors": 2}),
        Step("some users", {"dropout": 0.5}, sample=500),
    )
    told: list[Result] = []

    results = run_steps(ratings, SHAPE, steps, points_range=(1, 10), told=told.append)

    assert told == results
    assert all(0 < one.longest_epoch_s <= one.seconds for one in results)
    assert [one.config.factors for one in results] == [3, 2, 2]
    assert [one.config.dropout for one in results] == [0.0, 0.0, 0.5]
    n_train = len(ratings) * 4 // 5
    assert abs(results[0].n_ratings - n_train) <= 1
    assert abs(results[1].n_ratings / n_train - (ratings.points > 0).mean()) < 0.02
    assert 500 <= results[2].n_ratings < 650  # the last user's ratings are all there
    assert results[1].validation_loss < 0.7 * results[0].validation_loss  # zeros are noise to both sides


def test_a_sample_holds_whole_users_on_both_sides() -> None:
    ratings, _ = small_set()
    split = split_ratings(ratings, (0.8, 0.2, 0.0), 0, by=GLOBAL)
    step = Step("some users", {}, drops_zeros=False, sample=500)

    train, validation = _parts(split, step, seed=0)

    drawn = np.unique(train.user_index)
    assert 1 < len(drawn) < SHAPE[0] / 2
    assert len(train) == np.isin(split.train.user_index, drawn).sum()
    assert len(validation) == np.isin(split.validation.user_index, drawn).sum() > 0
    everybody, _ = _parts(split, replace(step, sample=10**6), seed=0)
    assert len(everybody) == len(split.train)


def test_the_steps_of_scale_run_on_a_small_set_of_known_truth(tmp_path: Path) -> None:
    world = generate_world(n_users=300, n_items=200, n_ratings=12_000, rank=4, seed=0)
    quick = {"epochs": 2, "batch_size": 256}
    steps = [replace(step, parameters={**step.parameters, **quick}) for step in scale_steps(2_000)]

    results = run_steps(world.ratings, (300, 200), steps, points_range=(LOW, HIGH), held_back=0.1)

    assert [one.config.factors for one in results] == [50, 50, 128, 50]
    assert [one.config.dropout for one in results] == [0.2, 0.2, 0.05, 0.05]
    assert [one.config.weight_decay for one in results] == [1e-4, 1e-4, 1e-5, 1e-5]
    assert 2_000 <= results[0].n_ratings < 3_500
    assert [one.n_ratings for one in results[1:]] == [10_800] * 3
    plot_steps(results, "title", tmp_path / "steps.png")
    assert (tmp_path / "steps.png").read_bytes().startswith(b"\x89PNG")


def test_a_set_of_zeros_alone_is_refused() -> None:
    ratings, _ = small_set()
    zeros = Ratings(ratings.user_index, ratings.item_index, np.zeros_like(ratings.points), None)
    with pytest.raises(DataError, match="no ratings are left; all of them are 0"):
        run_steps(zeros, SHAPE, (Step("dropped", SMALL),), points_range=(1, 10))


def test_a_step_is_a_line_of_the_log(tmp_path: Path) -> None:
    one = Result(
        *(1, "a change", 100, 1.25, 2.5, 1, (EpochLoss(1, 1.25, 2.5),), ""), MFConfig.default(), 1.0, 0.5
    )
    append_experiment(tmp_path, one.record())
    line = json.loads((tmp_path / EXPERIMENTS_FILE).read_text())
    assert (line["change"], line["train_loss"], line["validation_loss"]) == ("a change", 1.25, 2.5)
    assert line["curve"] == [{"epoch": 1, "train": 1.25, "validation": 2.5}]


def test_a_picture_is_a_png_with_or_without_a_validation_part(tmp_path: Path) -> None:
    for held_back in (1.5, None):
        path = tmp_path / "new" / f"{held_back}.png"
        plot_curve([EpochLoss(1, 2.0, held_back), EpochLoss(2, 1.0, held_back)], 2, "title", path)
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_generated_set_is_what_it_says() -> None:
    ratings, least = generate_with_zeros(n_users=500, n_items=400, n_ratings=40_000, zeros=0.6, seed=3)
    given = ratings.points[ratings.points > 0]
    assert abs((ratings.points == 0).mean() - 0.6) < 0.02
    assert (given.min(), given.max()) == (1, 10)
    keys = ratings.user_index.astype(np.int64) * 400 + ratings.item_index
    assert (np.diff(keys) > 0).all()
    assert 1.5 < least < np.var(given)


# Of the eight: factors, epochs, batch, decay, dropout, output, start, whether zeros are dropped.
EIGHT_STEPS = [
    (50, 20, 512, 0.0, 0.0, "linear", "normal", False),
    (50, 20, 512, 1e-5, 0.0, "linear", "normal", False),
    (50, 20, 512, 1e-5, 0.0, "sigmoid", "xavier", False),
    (25, 20, 512, 1e-3, 0.0, "sigmoid", "xavier", False),
    (25, 20, 512, 1e-3, 0.0, "sigmoid", "xavier", True),
    (40, 20, 512, 1e-4, 0.2, "sigmoid", "xavier", True),
    (40, 30, 256, 1e-4, 0.2, "sigmoid", "xavier", True),
    (50, 30, 256, 1e-4, 0.2, "sigmoid", "xavier", True),
]
# Of the four steps at scale: factors, epochs, batch, decay, dropout, users drawn until so many ratings.
FOUR_STEPS = [
    (50, 6, 8192, 1e-4, 0.2, 1000),
    (50, 6, 8192, 1e-4, 0.2, None),
    (128, 6, 8192, 1e-5, 0.05, None),
    (50, 6, 8192, 1e-5, 0.05, None),
]


def configs_of(steps: Sequence[Step]) -> list[MFConfig]:
    parameters: dict[str, object] = {}
    configs = []
    for step in steps:
        parameters.update(step.parameters)
        configs.append(MFConfig.default(**parameters))
    return configs


def test_the_eight_steps_train_with_the_values_of_the_table() -> None:
    configs = configs_of(TUNING_STEPS)
    assert [
        (
            *(config.factors, config.epochs, config.batch_size, config.weight_decay, config.dropout),
            *(config.output, config.start, step.drops_zeros),
        )
        for config, step in zip(configs, TUNING_STEPS, strict=True)
    ] == EIGHT_STEPS
    assert all(step.sample is None for step in TUNING_STEPS)
    assert all(config.bias_decay == config.weight_decay for config in configs)
    assert {(config.learning_rate, config.last_rate, config.decay_power) for config in configs} == {
        (0.005, 1.0, 0.0)
    }
    assert not any(config.history or config.features for config in configs)
    assert all(config.patience > config.epochs for config in configs)  # each trains to its end
    assert [number for number, step in enumerate(TUNING_STEPS, start=1) if step.shown] == [1, 5, 8]


def test_the_four_steps_at_scale_train_with_the_values_of_the_table() -> None:
    steps = scale_steps(1000)
    configs = configs_of(steps)
    assert [
        (
            *(config.factors, config.epochs, config.batch_size, config.weight_decay, config.dropout),
            step.sample,
        )
        for config, step in zip(configs, steps, strict=True)
    ] == FOUR_STEPS
    assert {(config.output, config.start, config.last_rate) for config in configs} == {
        ("sigmoid", "xavier", 0.1)
    }
    assert all(step.drops_zeros and not config.history for step, config in zip(steps, configs, strict=True))
