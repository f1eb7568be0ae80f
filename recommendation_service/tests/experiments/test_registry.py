from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.artifacts.promote import KeptRelease
from recsys.artifacts.publish import Trained, publish_release
from recsys.cli import main
from recsys.datasets.user_items import Dataset
from recsys.experiments.registry import best_versions


def kept(version: str, **ndcg: float) -> KeptRelease:
    entries = {
        name: {
            "metrics": {"protocol": "a cut", "metrics": {"ndcg@10": {"mean": mean, "low": 0.0, "high": 1.0}}}
        }
        for name, mean in ndcg.items()
    }
    return KeptRelease(version, datetime.now(UTC), version == "2", {"recommenders": entries})


def test_each_recommender_has_its_own_best_version_and_the_newest_of_equals() -> None:
    broken = KeptRelease("4", datetime.now(UTC), is_served=False, fault="gone")
    unmeasured = KeptRelease(
        "5", datetime.now(UTC), is_served=False, manifest={"recommenders": {"content": {"metrics": {}}}}
    )
    releases = [kept("1", als=0.3, popularity=0.2), kept("2", als=0.2, popularity=0.2), broken, unmeasured]

    best = best_versions(releases)

    assert {name: (one.version, one.mean, one.is_served) for name, one in best.items()} == {
        "als": ("1", 0.3, False),
        "popularity": ("2", 0.2, True),
    }


def test_on_the_command_line_it_is_read_from_the_kept_releases(
    tmp_path: Path,
    world: Dataset,
    trained_world: tuple[Trained, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def publish(mean: float) -> str:
        metrics = {"protocol": "p", "metrics": {"ndcg@10": {"mean": mean, "low": 0.1, "high": 0.5}}}
        return publish_release(tmp_path, world, [replace(trained_world[0], metrics=metrics)]).version

    better = publish(0.4)
    publish(0.3)

    assert main(["best", "--models-dir", str(tmp_path)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert (said["recommender"], said["version"], said["mean"]) == ("popularity", better, 0.4)
