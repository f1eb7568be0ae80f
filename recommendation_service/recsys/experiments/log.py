"""One JSON line a run, appended: parameters, figures with their protocol, outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsys.errors import ArtifactError

EXPERIMENTS_FILE = "experiments.jsonl"


def append_experiment(logs_dir: Path, record: Mapping[str, Any]) -> None:
    """Add a line with the time in front; a line this short is appended whole or not at all.

    Raises:
        ArtifactError: the folder or the file cannot be written.
    """
    line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), **record}, ensure_ascii=False)
    path = logs_dir / EXPERIMENTS_FILE
    try:
        logs_dir.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be written ({error.strerror or error}), so the run is not recorded; what was "
            "published is served all the same. Free space, mend the permissions or name "
            "another folder of logs."
        ) from error
