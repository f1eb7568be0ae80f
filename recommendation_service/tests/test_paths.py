"""Where files lie: every folder can be moved, and a container keeps them all in its volume."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recsys import paths

DOCKERFILE = Path(__file__).resolve().parents[2] / "backend" / "Dockerfile"
FOLDERS = {
    "RECSYS_DATA_DIR": paths.data_dir,
    "RECSYS_MODELS_DIR": paths.models_dir,
    "RECSYS_LOGS_DIR": paths.logs_dir,
    "RECSYS_EXPERIMENTS_DIR": paths.experiments_dir,
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_where_the_environment_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f" {tmp_path} ")
    assert FOLDERS[name]() == tmp_path

    monkeypatch.setenv(name, "")
    assert FOLDERS[name]().parent == paths.SERVICE_ROOT


@pytest.mark.parametrize("name", FOLDERS)
def test_the_container_that_trains_keeps_it_in_the_volume(name: str) -> None:
    """What lies elsewhere is gone with the container, and another one of the same image never sees it."""
    text = DOCKERFILE.read_text(encoding="utf-8")

    (folder,) = re.findall(rf"{name}=(\S+)", text)

    assert folder.startswith("/var/lib/recsys/")
    assert folder in text.split("install --directory", 1)[1].split("WORKDIR", 1)[0].split()
