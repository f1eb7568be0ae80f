"""Ratings and acts out of the files people have, a batch at a time, every value checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from recsys.datasets.catalogue import Catalogue
from recsys.datasets.importers.book_crossing import SCALE as BOOK_CROSSING_SCALE
from recsys.datasets.importers.book_crossing import find_book_crossing, read_books
from recsys.datasets.importers.columns import (
    CellError,
    choose_columns,
    parse_ids,
    parse_ratings,
    parse_texts,
    parse_times,
    parse_types,
    placing_errors,
)
from recsys.datasets.importers.movielens import find_movielens, read_films
from recsys.datasets.importers.rating_types import DEFAULT_RATING_TYPES, SKIPPED, RatingTypes
from recsys.datasets.importers.tables import Table, open_table
from recsys.datasets.ratings import RatingBatch
from recsys.errors import ConfigError, DataError
from recsys.types import Float64Array, UInt8Array

FORMATS = ("movielens", "book-crossing", "csv", "parquet", "jsonl")
Columns = Mapping[str, Any]  # our name -> a pyarrow array
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a file that does not follow the usual ways.

    `columns` maps our names (user, item, rating, type, timestamp, text) to the file's own.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"


def parse_columns(text: str) -> dict[str, str]:
    """`user=member,item=company` as {"user": "member", "item": "company"}.

    Raises:
        ConfigError: it is not written so.
    """
    pairs = [pair.partition("=") for pair in text.split(",")]
    named = {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
    if not all((*named, *named.values())) or len(named) < len(pairs):
        raise ConfigError(
            f"{text!r} is not NAME=COLUMN,... with each name once; write it like user=member,item=company."
        )
    return named


USUAL = ReadOptions()


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Some acts as columns of one length, in the order of their source.

    `user_ids` and `item_ids` are pyarrow string arrays; `type_codes` uint8 positions in SIGNALS;
    `occurred_at` float64 UTC seconds, or None when the source has no times.
    """

    user_ids: pa.Array
    item_ids: pa.Array
    type_codes: UInt8Array
    occurred_at: Float64Array | None

    def __len__(self) -> int:
        return len(self.type_codes)

    def parts(self, size: int) -> Iterator[EventBatch]:
        """The same acts in order, at most `size` at a time."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield EventBatch(
                self.user_ids[part],
                self.item_ids[part],
                self.type_codes[part],
                None if self.occurred_at is None else self.occurred_at[part],
            )


def read_ratings(path: Path, file_format: str, options: ReadOptions = USUAL) -> Iterator[RatingBatch]:
    """Ratings of a file or a MovieLens folder, in its order, in bounded memory.

    Raises:
        DataError: the file is missing or damaged, lacks a column, or holds a value that cannot be
            used; the message names file, line and mend.
    """
    table = _open(path, file_format, options)
    chosen = _choose(table, ("user", "item", "rating"), ("timestamp", "text"), options)
    yield from _converted(table, chosen, _as_ratings)


def read_events(
    path: Path,
    file_format: str,
    options: ReadOptions = USUAL,
    *,
    rating_types: RatingTypes = DEFAULT_RATING_TYPES,
    not_after_s: float = np.inf,
) -> Iterator[EventBatch]:
    """Acts of a file: as they are when it has a type column, otherwise made of its ratings.

    Args:
        path: a file, or a MovieLens folder.
        file_format: one of FORMATS.
        options: names of columns and the encoding.
        rating_types: what a rating becomes.
        not_after_s: UTC seconds; a later act is refused.

    Raises:
        DataError: as `read_ratings`; also an unknown type, a rating that `rating_types` does not
            cover, or a time after `not_after_s`.
    """
    table = _open(path, file_format, options)
    chosen = _choose(table, ("user", "item"), ("type", "rating", "timestamp"), options)
    if "type" not in chosen and "rating" not in chosen:
        chosen |= _choose(table, ("rating",), (), options)  # raises, naming what is there

    def as_events(columns: Columns) -> EventBatch:
        return _as_events(columns, rating_types, not_after_s)

    yield from _converted(table, chosen, as_events)


def count_rows(path: Path, file_format: str) -> int:
    """How many rows there are, a header or an empty line more or less: for a progress bar.

    Raises:
        DataError: the file is missing or cannot be read.
    """
    return _open(path, file_format, USUAL).count_rows()


def scale_of(path: Path, file_format: str) -> tuple[float, float] | None:
    """The lowest and the highest points of a format that has a scale of its own; None of one that has not.

    Raises:
        DataError: the file is missing.
    """
    if file_format == "movielens":
        return find_movielens(path).scale
    return BOOK_CROSSING_SCALE if file_format == "book-crossing" else None


def read_catalogue(path: Path, file_format: str) -> Catalogue | None:
    """The films of a MovieLens or the books of a Book-Crossing folder; None where nothing describes them.

    Raises:
        DataError: the file of films or books is damaged.
    """
    if file_format == "movielens":
        films = find_movielens(path).films
        return None if films is None else Catalogue(tuple(read_films(films)))
    if file_format == "book-crossing":
        books = find_book_crossing(path).books
        return None if books is None else Catalogue(tuple(read_books(books)))
    return None


def _open(path: Path, file_format: str, options: ReadOptions) -> Table:
    if file_format == "movielens":
        return find_movielens(path).ratings
    if file_format == "book-crossing":
        return find_book_crossing(path).ratings
    if file_format not in FORMATS:
        raise DataError(f"The format {file_format!r} is unknown; known: {', '.join(FORMATS)}.")
    return open_table(path, file_format, encoding=options.encoding)


def _choose(
    table: Table, required: tuple[str, ...], optional: tuple[str, ...], options: ReadOptions
) -> dict[str, str]:
    return choose_columns(
        table.path, table.columns(), required=required, optional=optional, named=options.columns
    )


def _converted(table: Table, chosen: Mapping[str, str], convert: Callable[[Columns], T]) -> Iterator[T]:
    n_before = 0
    for batch in table.batches(chosen):
        columns = dict(zip(chosen, batch.columns, strict=True))
        with placing_errors(table.path, table.locate, n_before):
            converted = convert(columns)
        yield converted
        n_before += batch.num_rows


def _as_ratings(columns: Columns) -> RatingBatch:
    return RatingBatch(
        parse_ids(columns["user"], "user"),
        parse_ids(columns["item"], "item"),
        parse_ratings(columns["rating"]).astype(np.float32),
        parse_times(columns["timestamp"]) if "timestamp" in columns else None,
        parse_texts(columns["text"]) if "text" in columns else None,
    )


def _as_events(columns: Columns, rating_types: RatingTypes, not_after_s: float) -> EventBatch:
    users, items = parse_ids(columns["user"], "user"), parse_ids(columns["item"], "item")
    if "type" in columns:
        codes = parse_types(columns["type"])
    else:
        codes = rating_types.codes(parse_ratings(columns["rating"]))
    occurred_at = parse_times(columns["timestamp"]) if "timestamp" in columns else None
    if occurred_at is not None and (occurred_at > not_after_s).any():
        row = int(np.argmax(occurred_at > not_after_s))
        raise CellError(row, "it happened in the future; correct its timestamp.")
    kept = codes != SKIPPED
    if kept.all():
        return EventBatch(users, items, codes, occurred_at)
    return EventBatch(
        users.filter(pa.array(kept)),
        items.filter(pa.array(kept)),
        codes[kept],
        None if occurred_at is None else occurred_at[kept],
    )
