"""One JSON line a run, appended and read back: parameters, figures with their protocol, outcome."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from recsys.errors import ArtifactError

logger = logging.getLogger(__name__)

EXPERIMENTS_FILE = "experiments.jsonl"
NAMED = 5  # damaged lines that a warning names; of more it says how many
Found = TypeVar("Found")


def append_experiment(logs_dir: Path, record: Mapping[str, Any]) -> None:
    """Add a line with the time in front, in one write; a line that was left half done is ended first.

    Raises:
        ArtifactError: the folder or the file cannot be written.
    """
    stamped = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **record}
    line = f"{json.dumps(stamped, ensure_ascii=False)}\n".encode()
    path = logs_dir / EXPERIMENTS_FILE
    try:
        logs_dir.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=len(line) + 2) as file:
            size = file.seek(0, os.SEEK_END)
            is_torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
            file.write(b"\n" * is_torn + line)
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be written ({error.strerror or error}), so the run is not recorded; what was "
            "published is served all the same. Free space, mend the permissions or name "
            "another folder of logs."
        ) from error


def read_experiments(logs_dir: Path, parse: Callable[[dict[str, Any]], Found | None]) -> list[Found]:
    """What `parse` makes of each line, in order; one warning names the damaged lines, which are passed over.

    Args:
        logs_dir: the folder of the log.
        parse: takes a line's record; returns None for one that is not wanted, and raises KeyError,
            TypeError, ValueError or OverflowError for one that is not what a training writes.

    Raises:
        ArtifactError: there is no log, or it cannot be read.
    """
    path = logs_dir / EXPERIMENTS_FILE
    found: list[Found] = []
    damaged: list[int] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    one = parse(_record(line))
                except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
                    damaged.append(number)
                else:
                    found += [] if one is None else [one]
    except FileNotFoundError:
        raise ArtifactError(
            f"{path} does not exist: no run is recorded. Train first, or name the folder of logs by "
            "RECSYS_LOGS_DIR."
        ) from None
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be read ({error.strerror or error}); mend its permissions, or name another "
            "folder of logs by RECSYS_LOGS_DIR."
        ) from error
    if damaged:
        named = ", ".join(map(str, damaged[:NAMED]))
        more = f" and {len(damaged) - NAMED:,} more" if len(damaged) > NAMED else ""
        logger.warning("%s: passed over, not as a training writes it: line %s%s", path, named, more)
    return found


def _record(line: bytes) -> dict[str, Any]:
    record = json.loads(line.decode())
    if not isinstance(record, dict):
        raise TypeError(f"a line is a record, not a {type(record).__name__}")
    return record
