"""Ids as sorted bytes: a million take 44 MB that every process maps, instead of 250 MB in each.

An `IdMap` is quicker to build and to ask; these are for what is written once and served by many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.datasets.id_map import IdMap
from recsys.errors import DataError
from recsys.types import Int32Array

BytesArray = NDArray[np.bytes_]


class Ids(Protocol):
    """Ids in index order."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> str: ...
    def __iter__(self) -> Iterator[str]: ...


class IdIndex(Protocol):
    """What can be asked of an ordered set of ids, however it is held; see `IdMap`."""

    @property
    def ids(self) -> Ids:
        """Index -> id."""

    def __len__(self) -> int: ...
    def __contains__(self, outside_id: object) -> bool: ...

    def get(self, outside_id: str) -> int | None:
        """The index of an id, or None when it is not known."""

    def indices(self, outside_ids: Sequence[str]) -> Int32Array:
        """(n,) int32 indices; -1 where an id is not known."""

    def ids_of(self, indices: Int32Array) -> list[str]:
        """The id of each index."""


class PackedIds:
    """An ordered set of ids in three arrays, which may be memory-mapped; an id is found by bisection.

    `sorted_ids` (n,) fixed-width UTF-8 in ascending order; `index_of` (n,) int32 the index of each of
    them; `place_of` (n,) int32 the place among them of each index.
    """

    __slots__ = ("index_of", "place_of", "sorted_ids")

    def __init__(self, sorted_ids: BytesArray, index_of: Int32Array, place_of: Int32Array) -> None:
        """From the arrays of another one.

        Raises:
            DataError: they do not fit each other.
        """
        n = len(sorted_ids)
        fits = len(index_of) == len(place_of) == n and bool((sorted_ids[1:] > sorted_ids[:-1]).all())
        in_range = n == 0 or (fits and index_of.min() >= 0 and index_of.max() < n)
        if not (fits and in_range and np.array_equal(place_of[index_of], np.arange(n))):
            raise DataError("The sorted ids, their indices and their places do not fit each other.")
        self.sorted_ids, self.index_of, self.place_of = sorted_ids, index_of, place_of

    @classmethod
    def pack(cls, ids: Sequence[str]) -> PackedIds:
        """From different ids in index order.

        Raises:
            DataError: an id ends in a zero character, which fixed-width bytes cannot hold.
        """
        encoded = [outside_id.encode() for outside_id in ids]
        bad = next((i for i in encoded if i.endswith(b"\0")), None)
        if bad is not None:
            raise DataError(f"The id {bad.decode()!r} ends in a zero character; give it another id.")
        in_order = np.array(encoded, np.bytes_) if encoded else np.empty(0, "S1")
        index_of = np.argsort(in_order, kind="stable").astype(np.int32)
        place_of = np.empty_like(index_of)
        place_of[index_of] = np.arange(len(index_of), dtype=np.int32)
        return cls(in_order[index_of], index_of, place_of)

    @property
    def ids(self) -> Ids:
        """Index -> id, decoded when asked for."""
        return _PackedIdsInOrder(self)

    def __len__(self) -> int:
        return len(self.sorted_ids)

    def __contains__(self, outside_id: object) -> bool:
        return isinstance(outside_id, str) and self.get(outside_id) is not None

    def get(self, outside_id: str) -> int | None:
        """The index of an id, or None when it is not known."""
        index = int(self.indices((outside_id,))[0])
        return None if index < 0 else index

    def indices(self, outside_ids: Sequence[str]) -> Int32Array:
        """(n,) int32 indices; -1 where an id is not known."""
        if len(self) == 0 or len(outside_ids) == 0:
            return np.full(len(outside_ids), -1, np.int32)
        width = self.sorted_ids.dtype.itemsize
        # An empty key stands for what cannot be here: no id is empty.
        encoded = [outside_id.encode("utf-8", "surrogatepass") for outside_id in outside_ids]
        keys = np.array(
            [b"" if len(key) > width or key.endswith(b"\0") else key for key in encoded],
            self.sorted_ids.dtype,
        )
        places = np.minimum(self.sorted_ids.searchsorted(keys), len(self) - 1)
        found = self.sorted_ids[places] == keys
        return np.where(found, self.index_of[places], np.int32(-1)).astype(np.int32)

    def ids_of(self, indices: Int32Array) -> list[str]:
        """The id of each index."""
        ids: list[bytes] = self.sorted_ids[self.place_of[indices]].tolist()
        return [outside_id.decode("utf-8", "surrogatepass") for outside_id in ids]


class _PackedIdsInOrder:
    __slots__ = ("_packed",)

    def __init__(self, packed: PackedIds) -> None:
        self._packed = packed

    def __len__(self) -> int:
        return len(self._packed)

    def __getitem__(self, index: int, /) -> str:
        outside_id: bytes = self._packed.sorted_ids[self._packed.place_of[index]]
        return outside_id.decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))


class ExtendedIds:
    """Ids with a few more behind them."""

    __slots__ = ("_base", "_more")

    def __init__(self, base: IdIndex, more: IdMap) -> None:
        """`more` holds ids that `base` lacks."""
        self._base, self._more = base, more

    @property
    def ids(self) -> Ids:
        """Index -> id."""
        return _Chained(self._base.ids, self._more.ids)

    def __len__(self) -> int:
        return len(self._base) + len(self._more)

    def __contains__(self, outside_id: object) -> bool:
        return outside_id in self._more or outside_id in self._base

    def get(self, outside_id: str) -> int | None:
        """The index of an id, or None when it is not known."""
        index = self._more.get(outside_id)
        return self._base.get(outside_id) if index is None else len(self._base) + index

    def indices(self, outside_ids: Sequence[str]) -> Int32Array:
        """(n,) int32 indices; -1 where an id is not known."""
        more = self._more.indices(outside_ids)
        return np.where(more >= 0, more + np.int32(len(self._base)), self._base.indices(outside_ids))

    def ids_of(self, indices: Int32Array) -> list[str]:
        """The id of each index."""
        return [self.ids[index] for index in indices.tolist()]


class _Chained:
    __slots__ = ("_base", "_more")

    def __init__(self, base: Ids, more: Ids) -> None:
        self._base, self._more = base, more

    def __len__(self) -> int:
        return len(self._base) + len(self._more)

    def __getitem__(self, index: int, /) -> str:
        n = len(self._base)
        return self._base[index] if index < n else self._more[index - n]

    def __iter__(self) -> Iterator[str]:
        yield from self._base
        yield from self._more
