"""Outside ids (strings) to row or column numbers and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from recsys.errors import DataError
from recsys.types import Int32Array

MAX_ID_LENGTH = 64


class IdMap:
    """An ordered set of ids: id -> index from 0 without holes, and index -> id."""

    __slots__ = ("_index_of", "ids")

    def __init__(self, ids: Iterable[str]) -> None:
        """Build from ids in index order.

        Raises:
            DataError: an id comes twice, is empty, or is longer than 64 characters.
        """
        self.ids: tuple[str, ...] = tuple(ids)
        self._index_of = {outside_id: index for index, outside_id in enumerate(self.ids)}
        if len(self._index_of) != len(self.ids):
            raise DataError("The id list holds an id twice; every id must come once.")
        bad = next((i for i in self.ids if not 0 < len(i) <= MAX_ID_LENGTH), None)
        if bad is not None:
            raise DataError(f"The id {bad[:80]!r} must have 1 to {MAX_ID_LENGTH} characters.")

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, outside_id: object) -> bool:
        return outside_id in self._index_of

    def get(self, outside_id: str) -> int | None:
        """The index of an id, or None when it is not known."""
        return self._index_of.get(outside_id)

    def indices(self, outside_ids: Sequence[str]) -> Int32Array:
        """(n,) int32 indices; -1 where an id is not known."""
        return np.array([self._index_of.get(i, -1) for i in outside_ids], dtype=np.int32)

    def ids_of(self, indices: Int32Array) -> list[str]:
        """The id of each index."""
        return [self.ids[index] for index in indices.tolist()]

    def extended(self, more_ids: Iterable[str]) -> IdMap:
        """This map with the ids it lacks appended in the order given."""
        return IdMap((*self.ids, *(i for i in more_ids if i not in self._index_of)))

    def save(self, path: Path) -> None:
        """Write {"id": index, ...} as JSON."""
        path.write_text(json.dumps(self._index_of, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> IdMap:
        """Read a mapping file.

        Raises:
            DataError: the file is missing, not JSON, or its indices are not 0..n-1.
        """
        try:
            mapping = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"{path} does not exist; export the dataset again.") from None
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is not a JSON mapping ({error}); export the dataset again.") from error
        if not isinstance(mapping, dict) or not all(type(index) is int for index in mapping.values()):
            raise DataError(f"{path} must be a JSON object of id -> index; export the dataset again.")
        by_index = sorted(mapping, key=mapping.__getitem__)
        if [mapping[outside_id] for outside_id in by_index] != list(range(len(by_index))):
            raise DataError(f"{path} has holes or repeats in its indices; export the dataset again.")
        return cls(by_index)
