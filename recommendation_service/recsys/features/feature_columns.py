"""Typed feature columns: a table of what is known about users or items as numbers of one size.

Each column has a kind, told by name or by its Arrow type: a number (standardised, then held within
MAX_DEVIATIONS), a category (a 0/1 column a value; rare ones share "other"), a boolean, or tags
(several values a row). A missing value stands at the mean and, where training saw one, says so in a
column of its own. Every encoded column is centred on the training rows, so all zeros means "nothing
known". Ids are refused: as numbers they mean nothing, and at their size they drown everything else.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.features.feature_cells import (
    BOOLEAN,
    IGNORE,
    KINDS,
    NUMBER,
    TAGS,
    kind_of,
    read_numbers,
    read_values,
    refuse_id,
)
from recsys.types import BoolArray, Float64Array

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

MAX_VALUES = 50  # of a category or of tags that get a column of their own
MIN_ROWS = 5  # a value in fewer training rows is rare
MAX_DEVIATIONS = 5.0  # a number further from the mean counts as this far
OTHER, MISSING = "(other)", "(missing)"


@dataclass(frozen=True, slots=True)
class Column:
    """What was learned of one column: `values` and `means` of its 0/1 columns, `mean` and `deviation`
    of a number. A number that lacked values in training has one 0/1 column, MISSING."""

    name: str
    kind: str
    mean: float
    deviation: float
    values: tuple[str, ...]
    means: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FeatureColumns:
    """The encoding of one table. `dropped`: name -> why a column was left out."""

    owner: str
    columns: tuple[Column, ...]
    dropped: Mapping[str, str]

    @classmethod
    def fit(cls, table: pa.Table, *, owner: str, kinds: Mapping[str, str] | None = None) -> Self:
        """Learn the encoding from the training rows.

        Args:
            table: a row a user or item.
            owner: "user" or "item", for messages.
            kinds: kinds by name, for columns whose Arrow type does not tell; "ignore" leaves one out.

        Raises:
            ConfigError: `kinds` names a column or a kind there is not.
            DataError: a column is an id, has a type that cannot be encoded, holds an infinite number,
                or comes twice.
        """
        kinds = dict(kinds or {})
        _check_names(table, owner, kinds)
        columns, dropped = [], {}
        for name in table.column_names:
            kind = kinds.get(name) or kind_of(table.schema.field(name), owner)
            if kind == IGNORE:
                dropped[name] = "asked to be ignored"
                continue
            refuse_id(table, name, kind, owner, told=name in kinds)
            column = _fit_column(table, name, kind, owner)
            if isinstance(column, str):
                dropped[name] = column
            else:
                columns.append(column)
        return cls(owner, tuple(columns), dropped)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the encoded columns, in order: "age", "gender=F", "genres=Comedy"."""
        names: list[str] = []
        for column in self.columns:
            names += [column.name] if column.kind in (NUMBER, BOOLEAN) else []
            names += [f"{column.name}={value}" for value in column.values]
        return tuple(names)

    def encode(self, table: pa.Table) -> Float64Array:
        """(n_rows, n_encoded) finite float64, 0 where nothing is known; columns not learned are not read.

        Raises:
            DataError: a learned column is missing, cannot be read as its kind, or is infinite.
        """
        parts = [np.empty((table.num_rows, 0))]
        for column in self.columns:
            if column.name not in table.column_names:
                raise DataError(
                    f"The {self.owner} features lack the column {column.name!r}; they have "
                    f"{', '.join(table.column_names) or 'none'}. Add it (empty cells may be null)."
                )
            parts.append(_encode_column(table, column, self.owner))
        return np.hstack(parts)

    def summary(self) -> str:
        """What is read and what is left out, in a line."""
        read = ", ".join(column.name for column in self.columns) or "none"
        out = ", ".join(f"{name} ({why})" for name, why in self.dropped.items())
        return f"{len(self.names):,} columns of {read}" + (f"; left out: {out}" if out else "")

    def as_json(self) -> dict[str, Any]:
        """Plain values, for a JSON file."""
        return {
            "owner": self.owner,
            "columns": [asdict(c) for c in self.columns],
            "dropped": dict(self.dropped),
        }

    @classmethod
    def from_json(cls, values: object) -> Self:
        """What `as_json` gave.

        Raises:
            ArtifactError: it did not give this.
        """
        try:
            columns = tuple(_column_from_json(one) for one in values["columns"])  # type: ignore[index]
            return cls(str(values["owner"]), columns, dict(values["dropped"]))  # type: ignore[index]
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"The stored feature columns are damaged ({error!r}); train again."
            ) from error


def fit_and_encode(
    table: pa.Table, known: BoolArray, *, owner: str, kinds: Mapping[str, str] | None = None
) -> tuple[FeatureColumns, Float64Array]:
    """Learn the encoding from the rows that are `known` (n_rows,); encode all of them (n_rows, n_encoded).

    What is left out is logged. Errors: those of `FeatureColumns.fit` and `encode`.
    """
    columns = FeatureColumns.fit(table.filter(known), owner=owner, kinds=kinds)
    logger.info("%s features: %s", owner, columns.summary())
    return columns, columns.encode(table)


def _column_from_json(one: Mapping[str, Any]) -> Column:
    column = Column(
        str(one["name"]), str(one["kind"]), float(one["mean"]), float(one["deviation"]),
        tuple(map(str, one["values"])), tuple(map(float, one["means"])),
    )  # fmt: skip
    sound = column.kind in KINDS and column.deviation > 0 and len(column.values) == len(column.means)
    if not sound or not np.isfinite([column.mean, column.deviation, *column.means]).all():
        raise ValueError(column.name)
    return column


def _check_names(table: pa.Table, owner: str, kinds: Mapping[str, str]) -> None:
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise DataError(f"The {owner} features have the column {twice[0]!r} more than once; rename one.")
    for name, kind in kinds.items():
        if name not in table.column_names:
            raise ConfigError(
                f"There is no {owner} feature {name!r} to be a {kind}; there are "
                f"{', '.join(table.column_names)}."
            )
        if kind not in KINDS:
            raise ConfigError(
                f"The {owner} feature {name!r} cannot be a {kind!r}; say one of {', '.join(KINDS)}."
            )


def _fit_column(table: pa.Table, name: str, kind: str, owner: str) -> Column | str:
    """The column learned, or in words why it is of no use."""
    if kind in (NUMBER, BOOLEAN):
        return _fit_number(name, kind, read_numbers(table, name, owner))
    rows = read_values(table, name, kind, owner)
    known = [row for row in rows if row is not None]
    counts = Counter(value for row in known for value in row)
    frequent = sorted((v for v, n in counts.items() if n >= MIN_ROWS), key=lambda v: (-counts[v], v))[
        :MAX_VALUES
    ]
    values = [*frequent, OTHER, MISSING]
    means = _indicators(rows, values).mean(axis=0) if rows else np.zeros(len(values))
    told_apart = [(v, float(m)) for v, m in zip(values, means, strict=True) if 0 < m < 1]
    if not told_apart:
        found = f"all {len(counts):,} values are rare" if len(counts) > 1 else "it has one value"
        return f"constant: {found}"
    return Column(name, kind, 0.0, 1.0, tuple(v for v, _ in told_apart), tuple(m for _, m in told_apart))


def _fit_number(name: str, kind: str, numbers: Float64Array) -> Column | str:
    known = numbers[~np.isnan(numbers)]
    if len(known) == 0:
        return "no value at all"
    largest = float(np.abs(known).max()) or 1.0  # divided out first: squares of 1e200 overflow
    mean, deviation = float((known / largest).mean()), float((known / largest).std())
    missing = 1.0 - len(known) / len(numbers)
    if deviation <= 1e-12:
        if not missing:
            return f"constant: {known[0]:g} in every row"
        deviation = 1.0  # one value or none: only whether there is one tells rows apart
    spread = deviation * largest
    if not np.isfinite(spread) or spread < np.finfo(np.float64).tiny:
        return f"constant: its spread of {spread:g} cannot be told from 0"
    values, means = ((MISSING,), (missing,)) if missing else ((), ())
    return Column(name, kind, mean * largest, spread, values, means)


def _encode_column(table: pa.Table, column: Column, owner: str) -> Float64Array:
    if column.kind in (NUMBER, BOOLEAN):
        numbers = read_numbers(table, column.name, owner)
        missing = np.isnan(numbers)
        with np.errstate(over="ignore"):  # a value far outside training's: held at the bound
            standard = np.where(missing, 0.0, numbers / column.deviation - column.mean / column.deviation)
        held = np.clip(standard, -MAX_DEVIATIONS, MAX_DEVIATIONS)[:, None]
        return np.hstack((held, missing[:, None] - np.array(column.means))) if column.values else held
    rows = read_values(table, column.name, column.kind, owner)
    encoded = _indicators(rows, column.values)
    # A single value nobody saw in training, or none where training always had one, tells nothing.
    tells: BoolArray = np.array([row is not None and column.kind == TAGS for row in rows], np.bool_)
    tells |= np.any(encoded, axis=1)
    centred: Float64Array = np.where(tells[:, None], encoded - np.array(column.means), 0.0)
    return centred


def _indicators(rows: Sequence[tuple[str, ...] | None], values: Sequence[str]) -> Float64Array:
    """(n_rows, n_values) of 0 and 1; a value not among them counts as OTHER, None as MISSING."""
    place = {value: position for position, value in enumerate(values)}
    encoded = np.zeros((len(rows), len(values)))
    for number, row in enumerate(rows):
        for value in (MISSING,) if row is None else row:
            position = place.get(value, place.get(OTHER) if row is not None else None)
            if position is not None:
                encoded[number, position] = 1.0
    return encoded
