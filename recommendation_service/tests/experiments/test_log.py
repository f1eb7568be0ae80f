from __future__ import annotations

from pathlib import Path

import pytest

from recsys.errors import ArtifactError
from recsys.experiments.log import append_experiment


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ArtifactError, match=r"file/logs/experiments\.jsonl cannot be written"):
        append_experiment(tmp_path / "file" / "logs", {"recommender": "als"})
