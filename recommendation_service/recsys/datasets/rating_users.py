"""What a source of ratings tells of people: a table with a column `id` and one a fact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.datasets.id_map import IdMap
from recsys.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

ID = "id"


def save_user_table(users: pa.Table, path: Path) -> None:
    """Write a table of people as Parquet."""
    import pyarrow.parquet as pq

    pq.write_table(users, path)


def load_user_table(path: Path, user_mapping: IdMap) -> pa.Table:
    """The facts, a row a user of the mapping in its order, without the ids; nulls where nothing is known.

    Raises:
        DataError: the file is damaged or has no column of ids.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        ids = table[ID].to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(f"{path} is not a table of people ({error}); import the ratings again.") from error
    row_of = {user_id: row for row, user_id in enumerate(ids)}
    rows = np.array([row_of.get(user_id, -1) for user_id in user_mapping.ids], np.int64)
    return table.drop_columns([ID]).take(pa.array(rows, mask=rows < 0))
