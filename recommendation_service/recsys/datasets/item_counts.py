"""How often each item was sold, or counted in any other way, from a CSV or Parquet file of item and count."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsys.datasets.id_map import IdMap
from recsys.errors import DataError
from recsys.types import Float64Array


def read_item_counts(path: Path, items: IdMap) -> Float64Array:
    """(n_items,) the summed counts of each item; 0 for an item the file does not name.

    Args:
        path: a .csv (.csv.gz) or .parquet file with a column of item ids and one of counts (`count`,
            `sales`, `sold`, `quantity` ...). Items that are not in `items` are passed over.
        items: whose counts are wanted.

    Raises:
        DataError: the file is missing, of another kind, lacks a column, holds a count that is not a number
            from 0, or names none of the items.
    """
    from recsys.datasets.importers.columns import choose_columns, parse_counts, parse_ids, placing_errors
    from recsys.datasets.importers.tables import open_table

    table = open_table(path, _format_of(path))
    chosen = choose_columns(path, table.columns(), required=("item", "count"), optional=(), named={})
    counts = np.zeros(len(items))
    n_read = n_known = 0
    for batch in table.batches(chosen):
        columns = dict(zip(chosen, batch.columns, strict=True))
        with placing_errors(path, table.locate, n_read):
            indices = items.indices(parse_ids(columns["item"], "item").to_pylist())
            values = parse_counts(columns["count"])
        known = indices >= 0
        np.add.at(counts, indices[known], values[known])
        n_read += len(indices)
        n_known += int(known.sum())
    if n_known == 0:
        raise DataError(
            f"{path} names none of the {len(items):,} items of the dataset in {n_read:,} rows; "
            f"its ids must be theirs, such as {items.ids[0]!r}."
        )
    return counts


def _format_of(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return "parquet"
    if name.endswith((".csv", ".csv.gz", ".tsv")):
        return "csv"
    raise DataError(f"{path} is neither .csv nor .parquet; save the counts as one of them.")
