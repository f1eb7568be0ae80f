"""Files of rows, read a bounded number of rows at a time: delimited text, Parquet, JSON lines."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from recsys.errors import DataError

DELIMITERS = ",;\t|"
BLOCK_BYTES = 4 * 1024 * 1024  # of text at a time
BATCH_ROWS = 65_536


class Table(Protocol):
    """A file of rows with named columns."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        ...

    def columns(self) -> tuple[str, ...]:
        """The names of its columns, as the file has them."""
        ...

    def batches(self, columns: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """Its rows in order; `columns` maps the names wanted to the file's own."""
        ...

    def locate(self, row: int) -> str:
        """Where a person finds row number `row` (from 0): "line 7"."""
        ...

    def count_rows(self) -> int:
        """How many rows there are; text may count a header or an empty line among them."""
        ...


def open_table(path: Path, table_format: str, *, encoding: str = "utf-8") -> Table:
    """A CSV (any of , ; tab | between columns), Parquet or JSON lines file with named columns.

    Raises:
        DataError: the file is not there, or the format is unknown.
    """
    check_file(path)
    match table_format:
        case "csv":
            return DelimitedTable(path, encoding=encoding)
        case "parquet":
            return ParquetTable(path)
        case "jsonl":
            return JsonLinesTable(path, encoding=encoding)
    raise DataError(f"The format {table_format!r} is unknown; give csv, parquet or jsonl.")


def check_file(path: Path) -> None:
    """Refuse a path that cannot be read as a file.

    Raises:
        DataError: it does not exist, or is a folder or a device.
    """
    where = path.absolute()
    if not path.exists():
        raise DataError(f"{where} does not exist; check the path.")
    if path.is_dir():
        raise DataError(f"{where} is a folder; name the file in it.")
    if not path.is_file():
        raise DataError(f"{where} is not a file; name a file.")


@dataclass(frozen=True)
class DelimitedTable:
    """Text with a character between columns; a .gz file is unpacked while it is read.

    `delimiter` None: the one that comes most often in the first line. `names` None: the first
    line names the columns; otherwise the file has no such line. `escape`: the character before one
    that means itself, where the file has such.
    """

    path: Path
    delimiter: str | None = None
    names: tuple[str, ...] | None = None
    encoding: str = "utf-8"
    escape: str | None = None

    def columns(self) -> tuple[str, ...]:
        """The names in the first line, or the ones given.

        Raises:
            DataError: the file is empty, or names a column twice.
        """
        if self.names is not None:
            return self.names
        names = next(csv.reader([self._first_line()], delimiter=self.delimiter_used()), [])
        stripped = tuple(name.strip() for name in names)
        twice = {name for name in stripped if stripped.count(name) > 1}
        if twice:
            raise DataError(f"{self.path}, line 1: the column {twice.pop()!r} comes twice; rename one.")
        return stripped

    def batches(self, columns: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """Rows with every value as text; an empty value stays empty.

        Raises:
            DataError: a line has too few or too many values, or is not in the encoding.
        """
        names = self.columns()
        with self._reading():
            reader = pa_csv.open_csv(
                str(self.path),
                read_options=pa_csv.ReadOptions(
                    use_threads=False,
                    block_size=BLOCK_BYTES,
                    column_names=names,
                    skip_rows=0 if self.names else 1,
                    encoding=self.encoding,
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=self.delimiter_used(),
                    newlines_in_values=True,
                    escape_char=self.escape or False,
                ),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=list(columns.values()),
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=False,
                ),
            )
            for batch in reader:
                yield batch.rename_columns(list(columns))

    def locate(self, row: int) -> str:
        """The line on which the row ends, blank lines and line breaks in quotes counted."""
        n_before = row + (1 if self.names is None else 0)
        with _open_text(self.path, self.encoding, errors="replace") as text:
            rows = csv.reader(text, delimiter=self.delimiter_used(), escapechar=self.escape)
            try:
                next(islice((values for values in rows if values), n_before, None), None)
            except csv.Error:  # a value longer than the csv module reads
                return f"row {row + 1}"
            return f"line {rows.line_num}"

    def count_rows(self) -> int:
        """The number of lines.

        Raises:
            DataError: the file is not what its ending .gz says.
        """
        with self._reading():
            return _count_lines(self.path)

    def delimiter_used(self) -> str:
        """The one given, or the one found in the first line."""
        if self.delimiter is not None:
            return self.delimiter
        line = self._first_line()
        return max(DELIMITERS, key=line.count)

    def _first_line(self) -> str:
        with self._reading(), _open_text(self.path, self.encoding) as text:
            line = text.readline()
        if not line.strip():
            raise DataError(f"{self.path} is empty; its first line must name the columns.")
        return line

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise _wrong_encoding(self.path, self.encoding) from error
        except (pa.ArrowException, OSError, csv.Error) as error:
            message = str(error).strip()
            if "UTF8" in message:
                raise _wrong_encoding(self.path, self.encoding) from error
            raise DataError(self._describe(message)) from error

    def _describe(self, message: str) -> str:
        """pyarrow's message with the line in place of its row, counted from 1 with the first line."""
        if message == "Empty CSV file":
            return f"{self.path} is empty; restore the file."
        found = re.search(r"Row #(\d+): (.*)", message, re.DOTALL)
        if found is None:
            return f"{self.path} cannot be read ({message}); restore the file."
        row = int(found[1]) - (1 if self.names else 2)
        return f"{self.path}, {self.locate(row)}: {found[2]!r}; correct that line."


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file, read by row groups."""

    path: Path

    def columns(self) -> tuple[str, ...]:
        """The names in the file's schema.

        Raises:
            DataError: the file is not Parquet, or names a column twice.
        """
        with self._reading():
            names = tuple(pq.read_schema(self.path).names)
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise DataError(f"{self.path}: the column {twice.pop()!r} comes twice; rename one.")
        return names

    def batches(self, columns: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """Rows with the file's own types.

        Raises:
            DataError: the file is damaged.
        """
        with self._reading(), pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(columns.values())):
                yield pa.RecordBatch.from_arrays(
                    [batch.column(name) for name in columns.values()], names=list(columns)
                )

    def locate(self, row: int) -> str:
        """The row's number from 1."""
        return f"row {row + 1}"

    def count_rows(self) -> int:
        """The number in the file's own description.

        Raises:
            DataError: the file is not Parquet.
        """
        with self._reading():
            return int(pq.read_metadata(self.path).num_rows)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.path} cannot be read as Parquet ({error}); write the file again."
            ) from error


@dataclass(frozen=True)
class JsonLinesTable:
    """A JSON object a line, as the Amazon reviews come."""

    path: Path
    encoding: str = "utf-8"

    def columns(self) -> tuple[str, ...]:
        """The names in the first object.

        Raises:
            DataError: the file is empty or its first line is not a JSON object.
        """
        first = next(self._objects(), None)
        if first is None:
            raise DataError(f"{self.path} is empty; it must hold a JSON object a line.")
        return tuple(first)

    def batches(self, columns: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """Rows with the types JSON gives; a missing name is null.

        Raises:
            DataError: a line is not a JSON object, or one name has values of different types.
        """
        objects = self._objects()
        n_done = 0
        while rows := list(islice(objects, BATCH_ROWS)):
            yield pa.RecordBatch.from_arrays(
                [self._column(rows, name, n_done) for name in columns.values()], names=list(columns)
            )
            n_done += len(rows)

    def locate(self, row: int) -> str:
        """The row's line, blank lines counted."""
        with _open_text(self.path, self.encoding, errors="replace") as text:
            filled = (number for number, line in enumerate(text, start=1) if line.strip())
            return f"line {next(islice(filled, row, None))}"

    def count_rows(self) -> int:
        """The number of lines.

        Raises:
            DataError: the file cannot be read.
        """
        with self._reading():
            return _count_lines(self.path)

    def _column(self, rows: Sequence[Mapping[str, Any]], name: str, n_before: int) -> pa.Array:
        values = [row.get(name) for row in rows]
        try:
            return pa.array(values)
        except UnicodeEncodeError as error:
            row = next(place for place, value in enumerate(values) if _holds_half_a_character(value))
            raise DataError(
                f"{self.path}, {self.locate(n_before + row)}: its {name!r} holds half a character (a lone "
                "surrogate such as \\ud800); correct that line."
            ) from error
        except (pa.ArrowException, OverflowError) as error:
            first = self.locate(n_before)
            raise DataError(
                f"{self.path}: {name!r} has values of different types in the {len(rows):,} rows from {first} "
                f"({error}); give it one type."
            ) from error

    def _objects(self) -> Iterator[dict[str, Any]]:
        with self._reading(), _open_text(self.path, self.encoding) as text:
            for number, line in enumerate(text, start=1):
                if line.strip():
                    yield self._parse(line, number)

    def _parse(self, line: str, number: int) -> dict[str, Any]:
        try:
            parsed = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{self.path}, line {number} is not JSON ({error}); correct that line."
            ) from error
        if not isinstance(parsed, dict):
            raise DataError(f"{self.path}, line {number} is not a JSON object; correct that line.")
        return parsed

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise _wrong_encoding(self.path, self.encoding) from error
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.path} cannot be read ({error}); restore the file.") from error


def _open_text(path: Path, encoding: str, *, errors: str = "strict") -> io.TextIOWrapper:
    """The file as text with its line ends, unpacked if it ends in .gz, without a byte order mark.

    Raises:
        DataError: Python knows no such encoding of text.
    """
    with_mark = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    stream = pa.input_stream(str(path))
    try:
        return io.TextIOWrapper(stream, encoding=with_mark, errors=errors, newline="")
    except (LookupError, ValueError) as error:
        raise DataError(f"The encoding {encoding!r} is unknown; utf-8 and latin-1 are usual.") from error


def _wrong_encoding(path: Path, encoding: str) -> DataError:
    return DataError(f"{path} is not {encoding} text; give its encoding, or save it as UTF-8.")


def _holds_half_a_character(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _count_lines(path: Path) -> int:
    n_lines = 0
    with pa.input_stream(str(path)) as stream:
        while block := stream.read(BLOCK_BYTES):
            n_lines += block.count(b"\n")
    return n_lines
