"""Ratings and acts of a CSV, Parquet or JSON lines file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.datasets.importers import (
    EventBatch,
    RatingTypes,
    ReadOptions,
    count_rows,
    read_events,
    read_ratings,
    tables,
)
from recsys.datasets.ratings import load_ratings, save_ratings
from recsys.datasets.weights import SIGNALS
from recsys.errors import DataError

ids = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=8)
times = st.integers(0, 2_000_000_000)
rating_rows = st.lists(st.tuples(ids, ids, st.sampled_from([0.5, 1, 2, 3, 3.5, 4, 5]), times), max_size=60)
event_rows = st.lists(st.tuples(ids, ids, st.sampled_from(SIGNALS), times), max_size=60)


def write_json_lines(table: pa.Table, path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()), encoding="utf-8")


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "csv": pa_csv.write_csv,
    "parquet": pq.write_table,
    "jsonl": write_json_lines,
}


def columns_of(rows: list[tuple], third: str) -> dict[str, list]:
    """The rows as columns named user, item, the third's name, and timestamp."""
    return {
        name: [row[position] for row in rows]
        for position, name in enumerate(("user", "item", third, "timestamp"))
    }


@pytest.mark.parametrize("file_format", WRITERS)
@settings(max_examples=25, deadline=None)
@given(rows=rating_rows.filter(bool))
def test_ratings_come_back_from_every_format(
    tmp_path_factory: pytest.TempPathFactory, file_format: str, rows: list[tuple[str, str, float, int]]
) -> None:
    path = tmp_path_factory.mktemp("ratings") / "file"
    WRITERS[file_format](pa.table(columns_of(rows, "rating")), path)

    batches = list(read_ratings(path, file_format))

    assert [
        row
        for b in batches
        for row in zip(b.user_ids.to_pylist(), b.item_ids.to_pylist(), b.ratings, b.rated_at, strict=True)
    ] == rows
    assert count_rows(path, file_format) - len(rows) in (0, 1)  # the header
    assert all(b.texts is None and b.ratings.dtype == np.float32 for b in batches)


@pytest.mark.parametrize("file_format", WRITERS)
@settings(max_examples=25, deadline=None)
@given(rows=event_rows.filter(bool))
def test_acts_come_back_from_every_format(
    tmp_path_factory: pytest.TempPathFactory, file_format: str, rows: list[tuple[str, str, str, int]]
) -> None:
    path = tmp_path_factory.mktemp("acts") / "file"
    WRITERS[file_format](pa.table(columns_of(rows, "type")), path)

    batches = list(read_events(path, file_format))

    assert [
        (user, item, SIGNALS[code], time)
        for b in batches
        for user, item, code, time in zip(
            b.user_ids.to_pylist(), b.item_ids.to_pylist(), b.type_codes, b.occurred_at, strict=True
        )
    ] == rows


def test_ratings_become_acts_and_skipped_ones_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating\na,x,0\na,y,9\nb,x,6\n")
    (batch,) = read_events(path, "csv", rating_types=RatingTypes.parse("0=skip,6=like,9=favorite"))

    assert batch.user_ids.to_pylist() == ["a", "b"]
    assert batch.item_ids.to_pylist() == ["y", "x"]
    assert [SIGNALS[code] for code in batch.type_codes] == ["favorite", "like"]
    assert batch.occurred_at is None


def test_texts_come_with_the_ratings_and_go_into_a_rating_dataset(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text('User-ID;ISBN;Book-Rating;review\n1;0195;8;"well; made"\n2;0195;3;\n', encoding="latin-1")
    batches = list(read_ratings(path, "csv", ReadOptions(encoding="latin-1")))
    assert [text.as_py() for batch in batches for text in batch.texts] == ["well; made", ""]

    save_ratings(batches, tmp_path / "dataset")

    loaded = load_ratings(tmp_path / "dataset")
    assert loaded.user_mapping.ids == ("1", "2")
    assert loaded.ratings.points.tolist() == [8.0, 3.0]


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "acts.csv"
    path.write_text("who,what,did\na,x,view\n")
    (batch,) = read_events(path, "csv", ReadOptions({"user": "who", "item": "what", "type": "did"}))
    assert (batch.user_ids.to_pylist(), batch.item_ids.to_pylist()) == (["a"], ["x"])


def test_a_bad_row_after_the_first_batch_is_named_by_its_own_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BLOCK_BYTES", 256)
    path = tmp_path / "ratings.csv"
    lines = [f"{i},{i},5" for i in range(1_000)]
    lines[777] = "777,777,many"
    path.write_text("user,item,rating\n" + "\n".join(lines))

    batches = read_ratings(path, "csv")

    with pytest.raises(DataError, match=r"ratings\.csv, line 779: the rating 'many' is not a number"):
        list(batches)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,item\na,x\n", "no column for the rating"),
        ("user,item,type\na,x,view\na,x,buy\n", "line 3: the type 'buy' is unknown"),
        ("user,item,rating\na,x,11\n", r"line 2: the rating 11 is above 5.*--map"),
        ("user,item,rating,time\na,x,1,5\na,x,1,1001\n", "line 3: it happened in the future"),
    ],
)
def test_acts_that_cannot_be_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "acts.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        list(read_events(path, "csv", not_after_s=1_000.0))


@given(size=st.integers(1, 12))
def test_parts_of_a_batch_are_the_batch(size: int) -> None:
    users, codes = pa.array([f"u{i}" for i in range(10)]), np.arange(10, dtype=np.uint8) % 7
    for occurred_at in (None, np.arange(10.0)):
        parts = list(EventBatch(users, users, codes, occurred_at).parts(size))

        assert [i for part in parts for i in part.user_ids.to_pylist()] == users.to_pylist()
        assert max(map(len, parts)) <= size
        np.testing.assert_array_equal(np.concatenate([part.type_codes for part in parts]), codes)
        if occurred_at is not None:
            np.testing.assert_array_equal(np.concatenate([part.occurred_at for part in parts]), occurred_at)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="known: movielens, book-crossing, csv, parquet, jsonl"):
        list(read_ratings(tmp_path, "xls"))
