"""Files of rows: every row comes once and in order, and a bad one is named by its line."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.datasets.importers import tables
from recsys.datasets.importers.tables import DelimitedTable, JsonLinesTable, ParquetTable, open_table
from recsys.errors import DataError

# Anything a cell can hold; pyarrow and csv disagree on NUL and on a lone carriage return.
cells = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r"), max_size=12)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows_of(table: tables.Table, *names: str) -> list[tuple[object, ...]]:
    """The rows as tuples of the columns named, which keep their names."""
    batches = table.batches({name: name for name in names})
    return [tuple(row[name] for name in names) for batch in batches for row in batch.to_pylist()]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(cells, cells, st.sampled_from(["x", "y"])), min_size=1, max_size=40),
    delimiter=st.sampled_from(list(tables.DELIMITERS)),
)
def test_delimited_rows_come_back_as_the_csv_module_wrote_them(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], delimiter: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([("a", "b", "c"), *rows])

    assert rows_of(DelimitedTable(path), "a", "b", "c") == rows


def test_a_file_larger_than_a_block_keeps_its_order_and_its_line_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BLOCK_BYTES", 256)
    lines = ["a,b"] + [f"{i},{i * i}" for i in range(5_000)]
    table = DelimitedTable(write(tmp_path / "rows.csv", "\n".join(lines)))

    assert rows_of(table, "b", "a") == [(str(i * i), str(i)) for i in range(5_000)]
    assert table.locate(4_321) == "line 4323"


def test_line_numbers_count_blank_lines_and_line_breaks_in_quotes(tmp_path: Path) -> None:
    table = DelimitedTable(write(tmp_path / "rows.csv", 'a,b\n\n1,"two\nlines"\n\n3,4\n'))

    assert rows_of(table, "a", "b") == [("1", "two\nlines"), ("3", "4")]
    assert [table.locate(0), table.locate(1)] == ["line 4", "line 6"]


@pytest.mark.parametrize(("text", "delimiter"), [("a;b\n1;2", None), ("a\tb\n1\t2", None), ("a|b\n1|2", "|")])
def test_the_delimiter_is_found_in_the_first_line(tmp_path: Path, text: str, delimiter: str | None) -> None:
    table = DelimitedTable(write(tmp_path / "rows.txt", text), delimiter)
    assert rows_of(table, "a", "b") == [("1", "2")]


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_data(tmp_path: Path) -> None:
    table = DelimitedTable(write(tmp_path / "rows.csv", b"\xef\xbb\xbfa,b\r\n1,2\r\n"))
    assert table.columns() == ("a", "b")
    assert rows_of(table, "a", "b") == [("1", "2")]


def test_a_compressed_file_is_read_like_a_plain_one(tmp_path: Path) -> None:
    table = DelimitedTable(write(tmp_path / "rows.csv.gz", gzip.compress(b"a,b\n1,2\n3,4\n")))
    assert rows_of(table, "a", "b") == [("1", "2"), ("3", "4")]
    assert table.locate(1) == "line 3"
    assert table.count_rows() == 3  # the header among them


def test_a_file_that_is_not_compressed_as_it_says_is_refused(tmp_path: Path) -> None:
    table = DelimitedTable(write(tmp_path / "rows.csv.gz", "a,b\n1,2\n"))
    with pytest.raises(DataError, match=r"rows\.csv\.gz cannot be read"):
        table.columns()
    with pytest.raises(DataError, match=r"rows\.csv\.gz cannot be read"):
        table.count_rows()


def test_another_encoding_is_read_when_it_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "a,b\n1,café\n".encode("latin-1"))

    assert rows_of(DelimitedTable(path, encoding="latin-1"), "b") == [("café",)]
    with pytest.raises(DataError, match="is not utf-8 text; give its encoding"):
        rows_of(DelimitedTable(path), "b")
    with pytest.raises(DataError, match="The encoding 'klingon' is unknown"):
        rows_of(DelimitedTable(path, encoding="klingon"), "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; its first line must name the columns"),
        ("a,b,a\n", "line 1: the column 'a' comes twice"),
        ("a,b\n1,2\n\n3\n", "line 4: 'Expected 2 columns, got 1: 3'; correct that line"),
        ("a,b\n1,2,3\n", "line 2: 'Expected 2 columns, got 3: 1,2,3'; correct that line"),
    ],
)
def test_a_malformed_file_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    table = DelimitedTable(write(tmp_path / "rows.csv", text))
    with pytest.raises(DataError, match=message):
        rows_of(table, *table.columns())


def test_an_empty_file_without_a_first_line_of_names_is_said_to_be_empty(tmp_path: Path) -> None:
    table = DelimitedTable(write(tmp_path / "u.data", ""), "\t", ("a", "b"))
    with pytest.raises(DataError, match=r"u\.data is empty; restore the file"):
        list(table.batches({"a": "a"}))


def test_a_file_without_a_first_line_of_names_uses_those_given(tmp_path: Path) -> None:
    table = DelimitedTable(write(tmp_path / "u.data", "1\t2\n3\t4\n5\n"), "\t", ("a", "b"))
    batches = table.batches({"a": "a"})
    assert table.locate(1) == "line 2"
    with pytest.raises(DataError, match="line 3: 'Expected 2 columns, got 1: 5'"):
        list(batches)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(-(2**40), 2**40), cells), max_size=50))
def test_parquet_rows_come_back_with_their_types(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]]
) -> None:
    path = tmp_path_factory.mktemp("parquet") / "rows.parquet"
    a, b = [row[0] for row in rows], [row[1] for row in rows]
    pq.write_table(
        pa.table({"a": pa.array(a, pa.int64()), "b": pa.array(b, pa.string())}), path, row_group_size=7
    )

    assert rows_of(ParquetTable(path), "b", "a") == [(text, number) for number, text in rows]
    assert ParquetTable(path).count_rows() == len(rows)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(-9, 9), cells), max_size=50), blank=st.integers(0, 3))
def test_json_lines_come_back_and_blank_lines_do_not_count(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]], blank: int
) -> None:
    path = tmp_path_factory.mktemp("json") / "rows.jsonl"
    end = "\n" * (1 + blank)
    path.write_text("".join(json.dumps({"a": a, "b": b}) + end for a, b in rows), encoding="utf-8")
    table = JsonLinesTable(path)

    assert rows_of(table, "a", "b") == rows
    for row in range(len(rows)):
        assert table.locate(row) == f"line {row * (1 + blank) + 1}"


def test_a_name_missing_from_a_json_object_is_null(tmp_path: Path) -> None:
    table = JsonLinesTable(write(tmp_path / "rows.jsonl", '{"a": 1, "b": 2}\n{"a": 3}\n'))
    assert rows_of(table, "a", "b") == [(1, 2), (3, None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; it must hold a JSON object a line"),
        ('{"a": 1}\n{"a": \n', "line 2 is not JSON"),
        ('{"a": 1}\n[1]\n', "line 2 is not a JSON object"),
        ('{"a": 1}\n{"a": "x"}\n', "'a' has values of different types"),
        (b'{"a": "\xe9"}\n', "is not utf-8 text; give its encoding"),
        ('{"a": 1}\n'.encode("utf-16"), "is not utf-8 text; give its encoding"),
        (b'{"a": "x\0y"}\n', "line 1 is not JSON"),
        ('{"a": ' + "[" * 200_000, "line 1 is not JSON"),
        ('\n{"a": "x"}\n{"a": "\\ud800"}\n', r"line 3: its 'a' holds half a character"),
    ],
)
def test_malformed_json_lines_are_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    table = JsonLinesTable(write(tmp_path / "rows.jsonl", text))
    with pytest.raises(DataError, match=message):
        rows_of(table, *table.columns())


def test_a_byte_order_mark_is_no_part_of_json_lines(tmp_path: Path) -> None:
    table = JsonLinesTable(write(tmp_path / "rows.jsonl", b'\xef\xbb\xbf{"a": 1}\n'))
    assert rows_of(table, "a") == [(1,)]


@pytest.mark.parametrize("table_format", ["csv", "jsonl"])
@pytest.mark.parametrize("encoding", ["klingon", "", "base64", "\0", "undefined"])
def test_what_is_no_encoding_of_text_is_refused(tmp_path: Path, table_format: str, encoding: str) -> None:
    table = open_table(write(tmp_path / "rows", '{"a": 1}\n'), table_format, encoding=encoding)
    with pytest.raises(DataError, match=r"is unknown|is not undefined text"):
        table.columns()


@pytest.mark.parametrize("table_format", ["csv", "jsonl"])
def test_a_row_is_found_in_front_of_bytes_that_are_no_text(tmp_path: Path, table_format: str) -> None:
    table = open_table(write(tmp_path / "rows", b'{"a": 1}\n' * 3_000 + b"\xff\n"), table_format)
    assert table.locate(2_990) == ("line 2992" if table_format == "csv" else "line 2991")


def test_json_lines_that_are_not_compressed_as_they_say_are_refused(tmp_path: Path) -> None:
    table = JsonLinesTable(write(tmp_path / "rows.jsonl.gz", '{"a": 1}\n'))
    for read in (table.columns, table.count_rows):
        with pytest.raises(DataError, match=r"rows\.jsonl\.gz cannot be read"):
            read()


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.parquet", "user,item\n1,2\n")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        ParquetTable(path).columns()


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": list(range(1_000))}), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        ParquetTable(path).columns()


def test_a_parquet_file_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table([["a"], ["b"]], names=["user", "user"]), path)
    with pytest.raises(DataError, match="the column 'user' comes twice; rename one"):
        ParquetTable(path).columns()


def test_a_path_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; check the path"):
        open_table(tmp_path / "nothing.csv", "csv")
    with pytest.raises(DataError, match="is a folder; name the file in it"):
        open_table(tmp_path, "csv")
    with pytest.raises(DataError, match="/dev/null is not a file"):
        open_table(Path("/dev/null"), "csv")
    with pytest.raises(DataError, match="The format 'xml' is unknown"):
        open_table(write(tmp_path / "rows.xml", "<a/>"), "xml")
