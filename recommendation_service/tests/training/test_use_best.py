"""`recsys train --best`: the recipes of the best kept versions, and where they came from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recsys.artifacts.promote import kept_releases
from recsys.cli import main
from recsys.datasets.user_items import Dataset, save_dataset
from recsys.experiments.registry import best_versions


@pytest.fixture
def command(world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    for name in ("experiments", "models", "logs"):
        monkeypatch.setenv(f"RECSYS_{name.upper()}_DIR", str(tmp_path / name))
    save_dataset(world, tmp_path / "data")
    return ["train", "--recommenders", "als", "--data", str(tmp_path / "data")]


def als_of(tmp_path: Path) -> dict[str, Any]:
    """Of the served release."""
    manifest = json.loads((tmp_path / "models" / "current" / "manifest.json").read_text())
    return dict(manifest["recommenders"]["als"])


def test_the_recipe_of_the_best_version_is_trained_again_and_set_wins_over_it(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for factors in ("6", "1"):
        given = [f"als.factors={factors}", "als.iterations=4", "als.alpha=10"]
        assert main([*command, "--set", *given]) == 0
    best = best_versions(kept_releases(tmp_path / "models"))["als"]
    assert (best.recipe["factors"], best.n_compared) == (6, 2)
    capsys.readouterr()

    assert main([*command, "--best", "--set", "als.iterations=3"]) == 0

    als = als_of(tmp_path)
    assert als["recipe"] == {**best.recipe, "iterations": 3}
    chosen = als["facts"]["chosen"]
    assert (chosen["best_release"], chosen["best_ndcg@10"]) == (best.version, best.mean)
    assert (chosen["best_says"], chosen["is_same_data"]) == ("best of 2 measured alike", True)
    assert chosen["best_parameters"] == best.recipe
    assert "by the recipe of release" not in capsys.readouterr().out


def test_what_was_measured_on_other_data_is_used_and_told(
    command: list[str], world: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--set", "als.factors=5", "als.iterations=2"]) == 0
    version = world.content_hash[:12]
    save_dataset(replace(world, catalogue=None), tmp_path / "other")

    assert main([*command[:-1], str(tmp_path / "other"), "--recommenders", "als", "bpr", "--best"]) == 0

    assert als_of(tmp_path)["recipe"]["factors"] == 5
    told = capsys.readouterr().out
    assert f"the best of what was measured on other data, version {version}." in told
    assert "bpr is trained as configured, for no kept release has measured it." in told


def test_a_best_version_that_started_from_texts_is_told(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["als.factors=2", "als.iterations=2"]
    assert main([*command, "--set", *small, "text_start.vectors=tfidf"]) == 0
    capsys.readouterr()

    assert main([*command, "--best"]) == 0

    assert "had text_start {'vectors': 'tfidf'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--best", "--tuned"], "--best and --tuned both say where hyper-parameters come from; name one"),
        (["--best"], "has measured als, so there is no best recipe to take; train without --best first."),
    ],
)
def test_what_cannot_work_is_one_line(
    command: list[str], capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert main([*command, *flags]) == 1

    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert message in told.err


def test_a_recipe_that_cannot_work_any_more_is_named(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--set", "als.factors=4", "als.iterations=2"]) == 0
    path = tmp_path / "models" / "current" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["recommenders"]["als"]["recipe"]["colour"] = "red"
    path.chmod(0o644)
    path.write_text(json.dumps(manifest))
    capsys.readouterr()

    assert main([*command, "--best"]) == 1

    told = capsys.readouterr().err
    assert f"The recipe of als in release {manifest['version']} cannot be used: als has no colour" in told
    assert told.count("\n") == 1
