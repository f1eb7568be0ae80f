"""One JSON line a run, appended: parameters, figures with their protocol, outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EXPERIMENTS_FILE = "experiments.jsonl"


def append_experiment(logs_dir: Path, record: Mapping[str, Any]) -> None:
    """Add a line with the time in front; a line this short is appended whole or not at all."""
    logs_dir.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), **record}, ensure_ascii=False)
    with (logs_dir / EXPERIMENTS_FILE).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
