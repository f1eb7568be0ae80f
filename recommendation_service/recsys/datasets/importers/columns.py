"""From the columns a file happens to have to ids, points, types and times that can be relied on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.id_map import MAX_ID_LENGTH
from recsys.datasets.weights import SIGNALS
from recsys.errors import DataError
from recsys.types import Float64Array, UInt8Array

# The names a column goes by in the files people have, without case or punctuation.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "user": ("user", "userid", "reviewerid", "customerid"),
    "item": (
        *("item", "itemid", "startup", "startupid", "movie", "movieid"),
        *("parentasin", "asin", "productid", "isbn", "bookid"),
    ),
    "rating": ("rating", "ratings", "score", "stars", "overall", "bookrating"),
    "type": ("type", "eventtype", "event", "action", "interactiontype"),
    "timestamp": ("timestamp", "occurredat", "ratedat", "time", "datetime", "date", "unixreviewtime"),
    "text": ("text", "reviewtext", "review", "comment"),
    "count": ("count", "n", "sales", "sold", "nsold", "unitssold", "quantity", "numsoldtime"),
}
LARGEST_RATING = float(np.finfo(np.float32).max)
# Numbers from here on are milliseconds, microseconds and nanoseconds: as seconds they would lie
# beyond the year 5138.
SMALLEST_MS, SMALLEST_US, SMALLEST_NS = 1e11, 1e14, 1e17


class CellError(Exception):
    """One value of a batch that cannot be used."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row = row


@contextmanager
def placing_errors(path: Path, locate: Callable[[int], str], n_before: int) -> Iterator[None]:
    """Turn a CellError of a batch into a DataError that names file and line.

    `n_before` rows of the file come before the batch.
    """
    try:
        yield
    except CellError as error:
        raise DataError(f"{path}, {locate(n_before + error.row)}: {error}") from error


def choose_columns(
    path: Path,
    available: tuple[str, ...],
    *,
    required: Iterable[str],
    optional: Iterable[str],
    named: Mapping[str, str],
) -> dict[str, str]:
    """Our name -> the file's name, for every required column and the optional ones it has.

    `named` is what the caller said ("user" -> "who"); the rest is found by the usual names.

    Raises:
        DataError: a required column is not found, one that was named is not in the file, or one column
            is two things.
    """
    unknown = set(named) - set(ALIASES)
    if unknown:
        raise DataError(f"There is no column {unknown.pop()!r} to name; known: {', '.join(ALIASES)}.")
    chosen = {}
    for ours, is_required in (*((n, True) for n in required), *((n, False) for n in optional)):
        found = _find_column(path, available, ours, named)
        if found is not None:
            chosen[ours] = found
        elif is_required:
            raise DataError(
                f"{path} has no column for the {ours}; it has: {', '.join(available)}. If {ours} has another "
                f"name there, give it as {ours}=NAME; in a text file the first line must name the columns."
            )
    shared = [name for name in chosen.values() if list(chosen.values()).count(name) > 1]
    if shared:
        raise DataError(
            f"The column {shared[0]!r} of {path} is named twice, for "
            f"{' and '.join(ours for ours, name in chosen.items() if name == shared[0])}; give each its own."
        )
    return chosen


def _find_column(path: Path, available: tuple[str, ...], ours: str, named: Mapping[str, str]) -> str | None:
    if ours in named:
        if named[ours] not in available:
            raise DataError(
                f"{path} has no column {named[ours]!r} for the {ours}; it has: {', '.join(available)}."
            )
        return named[ours]
    by_key = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(available)}
    return next((by_key[alias] for alias in ALIASES[ours] if alias in by_key), None)


def parse_ids(column: Any, kind: str) -> pa.Array:
    """(n,) string array of ids.

    Raises:
        CellError: an id is missing, empty, longer than 64 characters, or holds a NUL character.
    """
    ids = pc.utf8_trim_whitespace(_cast(column, pa.string(), f"the {kind} {{}} is not an id"))
    _refuse(pc.is_null(ids), f"it has no {kind}; fill it in or remove the line.")
    _refuse(pc.equal(ids, ""), f"it has no {kind}; fill it in or remove the line.")
    _refuse(pc.match_substring(ids, "\0"), f"its {kind} holds a NUL character; remove it.")
    too_long = pc.greater(pc.utf8_length(ids), MAX_ID_LENGTH)
    _refuse(too_long, f"its {kind} is longer than {MAX_ID_LENGTH} characters; shorten the ids.")
    return ids


def parse_ratings(column: Any) -> Float64Array:
    """(n,) float64 points that a float32 holds.

    Raises:
        CellError: a rating is missing, not a finite number, or too large.
    """
    ratings = _parse_numbers(column, "rating")
    _refuse(np.abs(ratings) > LARGEST_RATING, f"its rating is beyond {LARGEST_RATING:.1e}; correct it.")
    return ratings


def parse_counts(column: Any) -> Float64Array:
    """(n,) float64 from 0.

    Raises:
        CellError: a count is missing, not a finite number, or below 0.
    """
    counts = _parse_numbers(column, "count")
    _refuse(counts < 0, "its count is below 0; correct it.")
    return counts


def parse_types(column: Any) -> UInt8Array:
    """(n,) uint8 positions in SIGNALS; names in any case.

    Raises:
        CellError: a type is missing or unknown.
    """
    names = pc.utf8_lower(pc.utf8_trim_whitespace(_cast(column, pa.string(), "{} is not a type")))
    codes = pc.index_in(names, pa.array(SIGNALS))
    row = _first_true(pc.is_null(codes))
    if row is not None:
        raise CellError(row, f"the type {column[row].as_py()!r} is unknown; known: {', '.join(SIGNALS)}.")
    numbers: UInt8Array = codes.to_numpy(zero_copy_only=False).astype(np.uint8)
    return numbers


def parse_times(column: Any) -> Float64Array:
    """(n,) float64 UTC seconds from dates, ISO 8601 text (UTC when it names no zone) or numbers.

    Raises:
        CellError: a time is missing or is none of these.
    """
    if pa.types.is_temporal(column.type):
        return _seconds_of(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = pc.utf8_trim_whitespace(column)
        _refuse(pc.equal(text, ""), "it has no timestamp; fill it in, or leave the column out.")
        as_dates = _parse_iso(text)
        if as_dates is not None:
            return _seconds_of(as_dates)
    return _seconds_of_numbers(_parse_numbers(column, "timestamp"))


def parse_texts(column: Any) -> pa.Array:
    """(n,) string array; "" where nothing was written."""
    return pc.fill_null(_cast(column, pa.string(), "{} is not text"), "")


def _parse_iso(text: Any) -> Any:
    """Timestamps when the first value is a date, else None.

    Raises:
        CellError: the first value is a date and a later one is not, or not in the same style.
    """
    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("us")):
        try:
            text[:1].cast(kind)
        except pa.ArrowInvalid:
            continue
        return _cast(text, kind, "the timestamp {} is not written as those before it")
    return None


def _seconds_of(dates: Any) -> Float64Array:
    _refuse(pc.is_null(dates), "it has no timestamp; fill it in, or leave the column out.")
    microseconds = dates.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    return _check_times(microseconds.to_numpy(zero_copy_only=False) / 1e6)


def _seconds_of_numbers(numbers: Float64Array) -> Float64Array:
    size = np.abs(numbers)
    unit = np.select([size >= SMALLEST_NS, size >= SMALLEST_US, size >= SMALLEST_MS], [1e9, 1e6, 1e3], 1.0)
    return _check_times(numbers / unit)


def _check_times(seconds: Float64Array) -> Float64Array:
    _refuse(seconds < 0, "its timestamp lies before 1970; correct it.")
    return seconds


def _parse_numbers(column: Any, kind: str) -> Float64Array:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.utf8_trim_whitespace(column)
        _refuse(pc.equal(column, ""), f"it has no {kind}; fill it in or remove the line.")
    if pa.types.is_integer(column.type):  # nanoseconds do not fit a double exactly, and need not
        column = column.cast(pa.float64(), safe=False)
    numbers = _cast(column, pa.float64(), f"the {kind} {{}} is not a number; correct it")
    _refuse(pc.is_null(numbers), f"it has no {kind}; fill it in or remove the line.")
    values: Float64Array = numbers.to_numpy(zero_copy_only=False)
    _refuse(~np.isfinite(values), f"its {kind} is not a finite number; correct it.")
    return values


def _cast(column: Any, kind: Any, problem: str) -> Any:
    """Cast the column; the error names the first value that makes it fail."""
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        row = _first_failure(column, kind)
        raise CellError(row, problem.format(repr(column[row].as_py())) + ".") from None


def _first_failure(column: Any, kind: Any) -> int:
    """The shortest prefix that cannot be cast ends at this row."""
    good, bad = 0, len(column)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            column[:middle].cast(kind)
            good = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            bad = middle
    return bad - 1


def _refuse(is_bad: Any, problem: str) -> None:
    row = _first_true(is_bad)
    if row is not None:
        raise CellError(row, problem)


def _first_true(flags: Any) -> int | None:
    if not isinstance(flags, np.ndarray):
        flags = pc.fill_null(flags, False).to_numpy(zero_copy_only=False)
    return int(np.argmax(flags)) if flags.any() else None
