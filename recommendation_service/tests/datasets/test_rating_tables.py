"""Tables beside ratings: a row an id of the mapping, whatever the ids' type; the useless is refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.datasets.id_map import IdMap
from recsys.datasets.rating_tables import load_table, save_table
from recsys.errors import DataError

MAPPING = IdMap(["7", "8", "9"])


@pytest.mark.parametrize(
    "ids",
    [
        pa.array(["9", "7", "1"]),
        pa.array([" 9", "7 ", "1"], pa.large_string()),
        pa.array([9, 7, 1]),
        pa.array(["9", "7", "1"]).dictionary_encode(),
    ],
)
def test_a_row_an_id_in_the_order_of_the_mapping(tmp_path: Path, ids: pa.Array) -> None:
    path = tmp_path / "users.parquet"
    save_table(pa.table({"age": [30, 20, 10], "id": ids}), path)

    assert load_table(path, MAPPING).to_pylist() == [{"age": 20}, {"age": None}, {"age": 30}]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user": ["7"], "age": [3]}, "must have one column id, .* it has user, age"),
        ({"id": [7.0]}, "ids of the type double; make them text or whole numbers"),
        ({"id": ["7", None]}, "1 rows without an id"),
        ({"id": ["7", "8", "8"]}, "1 ids more than once, '8' the first"),
        ({"id": ["u7", "u8"]}, "none of its 2 ids is among the 3 .*such as '7'"),
        ({"id": pa.array([], pa.string())}, "none of its 0 ids"),
    ],
)
def test_a_table_that_cannot_be_placed_is_refused(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table(columns), path)

    with pytest.raises(DataError, match=rf"items\.parquet .*{message}"):
        load_table(path, MAPPING)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    path.write_text("id,price\n7,3\n")

    with pytest.raises(DataError, match=r"items\.parquet cannot be read as Parquet"):
        load_table(path, MAPPING)
