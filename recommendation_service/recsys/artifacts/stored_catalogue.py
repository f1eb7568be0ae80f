"""What is known of the startups of a release, as columns that every worker maps.

What is asked of all of them at once is an array a field; everything else of a startup is its JSON,
decoded when that one is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.packed_ids import PackedIds
from recsys.errors import ArtifactError, DataError
from recsys.recommenders.base import load_array
from recsys.types import BoolArray, Float64Array, Int32Array, Int64Array, UInt8Array

CODED_FIELDS = ("industry", "country", "stage")
UNKNOWN_CODE = -1
VALUES_FILE = "catalogue_values.json"
ARRAY_FILES = {
    name: f"catalogue_{name}.npy"
    for name in (
        "created_at",
        "is_active",
        *CODED_FIELDS,
        "names",
        "name_bounds",
        "entries",
        "entry_bounds",
        "owner",
        "owner_ids",
        "owner_bounds",
        "owned",
    )
}
CATALOGUE_FILES = (VALUES_FILE, *ARRAY_FILES.values())


@dataclass(frozen=True)
class StoredCatalogue:
    """Columns over the item index space of a release.

    `created_at` (n,) UTC seconds, 0 where not known; `is_active` (n,); `codes` of each of
    CODED_FIELDS: (n,) int32, -1 where not known, and lower-cased value -> code; `owner` (n,) int32
    index into `owner_ids`, -1 for nobody.
    """

    created_at: Float64Array
    is_active: BoolArray
    codes: Mapping[str, tuple[Int32Array, Mapping[str, int]]]
    owner: Int32Array
    owner_ids: PackedIds
    _owned: Int32Array  # startups with an owner, one owner's after the other's
    _owner_bounds: Int64Array
    _names: UInt8Array
    _name_bounds: Int64Array
    _entries: UInt8Array
    _entry_bounds: Int64Array

    @classmethod
    def from_items(cls, items: Sequence[CatalogueItem | None]) -> StoredCatalogue:
        """From what is known of each item, in index order."""
        names, name_bounds = _join([b"" if i is None else i.name.encode() for i in items])
        entries, entry_bounds = _join([b"" if i is None else _to_json(i) for i in items])
        owner, owner_ids = _encode_owners(items)
        by_owner = np.argsort(owner, kind="stable").astype(np.int32)
        return cls(
            created_at=np.array([0.0 if i is None else i.created_at for i in items], np.float64),
            is_active=np.array([i is None or i.is_active for i in items], np.bool_),
            codes={field: _encode(field, items) for field in CODED_FIELDS},
            owner=owner,
            owner_ids=owner_ids,
            _owned=by_owner[(owner < 0).sum() :],
            _owner_bounds=np.searchsorted(np.sort(owner[owner >= 0]), np.arange(len(owner_ids) + 1)),
            _names=names,
            _name_bounds=name_bounds,
            _entries=entries,
            _entry_bounds=entry_bounds,
        )

    def item(self, item_index: int) -> CatalogueItem | None:
        """What is known of one startup, if anything."""
        text = _part(self._entries, self._entry_bounds, item_index)
        return CatalogueItem.from_json(json.loads(text)) if text else None

    def name(self, item_index: int) -> str:
        """Its name; empty when none is known."""
        return _part(self._names, self._name_bounds, item_index).decode()

    def owned_by(self, user_id: str) -> Int32Array:
        """(n,) int32 the startups of a user, ascending."""
        owner = self.owner_ids.get(user_id)
        if owner is None:
            return np.empty(0, np.int32)
        start, end = self._owner_bounds[owner : owner + 2]
        return self._owned[start:end]

    def save(self, folder: Path) -> None:
        """Write CATALOGUE_FILES."""
        for name, array in self._arrays().items():
            np.save(folder / ARRAY_FILES[name], array)
        values = {field: list(code_of) for field, (_, code_of) in self.codes.items()}
        (folder / VALUES_FILE).write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, n_items: int) -> StoredCatalogue:
        """Read what `save` wrote.

        Raises:
            ArtifactError: a file is missing or damaged, or they do not fit each other.
        """
        arrays = {
            name: load_array(folder / file, kinds="S" if name == "owner_ids" else "biuf")
            for name, file in ARRAY_FILES.items()
        }
        try:
            values = json.loads((folder / VALUES_FILE).read_text(encoding="utf-8"))
            code_of = {field: {value: code for code, value in enumerate(values[field])} for field in values}
            owners = np.arange(len(arrays["owner_ids"]), dtype=np.int32)
            stored = cls(
                arrays["created_at"],
                arrays["is_active"],
                {field: (arrays[field], code_of[field]) for field in CODED_FIELDS},
                arrays["owner"],
                PackedIds(arrays["owner_ids"], owners, owners),
                arrays["owned"],
                arrays["owner_bounds"],
                arrays["names"],
                arrays["name_bounds"],
                arrays["entries"],
                arrays["entry_bounds"],
            )
            stored._check(n_items)
        except (OSError, ValueError, TypeError, KeyError, IndexError, DataError) as error:
            raise ArtifactError(
                f"The catalogue in {folder} cannot be read ({error}); train again."
            ) from error
        return stored

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            "created_at": self.created_at,
            "is_active": self.is_active,
            **{field: codes for field, (codes, _) in self.codes.items()},
            "names": self._names,
            "name_bounds": self._name_bounds,
            "entries": self._entries,
            "entry_bounds": self._entry_bounds,
            "owner": self.owner,
            "owner_ids": self.owner_ids.sorted_ids,
            "owner_bounds": self._owner_bounds,
            "owned": self._owned,
        }

    def _check(self, n_items: int) -> None:
        """Refuse arrays that do not fit each other or the item index space."""
        for name in ("created_at", "is_active", *CODED_FIELDS, "owner"):
            _refuse_unless(self._arrays()[name].shape == (n_items,), name)
        for name, bounds, whole, n in (
            ("names", self._name_bounds, self._names, n_items),
            ("entries", self._entry_bounds, self._entries, n_items),
            ("owned", self._owner_bounds, self._owned, len(self.owner_ids)),
        ):
            ends = bounds.shape == (n + 1,) and bounds[0] == 0 and bounds[-1] == len(whole)
            _refuse_unless(ends and bool((np.diff(bounds) >= 0).all()), name)
        for field, (codes, code_of) in self.codes.items():
            _refuse_unless(_is_within(codes, UNKNOWN_CODE, len(code_of)), field)
        _refuse_unless(_is_within(self.owner, UNKNOWN_CODE, len(self.owner_ids)), "owner")
        _refuse_unless(_is_within(self._owned, 0, n_items), "owned")


def _refuse_unless(fits: bool, name: str) -> None:
    if not fits:
        raise DataError(f"{ARRAY_FILES[name]} does not fit the other files")


def _is_within(values: Int32Array, low: int, end: int) -> bool:
    return len(values) == 0 or (int(values.min()) >= low and int(values.max()) < end)


def encode_value(item: CatalogueItem | None, field: str) -> str:
    """What a filter compares: the field in lower case, empty when nothing is known."""
    value: str = getattr(item, field, "")
    return value.lower()


def _encode(field: str, items: Sequence[CatalogueItem | None]) -> tuple[Int32Array, Mapping[str, int]]:
    code_of: dict[str, int] = {}
    codes = np.full(len(items), UNKNOWN_CODE, np.int32)
    for index, item in enumerate(items):
        value = encode_value(item, field)
        if value:
            codes[index] = code_of.setdefault(value, len(code_of))
    return codes, code_of


def _encode_owners(items: Sequence[CatalogueItem | None]) -> tuple[Int32Array, PackedIds]:
    of_each = [i.owner_id if i is not None else None for i in items]
    owners = sorted({owner for owner in of_each if owner is not None}, key=str.encode)
    code_of = {owner: code for code, owner in enumerate(owners)}
    codes = [UNKNOWN_CODE if owner is None else code_of[owner] for owner in of_each]
    return np.array(codes, np.int32), PackedIds.pack(owners)


def _to_json(item: CatalogueItem) -> bytes:
    return json.dumps(item.to_json(), ensure_ascii=False, separators=(",", ":")).encode()


def _join(texts: Sequence[bytes]) -> tuple[UInt8Array, Int64Array]:
    """All texts in one array, and where each begins; the last bound is the end."""
    bounds = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=bounds[1:])
    return np.frombuffer(b"".join(texts), np.uint8), bounds


def _part(joined: UInt8Array, bounds: Int64Array, index: int) -> bytes:
    return joined[bounds[index] : bounds[index + 1]].tobytes()
