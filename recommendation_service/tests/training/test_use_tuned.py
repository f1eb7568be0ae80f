"""A training by what a search has saved: used, written down, and told where it is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.datasets.user_items import Dataset
from recsys.experiments.tuned import save_tuned
from recsys.training.pipeline import TrainingPlan, train_and_publish

OVERRIDES = {"content": {"dimensions": 8}, "als": {"iterations": 3}}


def plan(**changes: object) -> TrainingPlan:
    return TrainingPlan.default(
        **{"recommenders": ["content", "als"], "overrides": OVERRIDES, "test_split": 0.0, **changes}
    )


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECSYS_EXPERIMENTS_DIR", str(tmp_path / "experiments"))
    return tmp_path / "experiments"


def manifest_entry(folder: Path) -> dict[str, object]:
    import json

    manifest = json.loads((folder / "current" / "manifest.json").read_text())
    return dict(manifest["recommenders"]["als"])


def test_the_manifest_says_where_the_hyper_parameters_came_from(
    world: Dataset, tmp_path: Path, experiments: Path
) -> None:
    version = world.content_hash[:12]
    tuned = {"factors": 5, "alpha": 7.0, "iterations": 9}
    save_tuned(experiments, "als", version, {"parameters": tuned, "chosen_at": "2026-11-29T00:00:00+00:00"})

    result = train_and_publish(world, tmp_path / "models", plan(use_tuned=True), logs_dir=tmp_path / "logs")

    entry = manifest_entry(tmp_path / "models")
    assert {name: entry["recipe"][name] for name in tuned} == {
        **tuned,
        "iterations": 3,
    }  # the plan's own wins
    chosen = entry["facts"]["chosen"]
    assert (chosen["tuned_on"], chosen["is_same_data"]) == (version, True)
    assert chosen["tuned_parameters"] == tuned
    assert not [warning for warning in result.warnings if "tuned" in warning]


def test_what_was_tuned_on_other_data_is_used_and_told(
    world: Dataset, tmp_path: Path, experiments: Path
) -> None:
    save_tuned(experiments, "als", "elsewhere", {"parameters": {"factors": 5}, "chosen_at": "2026"})

    result = train_and_publish(world, tmp_path / "models", plan(use_tuned=True), logs_dir=tmp_path / "logs")

    assert manifest_entry(tmp_path / "models")["recipe"]["factors"] == 5
    assert any("tuned on other data, version elsewhere, at 2026" in one for one in result.warnings)


def test_where_nothing_was_tuned_the_training_goes_on_as_configured_and_says_so(
    world: Dataset, tmp_path: Path, experiments: Path
) -> None:
    result = train_and_publish(world, tmp_path / "models", plan(use_tuned=True), logs_dir=tmp_path / "logs")

    assert any("als is trained as configured" in one for one in result.warnings)
    assert manifest_entry(tmp_path / "models")["recipe"]["factors"] == 128
    assert not any("content" in one for one in result.warnings if "tuned" in one)


def test_nothing_of_it_is_read_unless_asked_for(world: Dataset, tmp_path: Path, experiments: Path) -> None:
    save_tuned(experiments, "als", world.content_hash[:12], {"parameters": {"factors": 5}})

    train_and_publish(world, tmp_path / "models", plan(), logs_dir=tmp_path / "logs")

    assert manifest_entry(tmp_path / "models")["recipe"]["factors"] == 128
