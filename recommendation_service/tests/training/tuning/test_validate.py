"""The last stage: train and validation part together, the test part once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recsys.datasets.splits import Split, split_for_training
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError
from recsys.evaluation.evaluate import evaluate
from recsys.experiments.trials import read_trials
from recsys.experiments.tuned import read_tuned
from recsys.recommenders.table import make_recommender
from recsys.training.tuning.study import Study
from recsys.training.tuning.validate import validate

GRID = {"factors": [4], "iterations": [4]}


@pytest.fixture
def test_split(tastes: Dataset) -> Split:
    return split_for_training(tastes, 0.2, seed=0)


def test_the_choice_is_fitted_on_all_but_the_test_part_and_saved_with_its_figures(
    open_study: Callable[..., Study], test_split: Split, tmp_path: Path
) -> None:
    study = open_study(train=test_split.train)
    choice = study.coarse(GRID).choice

    result = validate(study, lambda: test_split)

    expected = evaluate(
        make_recommender("als", **choice.chosen.parameters).fit(test_split.train), test_split, k=10
    )
    assert result.test.to_json() == expected.to_json()
    assert result.baseline.recommender == "popularity"
    row = read_trials(tmp_path)[-1]
    assert (row.stage, row.protocol) == ("validate", expected.protocol)
    assert row.ndcg == pytest.approx(expected.metrics["ndcg@10"]["mean"], abs=1e-6)
    entry = read_tuned(tmp_path)["als"][study.data_version]
    assert entry["parameters"] == choice.chosen.parameters
    assert entry["test"]["metrics"]["ndcg@10"] == expected.metrics["ndcg@10"]
    assert entry["test"]["read_before"] == 0
    assert entry["validation"]["protocol"] == study.protocol
    report = result.report()
    assert f"Protocol: {result.baseline.protocol}" in report
    assert "above popularity: +" in report
    assert "read" not in report.split("saved to")[0]


def test_a_second_look_at_the_test_part_is_refused_unless_asked_for_and_then_told(
    open_study: Callable[..., Study], test_split: Split, tmp_path: Path
) -> None:
    study = open_study(train=test_split.train)
    study.coarse(GRID)
    validate(study, lambda: test_split)

    def nobody_reads() -> Split:
        raise AssertionError

    with pytest.raises(ConfigError, match=r"was read for als before, at .*: NDCG@10 0\.\d+.*--again"):
        validate(study, nobody_reads)
    again = validate(study, lambda: test_split, again=True)

    assert "The test part was read 1 time(s) before" in again.report()
    assert read_tuned(tmp_path)["als"][study.data_version]["test"]["read_before"] == 1


def test_nothing_is_read_where_nothing_was_chosen(open_study: Callable[..., Study]) -> None:
    with pytest.raises(ConfigError, match="run recsys tune als --stage coarse"):
        validate(open_study(), lambda: pytest.fail("read"))


def test_what_is_stopped_early_is_fitted_for_the_epochs_that_were_best(
    open_study: Callable[..., Study], test_split: Split
) -> None:
    study = open_study("bpr", train=test_split.train)
    choice = study.coarse({"factors": [4], "epochs": [6], "check_every": [2]}).choice

    result = validate(study, lambda: test_split)

    epochs = [row.best_epoch for row in choice.chosen.rows]
    assert result.parameters["epochs"] == round(sum(epochs) / 3)
