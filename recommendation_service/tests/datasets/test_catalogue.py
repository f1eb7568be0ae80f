from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.datasets.catalogue import Catalogue, CatalogueItem, UserTable
from recsys.errors import DataError

FIELDS = tuple(CatalogueItem.__dataclass_fields__)


def write_row(path: Path, **row: Any) -> Path:
    """A catalogue.parquet of one row, null where nothing is given."""
    pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in FIELDS}]), path)
    return path


def test_null_stands_for_nothing_known(tmp_path: Path) -> None:
    path = write_row(tmp_path / "catalogue.parquet", id="i1", tags=["bank", None])

    assert Catalogue.load(path).items == (CatalogueItem(id="i1", name="", tags=("bank",)),)


@pytest.mark.parametrize("row", [{}, {"id": 7}, {"id": "i1", "created_at": "yesterday"}])
def test_a_value_of_another_type_is_refused(tmp_path: Path, row: dict[str, Any]) -> None:
    path = write_row(tmp_path / "catalogue.parquet", **row)

    with pytest.raises(DataError, match=r"catalogue\.parquet cannot be used"):
        Catalogue.load(path)


def test_a_user_without_an_id_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "users.parquet"
    pq.write_table(pa.table({"id": [None], "interests": [["bank"]], "opted_out": [False]}), path)

    with pytest.raises(DataError, match=r"users\.parquet holds the id None"):
        UserTable.load(path)


def test_a_file_that_is_no_catalogue_names_the_columns_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.parquet"
    pq.write_table(pa.table({"id": ["i1"], "name": ["A"], "price": [2.0]}), path)

    with pytest.raises(DataError) as refused:
        Catalogue.load(path)

    lacking = ", ".join(name for name in FIELDS if name not in ("id", "name"))
    assert str(refused.value) == f"{path} lacks the columns {lacking}; export the dataset again."
    path.write_bytes(b"no Parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        Catalogue.load(path)
