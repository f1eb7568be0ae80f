"""manifest.json of a release: what it holds, how it was made, and how to know it is whole."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from recsys.artifacts.layout import IDS_FILES, ITEM_MAPPING_FILE, ROWS_FILES, USER_MAPPING_FILE
from recsys.artifacts.stored_catalogue import CATALOGUE_FILES
from recsys.datasets.files import check_descriptions, check_files
from recsys.errors import ArtifactError, DataError

FORMAT_VERSION = 2
VERSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")
SHARED_FILES = (
    USER_MAPPING_FILE,
    ITEM_MAPPING_FILE,
    *(name for files in IDS_FILES.values() for name in files.values()),
    *CATALOGUE_FILES,
    *ROWS_FILES.values(),
)


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
    """The whole file. `files` maps each file to its bytes and sha256; times are UTC, ISO 8601.

    `n_acted_on` items come first in the index space; nobody had acted on the others.
    """

    version: str
    created_at: str
    dataset: dict[str, Any]
    code_version: str
    libraries: dict[str, str]
    recommenders: dict[str, RecommenderEntry]
    files: dict[str, dict[str, Any]]
    n_acted_on: int
    format_version: int = FORMAT_VERSION
    facts: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read the file.

        Raises:
            ArtifactError: it is missing, not JSON, of another format version, lacks a field, or
                holds one of another shape.
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
            manifest = cls(recommenders=entries, **fields)
        except (TypeError, KeyError, AttributeError) as error:
            raise ArtifactError(
                f"{path} lacks a field or has one too many ({error}); train again."
            ) from error
        _check_shapes(path, manifest)
        return manifest

    def check_files(self, folder: Path) -> None:
        """Compare every file with its bytes and hash.

        Raises:
            ArtifactError: one is missing or differs.
        """
        try:
            check_files(folder, self.files)
        except DataError as error:
            raise ArtifactError(str(error)) from error


def _check_shapes(path: Path, manifest: Manifest) -> None:
    """Refuse values of another type than `save` writes, and files that no hash protects."""
    try:
        check_descriptions(path, manifest.files)
    except DataError as error:
        raise ArtifactError(str(error)) from error
    for name in ("version", "created_at", "code_version"):
        _check(path, name, getattr(manifest, name), str, "text")
    if not VERSION.fullmatch(manifest.version):
        raise ArtifactError(
            f"{path} says version: {manifest.version!r:.80}, not one of a release; train again."
        )
    if not manifest.recommenders:
        raise ArtifactError(f"{path} names no recommender, so nothing could answer; train again.")
    _check(path, "n_acted_on", manifest.n_acted_on, int, "a whole number")
    for name in ("dataset", "libraries", "facts"):
        _check(path, name, getattr(manifest, name), dict, "a mapping")
    try:
        datetime.fromisoformat(manifest.created_at)
    except ValueError:
        raise ArtifactError(
            f"{path} says created_at: {manifest.created_at!r:.80}, not an ISO 8601 time; train again."
        ) from None
    _check_listed(path, manifest, SHARED_FILES)
    for name, entry in manifest.recommenders.items():
        _check_entry(path, name, entry)
        _check_listed(path, manifest, entry.files)


def _check_entry(path: Path, recommender: str, entry: RecommenderEntry) -> None:
    for name in ("recipe", "metrics", "score_range", "golden", "facts"):
        _check(path, f"{recommender}.{name}", getattr(entry, name), dict, "a mapping")
    for name in ("seconds", "peak_memory_mb"):
        _check_number(path, f"{recommender}.{name}", getattr(entry, name))
    for name in ("mean", "std"):
        if entry.score_range:
            _check_number(path, f"{recommender}.score_range.{name}", entry.score_range.get(name))
    figures = entry.metrics.get("metrics", {})
    _check(path, f"{recommender}.metrics.metrics", figures, dict, "a mapping")
    for metric, figure in figures.items():
        _check(path, f"{recommender}.metrics.metrics.{metric}", figure, dict, "a mapping")
        for name in ("mean", "low"):
            _check_number(path, f"{recommender}.metrics.metrics.{metric}.{name}", figure.get(name))
    if not entry.golden.get("top"):
        raise ArtifactError(f"{path} asks {recommender} no golden query; train again.")
    _check(path, f"{recommender}.files", entry.files, list, "a list")
    if not entry.files:
        raise ArtifactError(f"{path} says {recommender} has no files; train again.")


def _check_listed(path: Path, manifest: Manifest, names: Iterable[object]) -> None:
    for name in names:
        if not isinstance(name, str) or name not in manifest.files:
            raise ArtifactError(f"{path} gives no bytes and sha256 of {name!r:.80}; train again.")


def _check(path: Path, name: str, value: object, kind: type, accepted: str) -> None:
    if not isinstance(value, kind):
        raise ArtifactError(f"{path} says {name}: {value!r:.80}, not {accepted}; train again.")


def _check_number(path: Path, name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ArtifactError(f"{path} says {name}: {value!r:.80}, not a finite number; train again.")
