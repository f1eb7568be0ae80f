"""Recommenders on one split: the best first, the differences paired, every one on record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recsys.cli import main
from recsys.datasets.splits import split_for_training
from recsys.datasets.user_items import Dataset, save_dataset
from recsys.errors import ConfigError, DataError
from recsys.evaluation.bootstrap import paired_difference_interval
from recsys.evaluation.evaluate import evaluate
from recsys.experiments.trials import data_version, read_trials
from recsys.recommenders.table import make_recommender
from recsys.training.comparing import compare

OVERRIDES = {
    "als": {"factors": 6, "iterations": 8, "alpha": 10.0},
    "bpr": {"factors": 4, "epochs": 2, "learning_rate": 0.001},
}


def test_the_winner_is_the_best_by_ndcg_and_the_others_lie_behind_by_their_paired_difference(
    world: Dataset, tmp_path: Path
) -> None:
    split = split_for_training(world, 0.2, seed=0)

    result = compare(["bpr", "als"], split, OVERRIDES, data_version="v", folder=tmp_path)

    alone = {
        name: evaluate(make_recommender(name, **OVERRIDES.get(name, {})).fit(split.train), split, k=10)
        for name in ("als", "bpr", "popularity")
    }
    means = {name: one.metrics["ndcg@10"]["mean"] for name, one in alone.items()}
    assert result.winner == max(means, key=lambda name: means[name]) == "als"
    assert list(result.evaluations) == sorted(means, key=lambda name: -means[name])
    for name in ("bpr", "popularity"):
        expected = paired_difference_interval(
            alone["als"].per_user["ndcg@10"], alone[name].per_user["ndcg@10"], seed=0
        )
        assert result.behind[name] == expected
    report = result.report()
    assert "Winner: als, better than each of the others" in report
    assert f"Protocol: {alone['als'].protocol}" in report
    rows = read_trials(tmp_path)
    assert {(row.model, row.stage, row.data_version) for row in rows} == {
        (name, "compare", "v") for name in alone
    }


def test_a_tie_is_called_one(world: Dataset, tmp_path: Path) -> None:
    split = split_for_training(world, 0.2, seed=0)

    result = compare(
        ["popularity", "als"],
        split,
        {"als": {"factors": 1, "iterations": 1}},
        data_version="v",
        folder=tmp_path,
    )

    low = next(iter(result.behind.values()))["low"]
    assert ("not shown to be better" in result.report()) == (low <= 0)


def test_one_recommender_is_no_comparison(world: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two recommenders or more"):
        compare(["als", "als"], split_for_training(world, 0.2, 0), {}, data_version="v", folder=tmp_path)


def test_the_command_compares_what_was_tuned(
    world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from recsys.experiments.tuned import save_tuned

    monkeypatch.setenv("RECSYS_EXPERIMENTS_DIR", str(tmp_path / "experiments"))
    save_dataset(world, tmp_path / "data")
    entry = {"parameters": OVERRIDES["als"], "chosen_at": "2026"}
    save_tuned(tmp_path / "experiments", "als", "elsewhere", entry)
    command = ["compare", "als", "bpr", "--data", str(tmp_path / "data"), "--tuned"]

    assert main([*command, "--set", "bpr.epochs=2", "bpr.factors=4"]) == 0

    out = capsys.readouterr().out
    assert "als: tuned on other data, version elsewhere, at 2026" in out
    assert "bpr: never tuned, as configured" in out
    assert "Winner: " in out
    rows = {row.model: row for row in read_trials(tmp_path / "experiments")}
    assert rows["als"].parameters["factors"] == 6
    assert rows["bpr"].parameters["epochs"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "als.factors=-1"], "als.factors is -1; it must be a whole number from 1 to 4096"),
        (["--set", "als.colour=red"], "als has no colour; it has engine, factors"),
        (["--set", "alz.factors=3"], "There is no recommender 'alz'; there are popularity, content"),
        (["--set", "two_tower.epochs=3"], "two_tower.epochs would be read by nobody: two_tower is not among"),
        (["--set", "text_start.vectors=words"], "text_start.vectors"),
        (["--set", "factors=3"], "factors=3 names no recommender; write als.factors=3"),
        (["--test-split", "0"], "between 0 and 1"),
        (["--max-users", "0"], "--max-users is 0; it must be a whole number from 1."),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_what_cannot_be_compared_is_one_line_and_nothing_is_fitted(
    world: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setenv("RECSYS_EXPERIMENTS_DIR", str(tmp_path / "experiments"))
    save_dataset(world, tmp_path / "data")

    assert main(["compare", "popularity", "als", "bpr", "--data", str(tmp_path / "data"), *arguments]) == 1

    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert message in told.err
    assert read_trials(tmp_path / "experiments") == []


def test_what_the_dataset_cannot_feed_is_named_before_anything_is_fitted(
    world: Dataset, tmp_path: Path
) -> None:
    split = split_for_training(replace(world, catalogue=None), 0.2, seed=0)

    with pytest.raises(DataError, match=r"content cannot learn from this dataset: .* compare the others"):
        compare(["als", "content"], split, {}, data_version="v", folder=tmp_path)

    assert read_trials(tmp_path) == []


def test_one_that_cannot_be_fitted_is_a_row_with_its_error(world: Dataset, tmp_path: Path) -> None:
    split = split_for_training(world, 0.2, seed=0)
    overrides = {"als": {"factors": 4, "alpha": 5e37, "iterations": 2}}

    with pytest.raises(DataError, match="als found no finite factors"):
        compare(["als", "bpr"], split, overrides, data_version="v", folder=tmp_path)

    row = read_trials(tmp_path)[0]
    assert (row.model, row.status, row.parameters["alpha"]) == ("als", "failed", 5e37)
    assert "als found no finite factors" in row.error
    assert row.protocol == split.strategy


def test_memory_is_looked_at_before_each_fit(
    world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.training.memory.free_bytes", lambda: 50 * 2**20)
    split = split_for_training(world, 0.2, seed=0)

    with pytest.raises(DataError, match=r"als needs about 0\.06 GB .* but 0\.05 GB are free"):
        compare(["popularity", "als"], split, {}, data_version="v", folder=tmp_path)

    (row,) = [row for row in read_trials(tmp_path) if row.status == "failed"]
    assert row.model == "als"


def test_a_part_of_the_data_is_another_version_and_its_protocol_says_so(
    world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECSYS_EXPERIMENTS_DIR", str(tmp_path / "experiments"))
    save_dataset(world, tmp_path / "data")
    command = ["compare", "popularity", "als", "--data", str(tmp_path / "data"), "--set", "als.factors=4"]

    assert main([*command, "--max-users", "50"]) == 0
    part = capsys.readouterr().out
    assert main(command) == 0

    assert part.startswith("A part of the data: 50 of 60 users")
    assert ", of 50 of 60 users and 40 of 40 items" in part.splitlines()[-1]
    versions = {row.data_version for row in read_trials(tmp_path / "experiments")}
    assert len(versions) == 2
    assert data_version(world) in versions


def test_half_a_public_split_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "als", "bpr", "--train", str(tmp_path / "train.txt")]) == 1
    assert "name its --test too" in capsys.readouterr().err
