"""Grid search: chosen on validation, tested once, every trial on record."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.cli import main
from recsys.datasets.id_map import IdMap
from recsys.datasets.splits import split_for_training
from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.evaluation.evaluate import evaluate
from recsys.recommenders.table import make_recommender
from recsys.training.tuning.grid import TuningResult, grid_search
from recsys.types import ProgressReport

GRID = {"factors": [2, 8], "regularization": [0.01, 100.0]}


def taste_world(n_users: int = 60, n_items: int = 40, *, with_times: bool = True) -> Dataset:
    """Users of even number like items of even number, the others the others."""
    rng = np.random.default_rng(8)
    same_taste = (np.arange(n_users)[:, np.newaxis] + np.arange(n_items)) % 2 == 0
    user_items = csr_matrix((same_taste & (rng.random((n_users, n_items)) < 0.6)).astype(np.float32))
    times = user_items.astype(np.float64)
    times.data = rng.permutation(user_items.nnz) + 1.0
    return Dataset(
        user_items,
        IdMap(f"u{user}" for user in range(n_users)),
        IdMap(f"i{item}" for item in range(n_items)),
        last_event_at=times if with_times else None,
    )


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[TuningResult, Path]:
    csv_path = tmp_path_factory.mktemp("tuning") / "logs" / "als_grid.csv"
    return search(taste_world(), GRID, csv_path, metric="precision@5"), csv_path


def search(dataset: Dataset, grid: dict[str, list[object]], output: Path, **options: Any) -> TuningResult:
    """A search with the last fifth of the dataset as the test."""
    split = split_for_training(dataset, 0.2, seed=options.get("seed", 0))
    return grid_search(split.train, "als", grid, output=output, test=split, **options)


def test_every_combination_is_tried_and_the_best_by_precision_comes_first(
    tuned: tuple[TuningResult, Path],
) -> None:
    result, _ = tuned

    tried = {tuple(trial.parameters.values()) for trial in result.trials}
    assert tried == set(itertools.product(*GRID.values()))
    precisions = [trial.metrics["precision@5"]["mean"] for trial in result.trials]
    assert precisions == sorted(precisions, reverse=True)
    assert precisions[0] > precisions[-1]
    assert result.best is result.trials[0]


def test_trials_are_measured_on_validation_and_the_chosen_one_tested_on_what_no_trial_saw(
    tuned: tuple[TuningResult, Path],
) -> None:
    result, _ = tuned
    split = split_for_training(taste_world(), 0.2, seed=0)
    validation = split_for_training(split.train, 0.2, seed=0)

    on_validation = make_recommender("als", **result.best.parameters).fit(validation.train)
    expected = evaluate(on_validation, validation, k=5)
    assert result.best.metrics == expected.metrics
    assert result.best.protocol == expected.protocol
    on_test = make_recommender("als", **result.best.parameters).fit(split.train)
    assert result.test is not None
    assert result.baseline is not None
    assert result.test.to_json() == evaluate(on_test, split, k=5).to_json()
    assert result.baseline.recommender == "popularity"
    assert result.test.protocol != result.best.protocol
    assert np.array_equal(result.test.user_indices, result.baseline.user_indices)


def test_the_csv_has_a_row_a_trial_in_the_order_tried(tuned: tuple[TuningResult, Path]) -> None:
    result, csv_path = tuned
    with csv_path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert [(row["factors"], row["regularization"]) for row in rows] == [
        ("2", "0.01"),
        ("2", "100.0"),
        ("8", "0.01"),
        ("8", "100.0"),
    ]
    best = next(row for row in rows if float(row["factors"]) == result.best.parameters["factors"])
    assert best["protocol"] == result.best.protocol
    by_parameters = {
        (str(t.parameters["factors"]), str(t.parameters["regularization"])): t for t in result.trials
    }
    for row in rows:
        trial = by_parameters[row["factors"], row["regularization"]]
        assert float(row["ndcg@5"]) == pytest.approx(trial.metrics["ndcg@5"]["mean"], abs=1e-6)


def test_the_report_shows_trials_choice_and_test_with_their_protocols(
    tuned: tuple[TuningResult, Path],
) -> None:
    result, _ = tuned
    lines = result.report().splitlines()

    assert lines[0].split()[:3] == ["factors", "regularization", "precision@5"]
    assert lines[1].split()[:2] == [str(value) for value in result.best.parameters.values()]
    assert f"validation: {result.best.protocol}" in lines
    assert f"best ndcg@5: {result.best_by('ndcg@5').describe()}" in lines
    tested = lines[lines.index(next(line for line in lines if line.startswith("chosen on validation"))) :]
    figures = tested[: next(n for n, line in enumerate(tested) if line.startswith("Protocol"))]
    assert [line.split()[0] for line in figures if line.startswith(("als ", "popularity "))][:2] == [
        "popularity",
        "als",
    ]
    assert result.baseline is not None
    assert f"Protocol: {result.baseline.protocol}" in tested


def test_the_best_of_a_metric_is_its_highest_mean(tuned: tuple[TuningResult, Path]) -> None:
    result, _ = tuned
    means = [trial.metrics["map@5"]["mean"] for trial in result.trials]
    assert result.best_by("map@5").metrics["map@5"]["mean"] == max(means)


def test_it_chooses_by_the_metric_asked_for(tmp_path: Path) -> None:
    grid = {"factors": [2, 8], "regularization": [0.01, 3.0, 100.0]}

    result = search(taste_world(), grid, tmp_path / "grid.csv", metric="ndcg@3")

    means = [trial.metrics["ndcg@3"]["mean"] for trial in result.trials]
    assert means == sorted(means, reverse=True)
    assert means[0] > means[-1]


def test_without_a_test_set_the_choice_is_reported_and_nothing_tested(tmp_path: Path) -> None:
    stages: list[str] = []

    result = grid_search(
        taste_world(),
        "als",
        {"factors": [2, 4]},
        output=tmp_path / "grid.csv",
        progress=lambda report: stages.append(report.stage),
    )

    assert result.test is None
    assert "testing the best" not in stages
    assert result.report().splitlines()[-1] == f"chosen on validation: {result.best.describe()}"


@pytest.mark.parametrize("metric", ["ndcg", "ndcg@", "ndcg@0", "ndcg@-1", "speed@10", "", "@10"])
def test_a_metric_that_is_not_one_is_refused(tmp_path: Path, metric: str) -> None:
    with pytest.raises(ConfigError, match=r"such as ndcg@20|whole number from 1"):
        grid_search(taste_world(), "als", GRID, output=tmp_path / "grid.csv", metric=metric)
    assert not (tmp_path / "grid.csv").exists()


def test_a_table_that_cannot_be_written_is_named(
    tmp_path: Path, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    with full_disk(), pytest.raises(ArtifactError, match=r"grid\.csv cannot be written .*--output"):
        search(taste_world(), GRID, tmp_path / "grid.csv")
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match=r"file/grid\.csv cannot be written"):
        search(taste_world(), GRID, tmp_path / "file" / "grid.csv")


def test_progress_names_each_trial_and_ends_at_the_whole(tmp_path: Path) -> None:
    reports: list[ProgressReport] = []
    search(taste_world(), GRID, tmp_path / "grid.csv", progress=reports.append)

    stages = list(dict.fromkeys(report.stage for report in reports))
    assert stages[0] == "trying factors=2 regularization=0.01"
    assert stages[-1] == "testing the best"
    assert len(stages) == 5
    assert reports[-1].fraction == 1.0


def test_without_times_the_parts_are_drawn_at_random(tmp_path: Path) -> None:
    dataset = taste_world(with_times=False)
    result = search(dataset, {"factors": [4]}, tmp_path / "grid.csv", seed=3)

    assert "at random (seed 3)" in result.best.protocol
    assert result.test is not None
    assert "at random (seed 3)" in result.test.protocol


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({}, "grid for als is empty"),
        ({"factors": []}, "grid's factors is"),
        ({"factors": 64}, "grid's factors is 64"),
        ({"factors": "64"}, "grid's factors is '64'"),
        ({"factors": [8], "colour": ["red"]}, "als has no colour"),
        ({"factors": [8, -1]}, "als.factors is -1"),
    ],
)
def test_a_grid_that_cannot_work_is_refused_before_anything_is_trained(
    tmp_path: Path, grid: dict[str, list[object]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        grid_search(taste_world(), "als", grid, output=tmp_path / "grid.csv")
    assert not (tmp_path / "grid.csv").exists()


def test_a_trial_that_fails_is_a_row_with_its_error_and_the_others_go_on(tmp_path: Path) -> None:
    """The first one: a header without its figures would not hold those of the others."""
    grid: dict[str, list[object]] = {"alpha": [1e38, 10.0], "factors": [4]}

    result = grid_search(taste_world(), "als", grid, output=tmp_path / "grid.csv")

    assert [trial.parameters["alpha"] for trial in result.trials] == [10.0]
    assert "failed: alpha=1e+38 factors=4: als found no finite factors" in result.report()
    with (tmp_path / "grid.csv").open(newline="", encoding="utf-8") as file:
        failed, measured = csv.DictReader(file)
    assert failed["error"] == result.failed[0].error
    assert (failed["precision@10"], measured["error"]) == ("", "")
    assert float(measured["precision@10"]) == pytest.approx(
        result.best.metrics["precision@10"]["mean"], abs=1e-6
    )


def test_where_every_trial_fails_the_first_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"All 2 trials of als failed, the first \(alpha=1e\+38\) so: "):
        grid_search(taste_world(), "als", {"alpha": [1e38, 9e37]}, output=tmp_path / "grid.csv")


def test_a_trial_that_does_not_fit_into_memory_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.training.memory.free_bytes", lambda: 100 * 2**20)
    grid: dict[str, list[object]] = {"factors": [2], "engine": ["implicit", "irspack"], "iterations": [2]}

    result = grid_search(taste_world(), "als", grid, output=tmp_path / "grid.csv")

    assert result.best.parameters["engine"] == "implicit"
    assert "als needs about 0.1" in result.failed[0].error
    assert "--max-users" in result.failed[0].error


def test_a_dataset_too_small_to_split_twice_is_refused(tmp_path: Path) -> None:
    ids = IdMap("ab")
    tiny = Dataset(csr_matrix(np.array([[1, 0], [0, 1]], np.float32)), ids, ids)
    with pytest.raises(DataError, match="positive cells to learn from"):
        grid_search(tiny, "als", {"factors": [2]}, output=tmp_path / "grid.csv")


def write_lists(path: Path, user_items: csr_matrix) -> Path:
    """A file of a public split: a user and the items of one row a line."""
    rows = (user_items[user].indices for user in range(user_items.shape[0]))
    lines = (" ".join(map(str, (user, *items))) for user, items in enumerate(rows) if len(items))
    path.write_text("\n".join(lines))
    return path


def test_the_command_searches_a_public_split_and_tests_only_where_a_test_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = split_for_training(taste_world(with_times=False), 0.2, seed=0)
    train = write_lists(tmp_path / "train.txt", split.train.user_items)
    test = write_lists(tmp_path / "test.txt", split.test)
    command = ["tune", "als", "--train", str(train), "--validation-split", "0.1", "--metric", "ndcg@5"]
    command += ["--grid", "engine=irspack", "factors=2,4", "--output", str(tmp_path / "grid.csv")]

    assert main(command) == 0
    untested = capsys.readouterr().out
    assert main([*command, "--test", str(test)]) == 0
    tested = capsys.readouterr().out

    assert "10% of the positive cells at random" in untested
    assert "Protocol" not in untested
    assert "Protocol: public split train.txt / test.txt" in tested
    assert tested.splitlines()[1].split()[:2] == untested.splitlines()[1].split()[:2]
    assert main([*command, "--validation-popularity", "0.5"]) == 0
    assert "10% of the positive cells at random, by popularity ^ 0.5 (seed 0)" in capsys.readouterr().out


def test_the_command_refuses_a_test_file_without_its_train_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", "als", "--test", str(tmp_path / "test.txt")]) == 1
    assert "name its --train too" in capsys.readouterr().err
