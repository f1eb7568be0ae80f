"""manifest.json of a release: what it holds, how it was made, and how to know it is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recsys.datasets.files import check_files
from recsys.errors import ArtifactError, DataError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class RecommenderEntry:
    """One recommender of a release.

    `recipe` its configuration; `metrics` what evaluation measured, with the protocol, the
    popularity baseline and 95 % intervals; `score_range` of its raw scores; `golden` a query with
    its answer; `files` the names it wrote; `seconds` and `peak_memory_mb` of its training.
    """

    recipe: dict[str, Any]
    metrics: dict[str, Any]
    score_range: dict[str, Any]
    golden: dict[str, Any]
    facts: dict[str, Any]
    files: list[str]
    seconds: float
    peak_memory_mb: float


@dataclass(frozen=True)
class Manifest:
    """The whole file. `files` maps each file to its bytes and sha256; times are UTC, ISO 8601."""

    version: str
    created_at: str
    dataset: dict[str, Any]
    code_version: str
    libraries: dict[str, str]
    recommenders: dict[str, RecommenderEntry]
    files: dict[str, dict[str, Any]]
    format_version: int = FORMAT_VERSION
    facts: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read the file.

        Raises:
            ArtifactError: it is missing, not JSON, of another format version, or lacks a field.
        """
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ArtifactError(f"{path} does not exist; train again or point to a kept release.") from None
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path} cannot be read ({error}); train again.") from error
        found = fields.get("format_version") if isinstance(fields, dict) else None
        if found != FORMAT_VERSION:
            raise ArtifactError(
                f"{path} has format version {found}; this code reads {FORMAT_VERSION}. Train again."
            )
        try:
            entries = {n: RecommenderEntry(**entry) for n, entry in fields.pop("recommenders").items()}
            return cls(recommenders=entries, **fields)
        except (TypeError, KeyError, AttributeError) as error:
            raise ArtifactError(
                f"{path} lacks a field or has one too many ({error}); train again."
            ) from error

    def check_files(self, folder: Path) -> None:
        """Compare every file with its bytes and hash.

        Raises:
            ArtifactError: one is missing or differs.
        """
        _check_names(self.files)
        try:
            check_files(folder, self.files)
        except DataError as error:
            raise ArtifactError(str(error)) from error


def _check_names(files: Mapping[str, object]) -> None:
    strange = [name for name in files if Path(name).name != name]
    if strange:
        raise ArtifactError(
            f"The manifest names {strange[0]!r}, which is not a file of the release; train again."
        )
