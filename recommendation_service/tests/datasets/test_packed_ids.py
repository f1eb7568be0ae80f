"""Packed ids answer as an IdMap does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.id_map import IdMap
from recsys.datasets.packed_ids import ExtendedIds, PackedIds
from recsys.errors import DataError

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(
    lambda text: not text.endswith("\0")
)
several = st.lists(texts, unique=True, max_size=12)


@given(ids=several, asked=st.lists(st.text(max_size=8), max_size=8), split=st.integers(0, 12))
def test_they_find_what_a_dictionary_finds(ids: list[str], asked: list[str], split: int) -> None:
    plain, packed = IdMap(ids), PackedIds.pack(ids)
    extended = ExtendedIds(PackedIds.pack(ids[:split]), IdMap(ids[split:]))
    asked = [*asked, *ids, *(f"{one}\0" for one in ids), *(one[:-1] for one in ids)]
    for other in (packed, extended):
        assert list(other.ids) == [other.ids[index] for index in range(len(other))] == ids
        assert other.indices(asked).tolist() == plain.indices(asked).tolist()
        assert other.indices(asked).dtype == np.int32
        backwards = np.arange(len(ids), dtype=np.int32)[::-1]
        assert other.ids_of(backwards) == plain.ids_of(backwards) == ids[::-1]
        assert [other.get(one) for one in asked] == [plain.get(one) for one in asked]
        assert [one in other for one in asked] == [one in plain for one in asked]


def test_an_id_that_bytes_cannot_hold_is_refused() -> None:
    with pytest.raises(DataError, match="zero character"):
        PackedIds.pack(["a", "b\0"])


@pytest.mark.parametrize(
    ("sorted_ids", "index_of", "place_of"),
    [
        (["b", "a"], [0, 1], [0, 1]),
        (["a", "a"], [0, 1], [0, 1]),
        (["a", "b"], [0, 2], [0, 1]),
        (["a", "b"], [0, -1], [0, 1]),
        (["a", "b"], [1, 1], [0, 1]),
        (["a", "b"], [1, 0], [0, 1]),
        (["a", "b"], [0], [0, 1]),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(
    sorted_ids: list[str], index_of: list[int], place_of: list[int]
) -> None:
    with pytest.raises(DataError, match="do not fit"):
        PackedIds(np.array(sorted_ids, np.bytes_), np.array(index_of, np.int32), np.array(place_of, np.int32))
