"""The dataset: a signed user-item matrix with its mappings, times, catalogue and users.

On disk it is a folder; the matrix and the two mappings are all a trainer needs, the other files
make it better (no times: a random split; no catalogue: no content model).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, load_npz, save_npz

from recsys.datasets.catalogue import Catalogue, UserTable
from recsys.datasets.files import UNREADABLE_NUMPY, Staging, check_descriptions, check_files, describe_files
from recsys.datasets.id_map import IdMap
from recsys.datasets.weights import Cells
from recsys.errors import DataError
from recsys.types import BoolArray, History

SCHEMA_VERSION = 1
MATRIX_FILE = "als_interactions.npz"
USER_MAPPING_FILE = "als_user_mapping.json"
ITEM_MAPPING_FILE = "als_item_mapping.json"
LAST_EVENT_FILE = "als_last_event.npz"
EVENT_TYPES_FILE = "als_event_types.npz"
CATALOGUE_FILE = "catalogue.parquet"
USERS_FILE = "users.parquet"
MANIFEST_FILE = "als_manifest.json"

NO_INTERACTIONS = (
    "No interactions found: nobody has acted on a startup yet. Post events to /api/v1/interactions, "
    "import some (manage.py import_interactions) or make a demo (manage.py seed_demo)."
)


@dataclass(frozen=True)
class Dataset:
    """What people did, and what is known of them and of the items.

    `user_items` (n_users, n_items) float32 CSR of signed weights, sorted; `last_event_at` and
    `event_types` have the same sparsity (float64 UTC seconds; uint8 bit masks) or are None.
    """

    user_items: csr_matrix
    user_mapping: IdMap
    item_mapping: IdMap
    last_event_at: csr_matrix | None = None
    event_types: csr_matrix | None = None
    catalogue: Catalogue | None = None
    users: UserTable | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_users(self) -> int:
        """Users with at least one cell."""
        return int(self.user_items.shape[0])

    @property
    def n_items(self) -> int:
        """Items with at least one cell: the columns of the matrix."""
        return int(self.user_items.shape[1])

    @cached_property
    def positive(self) -> csr_matrix:
        """Cells above zero, with their weights."""
        return cells_where(self.user_items, self.user_items.data > 0)

    @cached_property
    def negative(self) -> csr_matrix:
        """Active dislikes, with their (negative) weights."""
        return cells_where(self.user_items, self.user_items.data < 0)

    @cached_property
    def seen(self) -> csr_matrix:
        """Every cell, as 1.0."""
        ones = np.ones_like(self.user_items.data)
        return csr_matrix((ones, self.user_items.indices, self.user_items.indptr), self.user_items.shape)

    @cached_property
    def all_items(self) -> IdMap:
        """The item index space: the mapping, then startups nobody acted on, in catalogue order."""
        return self.item_mapping.extended(self.catalogue.ids if self.catalogue else ())

    @cached_property
    def content_hash(self) -> str:
        """The sha256 of what can be learned from: cells, times, mappings, catalogue and users."""
        digest = hashlib.sha256()
        matrix, times = self.user_items, self.last_event_at
        for array in (matrix.indptr, matrix.indices, matrix.data, *([] if times is None else [times.data])):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        texts: list[object] = [self.user_mapping.ids, self.item_mapping.ids]
        texts += [item.to_json() for item in (self.catalogue.items if self.catalogue else ())]
        texts += [asdict(self.users) if self.users else None]
        for text in texts:
            digest.update(json.dumps(text, ensure_ascii=False).encode() + b"\0")
        return digest.hexdigest()

    @cached_property
    def _interests(self) -> dict[str, tuple[str, ...]]:
        return self.users.interests_by_id() if self.users else {}

    def history(self, user_index: int) -> History:
        """One user's row, with their interests when known."""
        start, end = self.user_items.indptr[user_index : user_index + 2]
        return History(
            self.user_items.indices[start:end].astype(np.int32, copy=False),
            self.user_items.data[start:end],
            None if self.last_event_at is None else self.last_event_at.data[start:end],
            self._interests.get(self.user_mapping.ids[user_index], ()),
        )


def check_user_items(user_items: csr_matrix) -> None:
    """Refuse a matrix no recommender can learn from.

    Raises:
        DataError: it is empty, holds a weight that is not finite, or has no positive cell.
    """
    if user_items.nnz == 0:
        raise DataError(NO_INTERACTIONS)
    if not np.isfinite(user_items.data).all():
        raise DataError("The interaction matrix holds a weight that is not a finite number; export it again.")
    if not (user_items.data > 0).any():
        raise DataError(
            f"All {user_items.nnz:,} interactions are dislikes: there is nothing to learn a taste from. "
            "Collect some likes, views or clicks first."
        )


def build_user_items(
    cells: Cells,
    user_ids: Sequence[str],
    item_ids: Sequence[str],
    *,
    min_interactions: int = 1,
    catalogue: Catalogue | None = None,
    users: UserTable | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Dataset:
    """A dataset from cells whose indices point into `user_ids` and `item_ids`.

    Users and items with fewer than `min_interactions` cells fall out, repeatedly, until nothing
    more does. Both mappings are sorted by id, so the same events give the same files.

    Raises:
        DataError: there are no cells ("No interactions found") or the filter left none
            ("Matrix too sparse").
    """
    if len(cells) == 0:
        raise DataError(NO_INTERACTIONS)
    keep = _keep_core(cells, min_interactions)
    if not keep.any():
        raise DataError(
            f"Matrix too sparse: no user and startup have {min_interactions} interactions each among "
            f"{len(cells):,}. Lower --min-interactions."
        )
    rows, user_mapping = _compact(cells.user_index[keep], user_ids)
    columns, item_mapping = _compact(cells.item_index[keep], item_ids)
    shape = (len(user_mapping), len(item_mapping))
    order = np.lexsort((columns, rows))
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=shape[0]))))

    def matrix(values: np.ndarray[Any, Any]) -> csr_matrix:
        return csr_matrix((values[keep][order], columns[order].astype(np.int32), indptr), shape)

    return Dataset(
        matrix(cells.weight),
        user_mapping,
        item_mapping,
        last_event_at=matrix(cells.last_event_at),
        event_types=matrix(cells.type_mask),
        catalogue=catalogue,
        users=users,
        manifest=manifest or {},
    )


def save_dataset(dataset: Dataset, folder: Path) -> dict[str, Any]:
    """Write a dataset folder: every file aside, then renamed into place, the manifest last.

    Returns:
        The manifest: the dataset's own facts with counts, density and each file's bytes and sha256.
    """
    with Staging(folder) as staging:
        save_npz(staging.path(MATRIX_FILE), dataset.user_items, compressed=False)
        dataset.user_mapping.save(staging.path(USER_MAPPING_FILE))
        dataset.item_mapping.save(staging.path(ITEM_MAPPING_FILE))
        if dataset.last_event_at is not None:
            save_npz(staging.path(LAST_EVENT_FILE), dataset.last_event_at, compressed=False)
        if dataset.event_types is not None:
            save_npz(staging.path(EVENT_TYPES_FILE), dataset.event_types, compressed=False)
        if dataset.catalogue is not None:
            dataset.catalogue.save(staging.path(CATALOGUE_FILE))
        if dataset.users is not None:
            dataset.users.save(staging.path(USERS_FILE))
        manifest = {
            **dataset.manifest,
            "schema_version": SCHEMA_VERSION,
            "counts": _counts(dataset),
            "density": dataset.user_items.nnz / (dataset.n_users * dataset.n_items),
            "files": describe_files(staging.folder),
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False)
        staging.path(MANIFEST_FILE).write_text(text, encoding="utf-8")
        staging.move_into_place(
            last=MANIFEST_FILE, optional=(LAST_EVENT_FILE, EVENT_TYPES_FILE, CATALOGUE_FILE, USERS_FILE)
        )
    return manifest


def load_dataset(path: Path) -> Dataset:
    """Read a dataset folder, or the folder of the matrix file named.

    Raises:
        DataError: a documented file is missing, is not what the manifest says, or does not fit
            the others.
    """
    folder = path if path.is_dir() else path.parent
    matrix_file = folder / MATRIX_FILE if path.is_dir() else path
    if not matrix_file.exists():
        raise DataError(f"{matrix_file} does not exist; run manage.py generate_als_dataset first.")
    manifest = _load_manifest(folder / MANIFEST_FILE)
    check_files(folder, manifest.get("files", {}))
    user_items = _load_matrix(matrix_file)
    user_mapping = IdMap.load(folder / USER_MAPPING_FILE)
    item_mapping = IdMap.load(folder / ITEM_MAPPING_FILE)
    _check_shape(matrix_file, user_items, (len(user_mapping), len(item_mapping)))
    return Dataset(
        user_items.astype(np.float32, copy=False),
        user_mapping,
        item_mapping,
        last_event_at=_load_aligned(folder / LAST_EVENT_FILE, user_items, manifest),
        event_types=_load_aligned(folder / EVENT_TYPES_FILE, user_items, manifest),
        catalogue=Catalogue.load(folder / CATALOGUE_FILE) if (folder / CATALOGUE_FILE).exists() else None,
        users=UserTable.load(folder / USERS_FILE) if (folder / USERS_FILE).exists() else None,
        manifest=manifest,
    )


def cells_where(matrix: csr_matrix, keep: BoolArray) -> csr_matrix:
    """The same shape with only the stored cells where `keep`, (nnz,), is true."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[keep]
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))))
    return csr_matrix((matrix.data[keep], matrix.indices[keep], indptr), matrix.shape)


def _keep_core(cells: Cells, min_interactions: int) -> BoolArray:
    if min_interactions < 1:
        raise DataError(f"--min-interactions is {min_interactions}; give a whole number from 1.")
    keep = np.ones(len(cells), dtype=np.bool_)
    while True:
        enough = keep.copy()
        for index in (cells.user_index, cells.item_index):
            counts = np.bincount(index[keep], minlength=int(index.max()) + 1)
            enough &= counts[index] >= min_interactions
        if enough.sum() == keep.sum():
            return keep
        keep = enough


def _compact(index: np.ndarray[Any, Any], ids: Sequence[str]) -> tuple[np.ndarray[Any, Any], IdMap]:
    """Renumber the indices in use by the order of their ids."""
    used = sorted(np.unique(index).tolist(), key=ids.__getitem__)
    renumbered = np.full(len(ids), -1, np.int64)
    renumbered[used] = np.arange(len(used))
    return renumbered[index], IdMap(ids[i] for i in used)


def _counts(dataset: Dataset) -> dict[str, int]:
    return {
        "users": dataset.n_users,
        "items": dataset.n_items,
        "interactions": int(dataset.user_items.nnz),
        "dislikes": int((dataset.user_items.data < 0).sum()),
        "catalogue": len(dataset.catalogue.items) if dataset.catalogue else 0,
    }


def _load_manifest(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not JSON ({error}); export the dataset again.") from error
    if not isinstance(manifest, dict) or manifest.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        raise DataError(
            f"{path} is not a manifest of schema version {SCHEMA_VERSION}; export the dataset again."
        )
    check_descriptions(path, manifest.get("files", {}))
    return manifest


def _load_matrix(path: Path) -> csr_matrix:
    matrix = read_matrix(path)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def read_matrix(path: Path) -> csr_matrix:
    """A sparse matrix of numbers whose indices are sound.

    Raises:
        DataError: the file is missing or holds anything else.
    """
    try:
        with path.open("rb") as file:  # numpy leaves a file it cannot read open
            matrix: Any = load_npz(file)
        if matrix.format in ("csr", "csc", "bsr"):
            matrix.check_format(full_check=True)  # native code follows these indices unchecked
        if matrix.dtype.kind not in "biuf":
            raise TypeError(f"its values are {matrix.dtype}, not numbers")
        return csr_matrix(matrix)
    except UNREADABLE_NUMPY as error:
        raise DataError(f"{path} is not a sparse matrix ({error}); export the dataset again.") from error


def _check_shape(path: Path, matrix: csr_matrix, expected: tuple[int, int]) -> None:
    if matrix.shape == expected:
        return
    if matrix.shape == expected[::-1]:
        raise DataError(f"{path} is transposed: rows must be users. Save it as (n_users, n_items).")
    raise DataError(
        f"{path} is {matrix.shape[0]} x {matrix.shape[1]} but the mappings name {expected[0]} users and "
        f"{expected[1]} items; export the dataset again."
    )


def _load_aligned(path: Path, user_items: csr_matrix, manifest: Mapping[str, Any]) -> csr_matrix | None:
    """A matrix with a value for every cell of `user_items`, or None when the file is not there."""
    if not path.exists():
        return None
    matrix = read_matrix(path)
    same = (
        matrix.shape == user_items.shape
        and np.array_equal(matrix.indptr, user_items.indptr)
        and np.array_equal(matrix.indices, user_items.indices)
    )
    if not same:
        mend = "export the dataset again" if manifest else "delete it, or export the dataset again"
        raise DataError(f"{path} does not have the cells of {MATRIX_FILE}; {mend}.")
    if not np.isfinite(matrix.data).all():
        raise DataError(f"{path} holds a value that is not a finite number; export the dataset again.")
    return matrix
