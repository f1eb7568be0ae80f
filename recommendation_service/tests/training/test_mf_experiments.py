"""The experiment log of mf: steps that build on each other, words made from figures, a table and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recsys.datasets.ratings import Ratings
from recsys.errors import DataError
from recsys.experiments.log import EXPERIMENTS_FILE, append_experiment
from recsys.recommenders.mf import EpochLoss, MFConfig
from recsys.training.mf_experiments import (
    TUNING_STEPS,
    Result,
    Step,
    generate_with_zeros,
    observe,
    plot_curve,
    run_steps,
    scale_steps,
    to_markdown,
)

SHAPE = (120, 80)
SMALL = {"factors": 3, "epochs": 3, "batch_size": 128, "history": False}


def small_set() -> tuple[Ratings, float]:
    return generate_with_zeros(n_users=SHAPE[0], n_items=SHAPE[1], n_ratings=6_000)


def result(train: float, validation: float, *, best_epoch: int, losses: list[float]) -> Result:
    curve = tuple(EpochLoss(n, train, loss) for n, loss in enumerate(losses, start=1))
    return Result(1, "a change", MFConfig.default(), 100, train, validation, best_epoch, curve, 1.0, "")


def test_parameters_of_a_step_hold_for_those_after_it_and_zeros_are_dropped_where_it_says() -> None:
    ratings, _ = small_set()
    steps = (
        Step("zeros kept", SMALL, drops_zeros=False),
        Step("dropped", {"factors": 2}),
        Step("a part", {"dropout": 0.5}, sample=500),
    )
    told: list[Result] = []

    results = run_steps(ratings, SHAPE, steps, points_range=(1, 10), told=told.append)

    assert told == results
    assert [one.config.factors for one in results] == [3, 2, 2]
    assert [one.config.dropout for one in results] == [0.0, 0.0, 0.5]
    n_train = len(ratings) * 4 // 5
    assert abs(results[0].n_ratings - n_train) <= 1
    assert abs(results[1].n_ratings / n_train - (ratings.points > 0).mean()) < 0.02
    assert results[2].n_ratings == 500
    assert results[1].validation_loss < 0.7 * results[0].validation_loss  # zeros are noise to both sides


def test_a_set_of_zeros_alone_is_refused() -> None:
    ratings, _ = small_set()
    zeros = Ratings(ratings.user_index, ratings.item_index, np.zeros_like(ratings.points), None)
    with pytest.raises(DataError, match="no ratings are left; all of them are 0"):
        run_steps(zeros, SHAPE, (Step("dropped", SMALL),), points_range=(1, 10))


def test_an_observation_says_what_the_losses_say() -> None:
    overfits = result(1.0, 2.0, best_epoch=2, losses=[2.5, 2.0, 3.0])
    assert (
        observe(overfits, None)
        == "2.0 times the train loss: it overfits; best in epoch 2, 50% worse by the last"
    )
    falling = result(1.0, 1.1, best_epoch=2, losses=[2.5, 1.1])
    assert observe(falling, overfits) == (
        "validation loss 45% lower; 1.1 times the train loss; still falling in the last epoch"
    )
    assert observe(overfits, overfits).startswith("validation loss as before")


def test_the_log_is_a_table_and_a_line_a_step(tmp_path: Path) -> None:
    one = result(1.25, 2.5, best_epoch=1, losses=[2.5])
    assert to_markdown([one]).splitlines()[2] == "| 1 | a change | 100 | 1.2500 | 2.5000 | 1 of 1 |  |"
    append_experiment(tmp_path, one.record())
    line = json.loads((tmp_path / EXPERIMENTS_FILE).read_text())
    assert (line["change"], line["train_loss"], line["validation_loss"]) == ("a change", 1.25, 2.5)


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


def test_the_steps_are_valid_configurations() -> None:
    for steps in (TUNING_STEPS, scale_steps(1000)):
        parameters: dict[str, object] = {}
        for step in steps:
            parameters.update(step.parameters)
            MFConfig.default(**parameters)
    assert [step.drops_zeros for step in TUNING_STEPS] == [False] * 4 + [True] * 4
    assert [step.shown for step in TUNING_STEPS].count(True) == 3
