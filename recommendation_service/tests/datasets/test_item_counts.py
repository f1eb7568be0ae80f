"""Counts of items from the files people have."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.datasets.id_map import IdMap
from recsys.datasets.item_counts import read_item_counts
from recsys.errors import DataError

ITEMS = IdMap(["bag", "cup", "hat"])


def test_counts_of_an_item_add_up_and_strangers_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("product_id;num_sold_time\ncup;3\nshoe;9\ncup;2\nbag;1\n")

    assert read_item_counts(path, ITEMS).tolist() == [1.0, 5.0, 0.0]


def test_a_parquet_file_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "sales.parquet"
    pq.write_table(pa.table({"item_id": ["hat"], "count": [7]}), path)

    assert read_item_counts(path, ITEMS).tolist() == [0.0, 0.0, 7.0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("sales.csv", "item,count\ncup,3\nbag,-1\n", r"line 3: its count is below 0"),
        ("sales.csv", "item,count\ncup,many\n", r"line 2: the count 'many' is not a number"),
        ("sales.csv", "item,price\ncup,3\n", r"has no column for the count; it has: item, price"),
        ("sales.csv", "item,count\nshoe,3\n", r"names none of the 3 items of the dataset in 1 rows"),
        ("sales.xlsx", "", r"neither .csv nor .parquet"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(DataError, match=message):
        read_item_counts(tmp_path / name, ITEMS)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv does not exist"):
        read_item_counts(tmp_path / "nowhere.csv", ITEMS)
