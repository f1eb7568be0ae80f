"""Processed data on disk: a folder a version, named by the hash of what it was made from and how.

`confidence.npz` and `binary.npz` are what is learned from (signed cells; what is liked, as 1) and
`held_out.npz` the other cells of the trainable users; `cold_*` the same of the cold ones. Beside them the
mappings, the hard negatives, item popularity and a table of every user's segment. Each file is written aside
and renamed, the manifest with their hashes last. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, save_npz

from recsys.config import SectionConfig
from recsys.datasets.catalogue import Catalogue, UserTable
from recsys.datasets.files import UNREADABLE_NUMPY, Staging, check_descriptions, check_files, describe_files
from recsys.datasets.hard_negatives import Rows
from recsys.datasets.id_map import IdMap
from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset, cells_where, read_matrix
from recsys.errors import DataError
from recsys.types import Float32Array, Float64Array

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
LATEST = "latest"
MANIFEST_FILE = "processed.json"
ITEM_MAPPING_FILE = "item_mapping.json"
POPULARITY_FILE = "item_popularity.npy"
SEGMENTS_FILE = "user_segments.parquet"
CATALOGUE_FILE, USERS_FILE = "catalogue.parquet", "users.parquet"
EXPLICIT_FILE, IMPLICIT_FILE = "explicit_negatives.npz", "implicit_negatives.npz"
BINARY_FILE = "binary.npz"
CONFIDENCE_FILE, HELD_OUT_FILE, TIMES_FILE = "confidence.npz", "held_out.npz", "last_event.npz"
USER_MAPPING_FILE = "user_mapping.json"
COLD = "cold_"
OPTIONAL_FILES = (TIMES_FILE, COLD + TIMES_FILE, CATALOGUE_FILE, USERS_FILE)
VERSION_LENGTH = 12
OF_LIKES, OF_COUNTS = "likes in the train part", "counts given"  # what popularity is taken from
MEND = "process the data again, or remove that version's folder"
COUNTS = (
    *("trainable_users", "cold_users", "items", "train_cells", "train_positives", "test_positives"),
    *("cold_train_cells", "cold_test_positives", "explicit_negatives", "implicit_negatives"),
)


@dataclass(frozen=True)
class Segment:
    """Some users: `confidence` (n_users, n_items) signed cells to learn from, `held_out` their others.

    `last_event_at` has the cells of both, float64 UTC seconds, or is None.
    """

    confidence: csr_matrix
    held_out: csr_matrix
    last_event_at: csr_matrix | None
    user_mapping: IdMap

    @cached_property
    def test(self) -> csr_matrix:
        """What is held out and liked: the answers."""
        return cells_where(self.held_out, self.held_out.data > 0)


@dataclass(frozen=True)
class ProcessedData:
    """One version; every index is a row of `trainable` or a column of all matrices.

    `item_popularity` (n_items,) float32 is ln(1 + count); the negatives are of the trainable users.
    """

    trainable: Segment
    cold: Segment
    item_mapping: IdMap
    item_popularity: Float32Array
    explicit_negatives: Rows
    implicit_negatives: Rows
    catalogue: Catalogue | None
    users: UserTable | None
    strategy: str
    popularity_of: str
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def binary(self) -> csr_matrix:
        """What the trainable users like in the train part, as 1.0."""
        liked = cells_where(self.trainable.confidence, self.trainable.confidence.data > 0)
        return csr_matrix((np.ones_like(liked.data), liked.indices, liked.indptr), liked.shape)

    @cached_property
    def positives(self) -> Rows:
        """The items each trainable user likes in the train part."""
        return Rows.of(self.binary)

    def train_dataset(self, segment: Segment) -> Dataset:
        """A segment's train part as a dataset."""
        times = segment.last_event_at
        if times is not None:
            times = _at_cells_of(times, segment.confidence)
        return Dataset(
            segment.confidence,
            segment.user_mapping,
            self.item_mapping,
            last_event_at=times,
            catalogue=self.catalogue,
            users=self.users,
            manifest={"processed": self.manifest.get("version", "")},
        )

    @property
    def dataset(self) -> Dataset:
        """Every cell of the trainable users, held out or not: what a model to be served learns from."""
        segment = self.trainable
        whole = (segment.confidence + segment.held_out).tocsr()
        whole.sort_indices()
        train = self.train_dataset(segment)
        return replace(train, user_items=whole, last_event_at=segment.last_event_at)

    @property
    def version(self) -> str:
        """What `recsys process` called it."""
        return str(self.manifest["version"])

    @property
    def split(self) -> Split:
        """Train and test of the trainable users."""
        return Split(self.train_dataset(self.trainable), self.trainable.test, self.strategy)

    @property
    def cold_split(self) -> Split:
        """Of the cold users: what is known of them, and what they should be offered."""
        return Split(self.train_dataset(self.cold), self.cold.test, f"{self.strategy}; cold users")


def version_of(dataset: Dataset, config: SectionConfig, counts: Float64Array | None) -> str:
    """The hash of what a version is made from, and how."""
    digest = hashlib.sha256(dataset.content_hash.encode())
    digest.update(json.dumps([SCHEMA_VERSION, asdict(config)], sort_keys=True).encode())
    if counts is not None:
        digest.update(counts.tobytes())
    return digest.hexdigest()[:VERSION_LENGTH]


def save_processed(
    processed: ProcessedData, root: Path, version: str, *, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write `root/version`; returns its manifest: the facts, counts, and each file's bytes and sha256.

    Raises:
        DataError: it cannot be written; a version that was there is as it was.
    """
    folder = root / version
    try:
        return _write(processed, folder, version, facts)
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()  # where it was made in vain
        raise DataError(
            f"{folder} cannot be written ({error.strerror or error}); free space or mend the permissions, "
            "or name another folder with --output."
        ) from error


def _write(processed: ProcessedData, folder: Path, version: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    with Staging(folder) as staging:
        _write_segment(processed.trainable, staging, "")
        _write_segment(processed.cold, staging, COLD)
        save_npz(staging.path(BINARY_FILE), processed.binary, compressed=False)
        processed.item_mapping.save(staging.path(ITEM_MAPPING_FILE))
        np.save(staging.path(POPULARITY_FILE), processed.item_popularity)
        rows = {EXPLICIT_FILE: processed.explicit_negatives, IMPLICIT_FILE: processed.implicit_negatives}
        for name, one in rows.items():
            np.savez(staging.path(name), starts=one.starts, items=one.items)
        _write_user_segments(processed, staging.path(SEGMENTS_FILE))
        if processed.catalogue is not None:
            processed.catalogue.save(staging.path(CATALOGUE_FILE))
        if processed.users is not None:
            processed.users.save(staging.path(USERS_FILE))
        manifest = {
            **facts,
            "schema_version": SCHEMA_VERSION,
            "version": version,
            "processed_at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "split": processed.strategy,
            "popularity_of": processed.popularity_of,
            "counts": _counts(processed),
            "files": describe_files(staging.folder),
        }
        staging.path(MANIFEST_FILE).write_text(
            json.dumps(manifest, indent=2, ensure_ascii=False), encoding="utf-8"
        )
        staging.move_into_place(last=MANIFEST_FILE, optional=OPTIONAL_FILES)
    return manifest


def list_processed(root: Path) -> list[dict[str, Any]]:
    """The manifests of the versions in a folder that can be read, the newest first.

    One that is damaged is left out, and a warning names it.

    Raises:
        DataError: there are versions, and none can be read.
    """
    return [manifest for _, manifest in _readable_versions(root)]


def load_processed(root: Path, version: str = LATEST) -> ProcessedData:
    """Read one version, every file checked against the manifest.

    Args:
        root: the folder of the versions.
        version: its hash, or "latest": the newest whose manifest can be read; a warning names the others.

    Raises:
        DataError: that version is not there (the message names those that are), or a file is damaged.
    """
    if version == LATEST:
        there = _readable_versions(root)
        if not there:
            raise DataError(f"{root} holds no processed data; make some with `recsys process`.")
        folder, manifest = there[0]
    else:
        folder = root / version
        if not (folder / MANIFEST_FILE).is_file():
            names = sorted(path.parent.name for path in root.glob(f"*/{MANIFEST_FILE}"))
            raise DataError(
                f"{root} has no data version {version!r}; it has {', '.join(names) or 'none'}. "
                "Name one of them, or latest, or make it with `recsys process`."
            )
        manifest = _read_manifest(folder / MANIFEST_FILE)
    check_files(folder, manifest["files"])
    return _read(folder, manifest)


def _readable_versions(root: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Folder and manifest of each version, the newest first, without those `list_processed` leaves out."""
    versions: list[tuple[Path, dict[str, Any]]] = []
    damaged: list[DataError] = []
    for path in sorted(root.glob(f"*/{MANIFEST_FILE}")):
        try:
            versions.append((path.parent, _read_manifest(path)))
        except DataError as error:
            damaged.append(error)
    if damaged and not versions:
        raise damaged[0]
    for one in damaged:
        logger.warning("data version left out: %s", one)
    return sorted(versions, key=lambda one: str(one[1]["processed_at"]), reverse=True)


def _read(folder: Path, manifest: Mapping[str, Any]) -> ProcessedData:
    items = IdMap.load(folder / ITEM_MAPPING_FILE)
    trainable = _read_segment(folder, "", len(items))
    popularity = _read_arrays(folder / POPULARITY_FILE)
    n_users = len(trainable.user_mapping)
    if popularity.shape != (len(items),):
        raise DataError(f"{folder / POPULARITY_FILE} does not fit {ITEM_MAPPING_FILE}; {MEND}.")
    catalogue, users = folder / CATALOGUE_FILE, folder / USERS_FILE
    return ProcessedData(
        trainable=trainable,
        cold=_read_segment(folder, COLD, len(items)),
        item_mapping=items,
        item_popularity=popularity,
        explicit_negatives=_read_rows(folder / EXPLICIT_FILE, n_users, len(items)),
        implicit_negatives=_read_rows(folder / IMPLICIT_FILE, n_users, len(items)),
        catalogue=Catalogue.load(catalogue) if catalogue.exists() else None,
        users=UserTable.load(users) if users.exists() else None,
        strategy=str(manifest["split"]),
        popularity_of=str(manifest["popularity_of"]),
        manifest=manifest,
    )


def _write_segment(segment: Segment, staging: Staging, prefix: str) -> None:
    save_npz(staging.path(prefix + CONFIDENCE_FILE), segment.confidence, compressed=False)
    save_npz(staging.path(prefix + HELD_OUT_FILE), segment.held_out, compressed=False)
    if segment.last_event_at is not None:
        save_npz(staging.path(prefix + TIMES_FILE), segment.last_event_at, compressed=False)
    segment.user_mapping.save(staging.path(prefix + USER_MAPPING_FILE))


def _read_segment(folder: Path, prefix: str, n_items: int) -> Segment:
    users = IdMap.load(folder / (prefix + USER_MAPPING_FILE))
    names = [CONFIDENCE_FILE, HELD_OUT_FILE]
    if (folder / (prefix + TIMES_FILE)).exists():
        names.append(TIMES_FILE)
    matrices = {}
    for name in names:
        matrices[name] = read_matrix(folder / (prefix + name))
        if matrices[name].shape != (len(users), n_items):
            raise DataError(f"{folder / (prefix + name)} does not fit its mappings; {MEND}.")
    return Segment(matrices[CONFIDENCE_FILE], matrices[HELD_OUT_FILE], matrices.get(TIMES_FILE), users)


def _write_user_segments(processed: ProcessedData, path: Path) -> None:
    """A row a user: id, cells in the train part, trainable or cold."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = {"trainable": processed.trainable, "cold": processed.cold}
    cells = [np.diff(one.confidence.indptr).astype(np.int32) for one in parts.values()]
    columns = {
        "user_id": pa.array([i for one in parts.values() for i in one.user_mapping.ids], pa.string()),
        "train_interactions": pa.array(np.concatenate(cells)),
        "segment": pa.array(
            [name for name, one in parts.items() for _ in range(len(one.user_mapping))], pa.string()
        ),
    }
    pq.write_table(pa.table(columns), path)


def _read_rows(path: Path, n_users: int, n_items: int) -> Rows:
    arrays = _read_arrays(path, "starts", "items")
    starts, items = arrays["starts"], arrays["items"]
    fits = starts.shape == (n_users + 1,) and starts[0] == 0 and starts[-1] == len(items)
    if not fits or (np.diff(starts) < 0).any() or items.min(initial=0) < 0 or items.max(initial=0) >= n_items:
        raise DataError(f"{path} does not fit its mappings; {MEND}.")
    return Rows(starts, items)


def _read_arrays(path: Path, *names: str) -> Any:
    """A .npy file's array, or those of an .npz by name; never unpickles."""
    try:
        with path.open("rb") as file:
            loaded: Any = np.load(file, allow_pickle=False)
            return {name: loaded[name] for name in names} if names else loaded
    except UNREADABLE_NUMPY as error:
        raise DataError(f"{path} is not a plain NumPy file ({error}); {MEND}.") from error


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not JSON ({error}); {MEND}.") from error
    texts = ("version", "processed_at", "split", "popularity_of")
    needed = {*texts, "counts", "files"}
    if not isinstance(manifest, dict) or manifest.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"{path} is not of schema version {SCHEMA_VERSION}; {MEND}.")
    if needed - set(manifest):
        raise DataError(f"{path} lacks {', '.join(sorted(needed - set(manifest)))}; {MEND}.")
    no_text = [name for name in texts if not isinstance(manifest[name], str)]
    if no_text:
        raise DataError(f"{path} has {no_text[0]}: {manifest[no_text[0]]!r}, which must be text; {MEND}.")
    counts = manifest["counts"]
    if not isinstance(counts, dict) or not all(isinstance(counts.get(name), int) for name in COUNTS):
        raise DataError(f"{path} does not count {', '.join(COUNTS)} in whole numbers; {MEND}.")
    check_descriptions(path, manifest["files"])
    return manifest


def _counts(processed: ProcessedData) -> dict[str, int]:
    trainable, cold = processed.trainable, processed.cold
    counts = (
        *(len(trainable.user_mapping), len(cold.user_mapping), len(processed.item_mapping)),
        *(int(trainable.confidence.nnz), int(processed.binary.nnz), int(trainable.test.nnz)),
        *(int(cold.confidence.nnz), int(cold.test.nnz)),
        *(len(processed.explicit_negatives.items), len(processed.implicit_negatives.items)),
    )
    return dict(zip(COUNTS, counts, strict=True))


def _at_cells_of(values: csr_matrix, cells: csr_matrix) -> csr_matrix:
    """The values at the cells of another matrix, all of which it stores."""
    n_columns = values.shape[1]
    all_keys, keys = (
        np.repeat(np.arange(m.shape[0]) * n_columns, np.diff(m.indptr)) + m.indices for m in (values, cells)
    )
    return cells_where(values, np.isin(all_keys, keys, assume_unique=True))
