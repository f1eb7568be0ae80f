"""Tuning a rating pipeline: the smallest near the best, found on validation, tested once, then loaded."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.artifacts.rating_artifact import load_rating_artifact
from recsys.datasets.ratings import RatingBatch, save_ratings
from recsys.errors import ConfigError, DataError
from recsys.evaluation.rating_evaluation import evaluate_ratings
from recsys.experiments.log import EXPERIMENTS_FILE
from recsys.recommenders.svd import SVDConfig, SVDRecommender
from recsys.training.rating_data import Category, SplitOptions, hash_features, load_category
from recsys.training.rating_training import LOADED, TRAINED, RatingPlan, train_category
from recsys.training.rating_tuning import (
    Choice,
    RatingTrial,
    Tuning,
    best_by,
    choice_of,
    choose,
    tune_category,
)

GRID: dict[str, list[object]] = {"factors": [2, 4, 8]}
CHOICE = Choice("ndcg@10", 0.02)


def write_tastes(folder: Path, n_users: int = 60, n_items: int = 40, seed: int = 0) -> Category:
    """Users of two tastes rate what is theirs high and the rest low."""
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < 0.4)
    own = users % 2 == items % 2
    points = np.where(own, rng.integers(4, 6, len(users)), rng.integers(1, 4, len(users)))
    batch = RatingBatch([f"u{u}" for u in users], [f"i{i}" for i in items], points.astype(np.float32))
    save_ratings([batch], folder)
    return Category(folder.name, folder)


def plan_for(tmp_path: Path, **changes: object) -> RatingPlan:
    return RatingPlan("svd", tmp_path / "out", tmp_path / "logs", **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuning, Path, Category]:
    folder = tmp_path_factory.mktemp("tuning")
    category = write_tastes(folder / "films")
    return tune_category(category, plan_for(folder), GRID, CHOICE), folder, category


def trial(factors: int, **figures: float) -> RatingTrial:
    return RatingTrial({"factors": factors}, {name.replace("_", "@"): v for name, v in figures.items()}, 0, 0)


def test_the_smallest_within_the_tolerance_wins() -> None:
    trials = [
        trial(50, ndcg_10=0.300),
        trial(10, ndcg_10=0.290),
        trial(20, ndcg_10=0.295),
        trial(30, ndcg_10=0.299),
    ]
    assert choose(trials, Choice("ndcg@10", 0.02)).parameters["factors"] == 20  # 0.294 and above
    assert choose(trials, Choice("ndcg@10", 0.05)).parameters["factors"] == 10
    assert choose(trials, Choice("ndcg@10", 0.0)).parameters["factors"] == 50
    assert best_by(trials, "ndcg@10").parameters["factors"] == 50


def test_a_lower_error_is_better() -> None:
    trials = [trial(10, rmse=0.95), trial(20, rmse=0.93), trial(30, rmse=0.92)]
    assert choose(trials, Choice("rmse", 0.0)).parameters["factors"] == 30
    assert choose(trials, Choice("rmse", 0.02)).parameters["factors"] == 20
    assert choice_of("svd") == CHOICE
    assert choice_of("mf").metric == "rmse"


def test_a_metric_that_was_not_measured_cannot_choose() -> None:
    with pytest.raises(DataError, match="no user has a liked item in the validation part"):
        choose([trial(10, rmse=1.0)], CHOICE)


@pytest.mark.parametrize(("metric", "tolerance"), [("ndcg@7", 0.02), ("rmse", -0.1), ("rmse", 1.0)])
def test_a_choice_that_cannot_be_made_is_refused(metric: str, tolerance: float) -> None:
    with pytest.raises(ConfigError):
        Choice(metric, tolerance)


def test_trials_are_measured_on_validation_and_the_choice_on_what_none_saw(
    tuned: tuple[Tuning, Path, Category],
) -> None:
    tuning, _, category = tuned
    data = load_category(category, SplitOptions())
    assert tuning.chosen is not None
    factors = tuning.chosen.parameters["factors"]

    on_validation = SVDRecommender(SVDConfig.default(factors=factors)).fit(
        data.data_of(data.split.train, SVDRecommender())
    )
    expected = evaluate_ratings(on_validation, data.split.validation, train=data.split.train, relevant_at=4.0)
    assert dict(tuning.chosen.figures) == expected.figures()
    learned = data.learned_from(SVDRecommender)
    retrained = SVDRecommender(SVDConfig.default(factors=factors)).fit(
        data.data_of(learned, SVDRecommender())
    )
    tested = evaluate_ratings(retrained, data.split.test, train=learned, relevant_at=4.0)
    assert dict(tuning.result.figures) == tested.figures()
    assert [t.parameters["factors"] for t in tuning.trials] == [2, 4, 8]
    assert tuning.protocol.startswith("validation part of each user's ratings")


def test_what_was_tried_chosen_and_kept_lies_in_the_folder(tuned: tuple[Tuning, Path, Category]) -> None:
    tuning, folder, _ = tuned
    assert tuning.chosen is not None
    with (folder / "out" / "films" / "tuning.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["factors"] for row in rows] == ["2", "4", "8"]
    assert float(rows[0]["ndcg@10"]) == pytest.approx(tuning.trials[0].figures["ndcg@10"], abs=1e-6)
    assert {"rmse", "mae", "accuracy", "recall@50", "map@20", "fit_seconds", "evaluate_seconds"} <= set(
        rows[0]
    )
    artifact = load_rating_artifact(folder / "out" / "films", "svd")
    assert artifact.manifest["recipe"]["factors"] == tuning.chosen.parameters["factors"]
    assert artifact.manifest["validation"] == dict(tuning.chosen.figures)
    (line,) = (folder / "logs" / EXPERIMENTS_FILE).read_text().splitlines()
    assert json.loads(line)["metrics"]["figures"]["rmse"] == artifact.manifest["metrics"]["figures"]["rmse"]


def test_a_second_run_loads_the_choice_and_another_question_is_tuned_anew(tmp_path: Path) -> None:
    category = write_tastes(tmp_path / "films")
    first = tune_category(category, plan_for(tmp_path), GRID, CHOICE)
    manifest = (tmp_path / "out" / "films" / "manifest.json").read_bytes()

    second = tune_category(category, plan_for(tmp_path), GRID, CHOICE)

    assert (second.result.status, second.trials) == (LOADED, ())
    assert second.result.figures == pytest.approx(first.result.figures, abs=1e-6)
    assert (tmp_path / "out" / "films" / "manifest.json").read_bytes() == manifest
    assert "--again tunes anew" in second.result.notes[0]
    fewer: dict[str, list[object]] = {"factors": [2, 3]}
    seed = SplitOptions(seed=1)
    for other in (  # each differs from the one before in one thing
        tune_category(category, plan_for(tmp_path), fewer, CHOICE),
        tune_category(category, plan_for(tmp_path, split=seed), fewer, CHOICE),
        tune_category(
            write_tastes(tmp_path / "films", seed=5), plan_for(tmp_path, split=seed), fewer, CHOICE
        ),
        tune_category(category, plan_for(tmp_path, split=seed, again=True), fewer, CHOICE),
    ):
        assert (other.result.status, len(other.trials)) == (TRAINED, 2)


def write_ages(category: Category, older: int) -> None:
    ages = {"id": [f"u{u}" for u in range(60)], "age": [20 + older * (u % 2) for u in range(60)]}
    pq.write_table(pa.table(ages), category.folder / "users.parquet")


def test_other_features_are_tuned_by_anew_where_the_pipeline_reads_them(tmp_path: Path) -> None:
    category = write_tastes(tmp_path / "films")
    write_ages(category, 10)
    overrides = {"factors": 2, "iterations": 2}
    plan = RatingPlan("feature_als", tmp_path / "out", tmp_path / "logs", overrides=overrides)
    grid: dict[str, list[object]] = {"regularization": [0.1, 0.2]}
    rmse = Choice("rmse", 0.0)
    svd = RatingPlan("svd", tmp_path / "svd", tmp_path / "logs")
    for one, values in ((plan, grid), (svd, GRID)):
        tune_category(category, one, values, rmse)
        assert tune_category(category, one, values, rmse).result.status == LOADED

    write_ages(category, 30)

    assert tune_category(category, svd, GRID, rmse).result.status == LOADED
    assert train_category(category, svd).notes[0].endswith("svd/films exists; --again trains it anew")
    (skipped,) = train_category(category, plan).notes
    assert skipped.endswith("was trained on other user or item features; --again trains it anew")
    trained = train_category(category, replace(plan, again=True))
    other = "they were chosen on other user or item features than"
    assert sum(note.startswith(other) for note in trained.notes) == 1
    manifest = json.loads((tmp_path / "out" / "films" / "manifest.json").read_text())
    assert manifest["features_hash"] == hash_features(category.folder)

    assert len(tune_category(category, plan, grid, rmse).trials) == 2
    assert tune_category(category, plan, grid, rmse).result.status == LOADED


def test_a_grid_of_with_and_without_features_notices_other_features(tmp_path: Path) -> None:
    category = write_tastes(tmp_path / "films")
    write_ages(category, 10)
    overrides = {"factors": 2, "epochs": 1}
    plan = RatingPlan("mf", tmp_path / "out", tmp_path / "logs", overrides=overrides)
    grid: dict[str, list[object]] = {"features": ["false", "true"]}
    first = tune_category(category, plan, grid, Choice("rmse", 0.0))
    assert len(first.trials) == 2
    assert tune_category(category, plan, grid, Choice("rmse", 0.0)).result.status == LOADED
    write_ages(category, 30)
    assert len(tune_category(category, plan, grid, Choice("rmse", 0.0)).trials) == 2


def test_a_choice_without_its_artifact_is_retrained_by_and_not_tuned(tmp_path: Path) -> None:
    category = write_tastes(tmp_path / "films")
    first = tune_category(category, plan_for(tmp_path), GRID, CHOICE)
    (tmp_path / "out" / "films" / "manifest.json").unlink()

    again = tune_category(category, plan_for(tmp_path), GRID, CHOICE)

    assert (again.result.status, again.trials) == (TRAINED, ())
    assert again.result.parameters == first.result.parameters
    assert again.result.figures == pytest.approx(first.result.figures)


def test_values_the_matrix_does_not_allow_are_left_out_and_the_cap_tried_when_none_is_left(
    tmp_path: Path,
) -> None:
    category = write_tastes(tmp_path / "films", n_items=12)

    some = tune_category(category, plan_for(tmp_path), {"factors": [5, 11, 12]}, CHOICE)
    none = tune_category(category, plan_for(tmp_path), {"factors": [50, 100]}, CHOICE)

    assert [t.parameters["factors"] for t in some.trials] == [5, 11]
    assert "factors 12 left out: the matrix allows 11 at most" in some.result.notes
    assert [t.parameters["factors"] for t in none.trials] == [11]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({}, "grid of svd is empty"),
        ({"factors": []}, "grid's factors is"),
        ({"factors": "64"}, "grid's factors is '64'"),
        ({"factors": [4], "colour": ["red"]}, "svd has no colour"),
        ({"centre": ["item"]}, "svd.centre is 'item'"),
    ],
)
def test_a_grid_that_cannot_work_is_refused_and_nothing_is_kept(
    tmp_path: Path, grid: dict[str, list[object]], message: str
) -> None:
    category = write_tastes(tmp_path / "films")
    with pytest.raises(ConfigError, match=message):
        tune_category(category, plan_for(tmp_path), grid, CHOICE)
    assert not (tmp_path / "out").exists()


def test_without_a_validation_part_there_is_nothing_to_choose_by(tmp_path: Path) -> None:
    category = write_tastes(tmp_path / "films")
    plan = plan_for(tmp_path, split=SplitOptions(shares=(0.9, 0.0, 0.1)))
    with pytest.raises(DataError, match="no validation part to choose by"):
        tune_category(category, plan, GRID, CHOICE)
