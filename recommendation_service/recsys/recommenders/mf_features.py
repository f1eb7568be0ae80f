"""Side features of mf: the columns of a table as numbers, a row a user or item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.errors import DataError
from recsys.types import Float32Array

if TYPE_CHECKING:
    import pyarrow as pa

FEW_VALUES = 50  # a category with no more is taken whatever the number of rows
MOST_VALUES = 5_000  # of a category; more are ids or free text, of which no row shares enough with others


def encode_features(table: pa.Table) -> Float32Array:
    """(n_rows, n_features) float32: numbers standardised, a column a value of a category or a list.

    The values of a list weigh 1 / sqrt(its length). A missing number is the mean, a missing
    category or list has no value. A column that says the same of every row adds nothing and is left out.

    Raises:
        DataError: a column is of a type that has no meaning here, holds a number that is not finite, or
            has a value of its own for most rows, as an id has.
    """
    import pyarrow as pa

    blocks = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
            blocks.append(_number(name, column))
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
            blocks.append(_values(name, [[] if one is None else [one] for one in column.to_pylist()]))
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            blocks.append(_values(name, [one or [] for one in column.to_pylist()]))
        else:
            raise DataError(f"Column {name} is of type {kind}; use numbers, text, or lists of text.")
    if not blocks:
        return np.zeros((table.num_rows, 0), np.float32)
    features: Float32Array = np.concatenate(blocks, axis=1)
    return np.ascontiguousarray(features[:, np.ptp(features, axis=0) > 0], np.float32)


def _number(name: str, column: pa.ChunkedArray) -> Float32Array:
    import pyarrow as pa

    numbers = column.cast(pa.float64()).to_numpy().copy()
    missing = column.is_null().to_numpy()
    bad = np.flatnonzero(~np.isfinite(numbers) & ~missing)
    if len(bad):
        raise DataError(f"Column {name} has {numbers[bad[0]]} in row {bad[0]:,}; it must be a finite number.")
    known = numbers[~missing]
    if len(known) == 0:
        return np.zeros((len(numbers), 1), np.float32)
    numbers[missing] = known.mean()
    spread = known.std()
    standard: Float32Array = ((numbers - known.mean()) / (spread if spread > 0 else 1.0)).astype(np.float32)
    return standard[:, None]


def _values(name: str, rows: list[list[Any]]) -> Float32Array:
    values = sorted({value for row in rows for value in row})
    has_any = sum(bool(row) for row in rows)
    if len(values) > MOST_VALUES or (len(values) > max(has_any / 2, FEW_VALUES)):
        raise DataError(
            f"Column {name} has {len(values):,} values in {has_any:,} rows, as ids and free text have; "
            "leave it out, or put its values into groups."
        )
    place = {value: column for column, value in enumerate(values)}
    encoded = np.zeros((len(rows), len(values)), np.float32)
    for row, present in enumerate(rows):
        for value in present:
            encoded[row, place[value]] = len(present) ** -0.5
    return encoded
