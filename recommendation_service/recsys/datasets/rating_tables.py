"""Tables of what is known of people or items beside ratings: a column `id`, and one a fact.

An import writes users.parquet where its source tells of people. Anybody may lay such a file, or an
items.parquet, into a rating folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recsys.datasets.id_map import IdMap
from recsys.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

ID = "id"


def save_table(table: pa.Table, path: Path) -> None:
    """Write a table of people or items as Parquet."""
    import pyarrow.parquet as pq

    pq.write_table(table, path)


def load_table(path: Path, mapping: IdMap) -> pa.Table:
    """The facts, a row an id of the mapping in its order, without the ids; nulls where nothing is known.

    Ids are compared as the import takes them: as text, without blanks around.

    Raises:
        DataError: the file is not Parquet, or its ids are missing, of another type, repeated, or none of
            the mapping's.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}); write it anew.") from error
    if table.column_names.count(ID) != 1:
        raise DataError(
            f"{path} must have one column {ID}, to tell whose each row is; it has "
            f"{', '.join(table.column_names) or 'no columns'}. Rename the one that does."
        )
    ids = _ids_of(table[ID], path)
    rows = pc.index_in(pa.array(mapping.ids, pa.string()), ids)
    if rows.null_count == len(rows):
        raise DataError(
            f"{path} tells nothing of these ratings: none of its {len(ids):,} ids is among the "
            f"{len(mapping):,} rated or rating, such as {mapping.ids[0]!r}. Give the ids of the import."
        )
    return table.drop_columns([ID]).take(rows)


def _ids_of(column: pa.ChunkedArray, path: Path) -> pa.Array:
    """(n,) string ids, each once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise DataError(f"{path} has ids of the type {kind}; make them text or whole numbers.")
    if column.null_count:
        raise DataError(f"{path} has {column.null_count:,} rows without an id; correct or remove them.")
    ids = pc.utf8_trim_whitespace(column.cast(kind).cast(pa.string()).combine_chunks())
    counts = pc.value_counts(ids)
    often = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(often):
        raise DataError(
            f"{path} has {len(often):,} ids more than once, {often[0]['values'].as_py()!r} the first; keep "
            "one row an id."
        )
    return ids
