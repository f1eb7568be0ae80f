"""What a search has chosen, by recommender and data version: experiments/tuned.json.

`recsys tune NAME --stage validate` writes it; a training with `use_tuned` takes it from there.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from recsys.errors import ArtifactError, ConfigError
from recsys.recommenders.table import make_recommender

TUNED_FILE = "tuned.json"


def save_tuned(folder: Path, recommender: str, data_version: str, entry: Mapping[str, Any]) -> None:
    """Put an entry there, instead of an older one of the same recommender and data version.

    Args:
        folder: of experiments.
        recommender: its name.
        data_version: of the data it was chosen on.
        entry: `parameters`, `chosen_at` (UTC, ISO 8601) and what was measured.

    Raises:
        ArtifactError: the file cannot be read or written.
    """
    path = folder / TUNED_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f".{TUNED_FILE}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tuned = read_tuned(folder)
            tuned.setdefault(recommender, {})[data_version] = dict(entry)
            aside = path.with_suffix(".json.new")
            aside.write_text(json.dumps(tuned, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            aside.replace(path)
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be written ({error.strerror or error}); mend the permissions, or name another "
            "folder by RECSYS_EXPERIMENTS_DIR."
        ) from error


def read_tuned(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Recommender -> data version -> entry; empty where nothing was chosen yet.

    Raises:
        ArtifactError: the file cannot be read or is of another shape.
    """
    path = folder / TUNED_FILE
    mend = "mend it, or move it away and tune again"
    try:
        tuned = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); {mend}.") from error
    entries = [
        entry
        for by_version in (tuned.values() if isinstance(tuned, dict) else [None])
        for entry in (by_version.values() if isinstance(by_version, dict) else [None])
    ]
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("parameters"), dict):
            raise ArtifactError(f"{path} is not recommender -> data version -> parameters; {mend}.")
    return dict(tuned)


def tuned_overrides(
    folder: Path, recommenders: Iterable[str], data_version: str
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Hyper-parameters by recommender, and for the record where each set came from.

    Those chosen on this very data are preferred to those chosen last on other data. A recommender
    that was never tuned is in neither.

    Raises:
        ArtifactError: the file cannot be read or is of another shape, or holds hyper-parameters that
            cannot work.
    """
    tuned = read_tuned(folder)
    overrides: dict[str, dict[str, Any]] = {}
    facts: dict[str, dict[str, Any]] = {}
    for name in recommenders:
        by_version = tuned.get(name)
        if not by_version:
            continue
        newest = max(by_version, key=lambda version: str(by_version[version].get("chosen_at", "")))
        version = data_version if data_version in by_version else newest
        entry = by_version[version]
        _check(name, entry["parameters"], f"{folder / TUNED_FILE}, {name}, data version {version}")
        overrides[name] = dict(entry["parameters"])
        facts[name] = {
            "tuned_on": version,
            "tuned_at": entry.get("chosen_at", ""),
            "is_same_data": version == data_version,
            "tuned_parameters": dict(entry["parameters"]),
        }
    return overrides, facts


def _check(name: str, parameters: Mapping[str, Any], where: str) -> None:
    """Say where it stands, for whoever asks for a training has never typed it."""
    try:
        make_recommender(name, **parameters)
    except ConfigError as error:
        raise ArtifactError(f"{where}: {error} Mend it there, or tune again.") from error
