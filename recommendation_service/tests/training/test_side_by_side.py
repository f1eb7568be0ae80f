"""Two trainings of different recommenders at once: one release holds both, each has a log of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from recsys.datasets.user_items import Dataset, save_dataset
from recsys.training.run_log import KEPT_RUNS, new_log_file

SERVICE = Path(__file__).resolve().parents[2]
SMALL = {
    "als": ["als.factors=4", "als.iterations=3"],
    "bpr": ["bpr.factors=4", "bpr.epochs=3"],
}


def test_als_and_bpr_trained_at_once_are_both_served_and_logged_apart(world: Dataset, tmp_path: Path) -> None:
    save_dataset(world, tmp_path / "data")
    for _ in range(KEPT_RUNS + 2):
        new_log_file(tmp_path / "logs", "als").touch()
    places = {
        "RECSYS_MODELS_DIR": str(tmp_path / "models"),
        "RECSYS_LOGS_DIR": str(tmp_path / "logs"),
        "PYTHONPATH": str(SERVICE),
    }
    train = [sys.executable, "-m", "recsys.cli", "train", "--data", str(tmp_path / "data")]
    trainings = [
        subprocess.Popen(
            [*train, "--recommenders", name, "--set", *parameters],
            env={**os.environ, **places},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, parameters in SMALL.items()
    ]
    for training in trainings:
        out, err = training.communicate(timeout=120)
        assert training.returncode == 0, err
        assert "Published release" in out

    manifest = json.loads((tmp_path / "models" / "current" / "manifest.json").read_text())
    assert {"als", "bpr"} <= set(manifest["recommenders"])
    assert manifest["recommenders"]["als"]["recipe"]["factors"] == 4
    assert manifest["recommenders"]["bpr"]["recipe"]["epochs"] <= 3
    assert len(list((tmp_path / "models" / "releases").glob("2*"))) == 2
    logs = {name: sorted((tmp_path / "logs").glob(f"{name}-*.log")) for name in SMALL}
    assert {name: len(found) for name, found in logs.items()} == {"als": KEPT_RUNS, "bpr": 1}
    for name, other in (("als", "bpr"), ("bpr", "als")):
        text = logs[name][-1].read_text()
        assert f"evaluated recommender={name}" in text
        assert f"evaluated recommender={other}" not in text
