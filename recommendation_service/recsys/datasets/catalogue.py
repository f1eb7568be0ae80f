"""What is known of the items and the users beside what was done: texts, tags, owners, interests.

pyarrow is imported where a Parquet file is read or written: an answering service needs neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsys.errors import DataError

EXPORT_AGAIN = "export the dataset again"


@dataclass(frozen=True, slots=True)
class CatalogueItem:
    """One startup. `created_at` is UTC seconds; `owner_id` the user who owns it, if any."""

    id: str
    name: str
    short_description: str = ""
    long_description: str = ""
    tags: tuple[str, ...] = ()
    industry: str = ""
    country: str = ""
    city: str = ""
    stage: str = ""
    team_size: int | None = None
    owner_id: str | None = None
    created_at: float = 0.0
    is_active: bool = True

    def to_json(self) -> dict[str, Any]:
        """A dictionary `from_json` reads back."""
        # Not `asdict`, which copies every value deeply: a million startups took minutes.
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**fields, "tags": list(self.tags)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> CatalogueItem:
        """Read what `to_json` wrote; null stands for the default, and for no name.

        Raises:
            DataError: a field is missing or unknown, or the id is not text.
        """
        known = {name: value for name, value in fields.items() if value is not None}
        if not isinstance(known.get("id"), str):
            raise DataError(f"A catalogue entry has the id {fields.get('id')!r}, not text; export it again.")
        if "name" in fields:
            known.setdefault("name", "")
        try:
            return cls(**{**known, "tags": _without_nulls(known.get("tags"))})
        except TypeError as error:
            raise DataError(f"A catalogue entry has the wrong fields ({error}); export it again.") from None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every startup, in the order of the export."""

    items: tuple[CatalogueItem, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The startups' ids in catalogue order."""
        return tuple(item.id for item in self.items)

    def save(self, path: Path) -> None:
        """Write catalogue.parquet; `created_at` becomes a UTC timestamp."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [
            {**item.to_json(), "created_at": datetime.fromtimestamp(item.created_at, UTC)}
            for item in self.items
        ]
        text, texts = pa.string(), pa.list_(pa.string())
        types = {
            "tags": texts,
            "team_size": pa.int32(),
            "created_at": pa.timestamp("us", tz="UTC"),
            "is_active": pa.bool_(),
        }
        schema = pa.schema([(name, types.get(name, text)) for name in CatalogueItem.__dataclass_fields__])
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)

    @classmethod
    def load(cls, path: Path, *, mend: str = EXPORT_AGAIN) -> Catalogue:
        """Read catalogue.parquet; `mend` says what to do about a file that is none.

        Raises:
            DataError: the file is not Parquet, lacks a column, or holds one of another type.
        """
        rows = _read_parquet(path, list(CatalogueItem.__dataclass_fields__), mend)
        try:
            return cls(
                tuple(
                    CatalogueItem.from_json({**row, "created_at": _to_seconds(row["created_at"])})
                    for row in rows
                )
            )
        except DataError as error:
            raise DataError(f"{path} cannot be used: {error}") from None


@dataclass(frozen=True, slots=True)
class UserTable:
    """Every user: ids, their interests in their own words, and whether they opted out."""

    ids: tuple[str, ...]
    interests: tuple[tuple[str, ...], ...]
    opted_out: tuple[bool, ...]

    def interests_by_id(self) -> dict[str, tuple[str, ...]]:
        """User id -> interests."""
        return dict(zip(self.ids, self.interests, strict=True))

    def save(self, path: Path) -> None:
        """Write users.parquet."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {
            "id": pa.array(self.ids, pa.string()),
            "interests": pa.array([list(words) for words in self.interests], pa.list_(pa.string())),
            "opted_out": pa.array(self.opted_out, pa.bool_()),
        }
        pq.write_table(pa.table(columns), path)

    @classmethod
    def load(cls, path: Path) -> UserTable:
        """Read users.parquet.

        Raises:
            DataError: the file is not Parquet, lacks a column, or holds an id that is not text.
        """
        rows = _read_parquet(path, ["id", "interests", "opted_out"])
        strange = [row["id"] for row in rows if not isinstance(row["id"], str)]
        if strange:
            raise DataError(f"{path} holds the id {strange[0]!r}, not text; export the dataset again.")
        return cls(
            tuple(row["id"] for row in rows),
            tuple(_without_nulls(row["interests"]) for row in rows),
            tuple(bool(row["opted_out"]) for row in rows),
        )


def _without_nulls(texts: Sequence[str | None] | None) -> tuple[str, ...]:
    return tuple(text for text in texts or () if text is not None)


def _to_seconds(moment: object) -> float | None:
    """A timestamp as UTC seconds; one that names no zone is UTC."""
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise DataError(f"created_at is {moment!r:.80}, not a timestamp; export the dataset again.")
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _read_parquet(path: Path, columns: Sequence[str], mend: str = EXPORT_AGAIN) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_schema(path).names
        missing = [name for name in columns if name not in found]
        if missing:
            raise DataError(f"{path} lacks the columns {', '.join(missing)}; {mend}.")
        rows: list[dict[str, Any]] = pq.read_table(path, columns=list(columns)).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}); {mend}.") from error
    return rows
