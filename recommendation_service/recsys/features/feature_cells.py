"""The cells of a table of features: of what kind a column is, its numbers or values, whether it is an id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import DataError
from recsys.types import BoolArray, Float64Array

if TYPE_CHECKING:
    import pyarrow as pa

NUMBER, CATEGORY, BOOLEAN, TAGS, IGNORE = "number", "category", "boolean", "tags", "ignore"
KINDS = (NUMBER, CATEGORY, BOOLEAN, TAGS, IGNORE)
KINDS_IN_WORDS = f"a mapping of column to kind, each {', '.join(KINDS[:-1])} or {KINDS[-1]}"
ID_NAME = re.compile(r"(?i:(?:^|[_\s-])(?:id|uuid|guid))$|[a-z]I[dD]$")
TAG_SEPARATOR = "|"  # between the tags of a row that is one string
MIN_ROWS_OF_AN_ID = 20  # so many consecutive whole numbers, each once, are an id by whatever name


def are_kinds(kinds: Mapping[str, str]) -> bool:
    """Whether every column is said to be of a kind there is."""
    return all(kind in KINDS for kind in kinds.values())


def kind_of(field: pa.Field, owner: str) -> str:
    from pyarrow import types

    kind = field.type
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_boolean(kind):
        return BOOLEAN
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return NUMBER
    if types.is_string(kind) or types.is_large_string(kind):
        return CATEGORY
    if types.is_list(kind) or types.is_large_list(kind):
        return TAGS
    if types.is_null(kind):
        return NUMBER  # nothing but missing values: dropped as constant
    raise DataError(
        f"The {owner} feature {field.name!r} has the type {field.type}; turn it into a number, text, boolean "
        "or list of texts (of a date: the year), or ignore it."
    )


def refuse_id(table: pa.Table, name: str, kind: str, owner: str, *, told: bool) -> None:
    """An id by name is refused unless it is said to be a category; by its values, unless told a number."""
    by_name = ID_NAME.search(name) and not (told and kind in (CATEGORY, TAGS))
    if by_name or (kind == NUMBER and not told and _counts_rows(table[name])):
        found = "an id by its name" if by_name else "consecutive whole numbers, each once: an id"
        raise DataError(
            f"The {owner} feature {name!r} is {found}; ids say nothing about likeness. Take the column out, "
            f"ignore it ({owner}_columns={name}:{IGNORE}), or (when its values are shared) say that it is a "
            f"category ({owner}_columns={name}:{CATEGORY})."
        )


def _counts_rows(values: pa.ChunkedArray) -> bool:
    from pyarrow import types

    if not types.is_integer(values.type) or values.null_count or len(values) < MIN_ROWS_OF_AN_ID:
        return False
    numbers = np.sort(values.to_numpy())
    return bool((np.diff(numbers) == 1).all())


def read_numbers(table: pa.Table, name: str, owner: str) -> Float64Array:
    """(n,) float64, NaN where there is none."""
    import pyarrow as pa

    try:
        values = table[name].combine_chunks()
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        numbers: Float64Array = np.array(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    except (pa.ArrowException, ValueError) as error:
        raise DataError(
            f"The {owner} feature {name!r} cannot be read as numbers ({error}); correct it, or say that "
            "it is a category."
        ) from error
    infinite: BoolArray = np.isinf(numbers)
    if infinite.any():
        raise DataError(
            f"The {owner} feature {name!r} is infinite in {int(infinite.sum()):,} rows, the first row "
            f"{int(infinite.argmax())}; correct it or leave the cell empty."
        )
    return numbers


def read_values(table: pa.Table, name: str, kind: str, owner: str) -> list[tuple[str, ...] | None]:
    """Each row's values as texts, None where there is none."""
    cells = table[name].to_pylist()
    if kind == CATEGORY:
        if any(isinstance(cell, list) for cell in cells):
            raise DataError(f"The {owner} feature {name!r} has lists; say that it holds tags.")
        return [None if _is_missing(cell) else (str(cell),) for cell in cells]
    rows: list[tuple[str, ...] | None] = []
    for cell in cells:
        if not (cell is None or isinstance(cell, str | list)):
            raise DataError(
                f"The {owner} feature {name!r} has {cell!r} where tags are to stand; give a list of texts, "
                f"or one text with {TAG_SEPARATOR} between the tags."
            )
        tags = cell.split(TAG_SEPARATOR) if isinstance(cell, str) else cell
        rows.append(
            None if tags is None else tuple(dict.fromkeys(str(t) for t in tags if not _is_missing(t)))
        )
    return rows


def _is_missing(cell: object) -> bool:
    return cell is None or cell == "" or cell != cell  # NaN is not itself
