"""Recommenders on one split: the best first, the differences paired, every one on record."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.cli import main
from recsys.datasets.splits import split_for_training
from recsys.datasets.user_items import Dataset, save_dataset
from recsys.errors import ConfigError
from recsys.evaluation.bootstrap import paired_difference_interval
from recsys.evaluation.evaluate import evaluate
from recsys.experiments.trials import read_trials
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


def test_half_a_public_split_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "als", "bpr", "--train", str(tmp_path / "train.txt")]) == 1
    assert "name its --test too" in capsys.readouterr().err
