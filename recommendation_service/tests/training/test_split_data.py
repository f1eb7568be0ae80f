"""Processed data in the commands: its own split, its own version, and nothing that would part it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.cli import main
from recsys.datasets.opening import open_processed
from recsys.datasets.processed import ProcessedData, save_processed, version_of
from recsys.datasets.processing import ProcessingConfig, process_dataset
from recsys.datasets.user_items import Dataset, save_dataset
from recsys.evaluation.evaluate import evaluate
from recsys.experiments.trials import read_trials
from recsys.experiments.tuned import read_tuned
from recsys.recommenders.table import make_recommender

SMALL = {"factors": 4, "iterations": 3, "alpha": 10.0, "regularization": 0.1}
AS_FLAGS = [f"als.{name}={value}" for name, value in SMALL.items()]
GRID = ["--grid", "factors=2,4", "alpha=10", "regularization=0.1", "iterations=3", "--jobs", "1"]


@pytest.fixture
def processed(world: Dataset, tmp_path: Path) -> ProcessedData:
    """A version of the world with cold users; a random or later split of it would hold out other cells."""
    return save(world, tmp_path / "processed")


def save(world: Dataset, folder: Path, **options: object) -> ProcessedData:
    config = ProcessingConfig.default(**{"min_user_interactions": 6, "test_split": 0.3, **options})
    save_processed(process_dataset(world, config), folder, version_of(world, config, None), facts={})
    return open_processed(folder)


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("experiments", "models", "logs"):
        monkeypatch.setenv(f"RECSYS_{name.upper()}_DIR", str(tmp_path / name))
    return tmp_path / "experiments"


def measured(processed: ProcessedData, **parameters: object) -> dict[str, Any]:
    als = make_recommender("als", **parameters).fit(processed.split.train)
    evaluation = evaluate(als, processed.split, k=10)
    return {"mean": evaluation.metrics["ndcg@10"]["mean"], "protocol": evaluation.protocol}


def manifest(tmp_path: Path) -> dict[str, Any]:
    return dict(json.loads((tmp_path / "models" / "current" / "manifest.json").read_text()))


def test_compare_is_on_what_the_version_holds_out_and_logs_the_version(
    processed: ProcessedData, experiments: Path, tmp_path: Path
) -> None:
    assert len(processed.cold.user_mapping) > 0
    assert (np.diff(processed.split.train.user_items.indptr) >= 6).all()
    for data in (tmp_path / "processed", tmp_path / "processed" / processed.version):
        assert main(["compare", "popularity", "als", "--data", str(data), "--set", *AS_FLAGS]) == 0

    rows = [row for row in read_trials(experiments) if row.model == "als"]
    expected = measured(processed, **SMALL)
    assert len(rows) == 2
    for row in rows:
        assert (row.data_version, row.protocol) == (processed.version, expected["protocol"])
        assert row.ndcg == pytest.approx(expected["mean"], abs=1e-6)
        assert row.protocol.startswith(processed.strategy)


def test_what_was_tuned_on_a_version_is_found_by_a_training_on_it_and_the_release_names_it(
    processed: ProcessedData, experiments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(tmp_path / "processed")]
    assert main(["tune", "als", "--stage", "coarse", *GRID, *data]) == 0
    assert main(["tune", "als", "--stage", "validate", *data]) == 0
    entry = read_tuned(experiments)["als"][processed.version]
    expected = measured(processed, **entry["parameters"])
    assert entry["test"]["metrics"]["ndcg@10"]["mean"] == pytest.approx(expected["mean"], abs=1e-9)
    assert {row.data_version for row in read_trials(experiments)} == {processed.version}
    capsys.readouterr()

    assert main(["train", "--recommenders", "als", "--tuned", *data]) == 0

    told = manifest(tmp_path)
    assert told["dataset"]["processed"] == processed.version
    als = told["recommenders"]["als"]
    assert als["facts"]["chosen"]["tuned_on"] == processed.version
    assert als["facts"]["chosen"]["is_same_data"]
    assert "tuned on other data" not in capsys.readouterr().out
    assert als["metrics"]["metrics"]["ndcg@10"]["mean"] == pytest.approx(expected["mean"], abs=1e-9)
    lines = [json.loads(line) for line in (tmp_path / "logs" / "experiments.jsonl").read_text().splitlines()]
    assert {line["dataset"] for line in lines} == {processed.version}


def test_a_training_measures_on_the_own_split_and_publishes_from_every_cell(
    processed: ProcessedData, experiments: Path, tmp_path: Path
) -> None:
    data = ["--data", str(tmp_path / "processed")]
    assert main(["train", "--recommenders", "als", "--set", *AS_FLAGS, *data]) == 0

    figures = manifest(tmp_path)["recommenders"]["als"]["metrics"]
    expected = measured(processed, **SMALL)
    assert figures["metrics"]["ndcg@10"]["mean"] == pytest.approx(expected["mean"], abs=1e-9)
    assert figures["protocol"].startswith(processed.strategy)
    cells = np.load(tmp_path / "models" / "current" / "history_items.npy")
    assert len(cells) == processed.dataset.user_items.nnz > processed.split.train.user_items.nnz


@pytest.mark.parametrize("command", [["tune", "als"], ["compare", "als", "bpr"], ["train"]])
@pytest.mark.parametrize("flag", ["--test-split=0.2", "--max-users=50", "--max-items=30"])
def test_what_would_part_it_again_is_refused_with_the_mend(
    processed: ProcessedData,
    experiments: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    flag: str,
) -> None:
    assert main([*command, "--data", str(tmp_path / "processed"), flag]) == 1

    told = capsys.readouterr()
    name, value = flag.split("=")
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert f"{name} does not go with processed data" in told.err
    assert f"make another version: recsys process {name} {value}." in told.err
    assert not experiments.exists()


def test_a_version_that_holds_nothing_out_is_trained_on_without_figures_and_not_compared(
    world: Dataset, experiments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(world, tmp_path / "whole", test_split=0.0)
    data = ["--data", str(tmp_path / "whole")]

    for command in (["compare", "popularity", "als"], ["tune", "als", "--stage", "coarse"]):
        assert main([*command, *data]) == 1
        assert "holds nothing out; process the data with a --test-split above 0" in capsys.readouterr().err
    assert main(["train", "--recommenders", "als", "--set", *AS_FLAGS, *data]) == 0
    assert "Note: Nothing was measured: the test split is 0." in capsys.readouterr().out
    assert manifest(tmp_path)["recommenders"]["als"]["metrics"] == {}


def test_a_version_that_is_not_there_names_those_that_are(
    processed: ProcessedData, experiments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "als", "bpr", "--data", str(tmp_path / "processed" / "none")]) == 1
    assert f"no data version 'none'; it has {processed.version}" in capsys.readouterr().err


def test_other_data_is_split_as_before(
    world: Dataset, experiments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_dataset(world, tmp_path / "data")
    command = ["compare", "popularity", "als", "--data", str(tmp_path / "data"), "--set", *AS_FLAGS]

    assert main(command) == 0
    as_configured = capsys.readouterr().out.splitlines()[-1]
    assert main([*command, "--test-split", "0.5"]) == 0

    assert "20% of the positive cells later" in as_configured
    assert "50% of the positive cells later" in capsys.readouterr().out.splitlines()[-1]
