"""The coarse stage: every combination a row, none twice, the best of each size over three seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from recsys.datasets.splits import split_for_training
from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.evaluation.evaluate import evaluate
from recsys.experiments.trials import DIED, TRIALS_FILE, TrialRow, append_trial, read_trials
from recsys.recommenders.table import make_recommender
from recsys.training.tuning.study import Study
from recsys.types import ProgressReport

GRID = {"factors": [2, 8], "regularization": [0.01, 100.0], "iterations": [4]}
SEED = make_recommender("als").config.seed  # type: ignore[attr-defined]


def test_every_combination_is_a_row_and_the_best_of_each_size_has_three_seeds(
    open_study: Callable[..., Study], tastes: Dataset, tmp_path: Path
) -> None:
    reports: list[ProgressReport] = []
    study = open_study(progress=reports.append)

    result = study.coarse(GRID)

    rows = read_trials(tmp_path)
    first = [(r.parameters["factors"], r.parameters["regularization"]) for r in rows if r.seed == SEED]
    assert first == [(2, 0.01), (2, 100.0), (8, 0.01), (8, 100.0)]
    assert {row.stage for row in rows} == {"coarse"}
    assert all(row.status == "done" and row.seconds > 0 for row in rows)
    finalists = {row.parameters["factors"] for row in rows if row.seed != SEED}
    assert {row.seed for row in rows} == {SEED, SEED + 1, SEED + 2}
    assert result.choice.best.size in finalists
    assert all(len(candidate.rows) == 3 for candidate in result.choice.candidates)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert (reports[-1].stage, fractions[-1]) == ("coarse: done", 1.0)
    first_told = [report.stage for report in reports[:4]]
    assert sorted(first_told) == [
        f"coarse: try {n} of 4, factors={factors} regularization={regularization:g} seed={SEED}"
        for n, (factors, regularization) in enumerate(first, start=1)
    ]

    validation = split_for_training(tastes, 0.2, seed=0)
    expected = evaluate(make_recommender("als", **rows[0].parameters).fit(validation.train), validation, k=10)
    assert rows[0].ndcg == pytest.approx(expected.metrics["ndcg@10"]["mean"], abs=1e-6)
    assert rows[0].recall == pytest.approx(expected.metrics["recall@10"]["mean"], abs=1e-6)
    assert rows[0].protocol == f"{validation.strategy}; every unseen item ranked; k=10"


def test_what_the_log_holds_is_not_tried_again(open_study: Callable[..., Study], tmp_path: Path) -> None:
    whole = open_study().coarse(GRID)
    log = (tmp_path / TRIALS_FILE).read_text()

    again = open_study().coarse(GRID)

    assert (again.n_new, again.n_known) == (0, 4)
    assert (tmp_path / TRIALS_FILE).read_text() == log
    assert again.choice == whole.choice


def test_a_search_killed_on_its_way_goes_on_where_it_was(
    open_study: Callable[..., Study], tmp_path: Path
) -> None:
    def stop_at_the_third(report: ProgressReport) -> None:
        if "try 3 of" in report.stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_study(progress=stop_at_the_third).coarse(GRID)
    assert len(read_trials(tmp_path)) == 2

    result = open_study().coarse(GRID)

    rows = read_trials(tmp_path)
    assert len({row.key for row in rows}) == len(rows)
    assert result.n_known == 2
    assert len([row for row in rows if row.seed == SEED]) == 4


@pytest.mark.parametrize(
    "other", [{"data_version": "another"}, {"validation_split": 0.3}, {"held_back": "a test part"}]
)
def test_tries_on_other_data_or_by_another_protocol_count_for_nothing(
    open_study: Callable[..., Study], other: dict[str, object]
) -> None:
    grid = {"factors": [2], "iterations": [2]}
    open_study().coarse(grid)

    assert open_study(**other).coarse(grid).n_new == 3


def test_a_try_whose_process_died_is_made_again(open_study: Callable[..., Study], tmp_path: Path) -> None:
    grid = {"factors": [2], "iterations": [2]}
    open_study().coarse(grid)
    rows = read_trials(tmp_path)
    (tmp_path / TRIALS_FILE).unlink()
    append_trial(tmp_path, replace(rows[0], status=DIED, ndcg=None, recall=None))

    assert open_study().coarse(grid).n_new == 3


def test_a_try_that_fails_is_a_row_with_its_error_and_the_others_go_on(
    open_study: Callable[..., Study], tmp_path: Path
) -> None:
    grid = {"factors": [4], "alpha": [10.0, -1.0, 1e38], "iterations": [3]}

    result = open_study().coarse(grid)

    errors = {row.parameters["alpha"]: row.error for row in read_trials(tmp_path) if row.status == "failed"}
    assert "als.alpha is -1.0; it must be above zero" in errors[-1.0]
    assert "als found no finite factors" in errors[1e38]
    assert result.choice.chosen.parameters["alpha"] == 10.0


def test_where_every_try_fails_the_first_reason_is_told(open_study: Callable[..., Study]) -> None:
    with pytest.raises(DataError, match=r"All 2 tries of als in the stage coarse failed.*factors is -1"):
        open_study().coarse({"factors": [-1, 0]})


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({}, "grid of als is empty"),
        ({"factors": 64}, "has factors: 64; it must be a list"),
        ({"factors": []}, "has factors: \\[\\]"),
        ({"colour": ["red"]}, "als has no colour to search by; it has engine, factors"),
        ({"seed": [1, 2]}, "als has no seed to search by"),
    ],
)
def test_a_grid_that_is_none_is_refused_before_anything_is_tried(
    open_study: Callable[..., Study], tmp_path: Path, grid: dict[str, list[object]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_study().coarse(grid)
    assert not (tmp_path / TRIALS_FILE).exists()


def test_a_log_that_cannot_be_written_is_refused_before_anything_is_tried(
    open_study: Callable[..., Study],
) -> None:
    study = open_study(folder=Path("/proc/none"), progress=lambda report: pytest.fail("tried"))

    with pytest.raises(ArtifactError, match=r"/proc/none/cf_experiments.csv cannot be written .*RECSYS_EXP"):
        study.coarse(GRID)


def test_tries_side_by_side_come_to_the_same(open_study: Callable[..., Study], tmp_path: Path) -> None:
    def figures(rows: list[TrialRow]) -> dict[object, float | None]:
        return {row.key: row.ndcg for row in rows}

    open_study(folder=tmp_path / "one").coarse(GRID)
    open_study(folder=tmp_path / "two", jobs=2).coarse(GRID)

    assert figures(read_trials(tmp_path / "one")) == figures(read_trials(tmp_path / "two"))


def test_a_recommender_that_learns_by_epochs_keeps_its_best_one_and_its_curve(
    open_study: Callable[..., Study], tmp_path: Path
) -> None:
    grid = {"factors": [4], "epochs": [10], "check_every": [2], "learning_rate": [0.05]}

    open_study("bpr").coarse(grid)

    for row in read_trials(tmp_path):
        assert row.best_epoch in dict(row.curve)
        assert [epoch for epoch, _ in row.curve] == list(range(2, 2 * len(row.curve) + 1, 2))
