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


def of(version: str, mean: float, protocol: str, **dataset: str) -> KeptRelease:
    """A release that measured als."""
    figures = {"ndcg@10": {"mean": mean, "low": mean / 2, "high": mean}}
    entry = {"metrics": {"protocol": protocol, "metrics": figures}, "recipe": {"factors": int(version)}}
    manifest = {"recommenders": {"als": entry}, "dataset": dataset}
    return KeptRelease(version, datetime.now(UTC), is_served=False, manifest=manifest)


TODAY = "global time cut at 2026-11-02T00:00:00Z (20% of the positive cells later); all items ranked; k=10"


def test_a_higher_figure_of_other_data_or_another_protocol_is_not_better() -> None:
    at_random = "1% of the positive cells at random (seed 0); all items ranked; k=10"
    earlier = TODAY.replace("11-02", "10-26").replace("20%", "50%")
    releases = [
        of("1", 0.9, at_random, hash="b"),
        of("2", 0.8, at_random, hash="a"),
        of("3", 0.7, earlier, hash="a"),
        of("4", 0.3, f"{TODAY}, 20; mean over 9 users", hash="a"),
        of("5", 0.2, TODAY, hash="a"),
        of("6", 0.6, TODAY, hash="a", processed="v1"),
    ]

    best = best_versions(releases[:5])["als"]
    assert (best.version, best.mean, best.n_compared, best.data) == ("4", 0.3, 2, "a")
    assert best.not_comparable == {"by another protocol": 2, "on other data": 1}
    says = "best of 2 measured alike; not comparable: 2 by another protocol, 1 on other data"
    assert json.loads(best.to_json())["says"] == best.says == says
    assert best.recipe == {"factors": 4}

    alone = best_versions(releases)["als"]
    assert (alone.version, alone.data) == ("6", "v1")
    assert alone.says == "the newest; not comparable: 5 on other data"
    assert best_versions(releases[:1])["als"].says == "the only one measured"


def test_what_was_carried_over_was_measured_once() -> None:
    newest = of("5", 0.2, TODAY, hash="a")
    carried = replace(newest, version="6")

    best = best_versions([newest, carried, of("4", 0.1, TODAY, hash="a")])["als"]

    assert (best.version, best.n_compared) == ("6", 2)


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
    assert (said["says"], said["data"]) == ("best of 2 measured alike", world.content_hash[:12])
