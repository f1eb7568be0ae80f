"""A CSV of startups becomes the catalogue: new ones are made, changed ones updated, the rest left."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from config.import_ids import DEFAULT_SOURCE, check_source, import_id
from recsys.errors import DataError
from recsys.progress import ignore_progress
from recsys.types import ProgressCallback, ProgressReport
from startups import yc_companies
from startups.live_catalogue import refresh_catalogue
from startups.models import Startup

ROWS_A_BATCH = 1_000
EARLIEST_YEAR, LATEST_YEAR = 1000, 9998  # in UTC too, whatever the zone
YES, NO = ("yes", "true", "1"), ("no", "false", "0")


@dataclass(slots=True)
class StartupImport:
    """What an import read, what of it was new or changed, and which columns say nothing here."""

    n_read: int = 0
    n_new: int = 0
    n_changed: int = 0
    ignored_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    """One startup of a file: where it stands, and the fields the file gives it."""

    line: int
    id: UUID
    fields: Mapping[str, Any]


def import_startups(
    path: Path, *, source: str | None = None, progress: ProgressCallback = ignore_progress
) -> StartupImport:
    """Import a plain CSV, or one of Y Combinator companies (then the source is "yc" by default).

    A startup is known by its id, or by its name where it has none. Fields that the file lacks keep
    what they are. A batch of rows is one transaction.

    Raises:
        DataError: the file cannot be read, or a row cannot be a startup; what came in batches
            before it is in.
        ConfigError: the source's name cannot be used.
    """
    summary = StartupImport()
    with _open(path) as file:
        rows = _read(file, path, source, summary)
        n_bytes = max(path.stat().st_size, 1)
        while batch := list(islice(rows, ROWS_A_BATCH)):
            _write(batch, summary)
            progress(ProgressReport("startups", min(file.buffer.tell() / n_bytes, 1.0)))
    return summary


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    except csv.Error as error:
        raise DataError(f"{path} is not CSV ({error}); correct the file.") from error


def _read(file: TextIO, path: Path, source: str | None, summary: StartupImport) -> Iterator[_Row]:
    reader = csv.DictReader(file)
    columns = tuple(reader.fieldnames or ())
    is_yc = yc_companies.has_layout(columns)
    if not is_yc:
        _check_columns(path, columns)
        summary.ignored_columns = tuple(name for name in columns if name not in ("id", *PARSERS))
    source = source or (yc_companies.SOURCE if is_yc else DEFAULT_SOURCE)
    check_source(source)
    line_of: dict[UUID, int] = {}
    for values in reader:
        try:
            _check_values(values)
            row = _parse(yc_companies.as_plain_row(values) if is_yc else values, reader.line_num, source)
            _check_new(row, line_of)
        except ValueError as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}; correct the file.") from error
        line_of[row.id] = row.line
        summary.n_read += 1
        yield row


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    if "name" not in columns:
        found = ", ".join(columns) or "nothing"
        raise DataError(
            f"{path} has no column `name`; its first line holds {found}. Name the columns there: "
            f"{', '.join(('id', *PARSERS))}."
        )


def _check_values(values: Mapping[str | None, Any]) -> None:
    if None in values or None in values.values():
        raise ValueError("it has more or fewer values than the first line has names")
    if any("\0" in value for value in values.values()):
        raise ValueError("it holds a NUL character, which no text in PostgreSQL can")


def _check_new(row: _Row, line_of: Mapping[UUID, int]) -> None:
    if row.id in line_of:
        raise ValueError(f"the startup of line {line_of[row.id]} comes again, so give each an id of its own")


def _parse(values: Mapping[str, str], line: int, source: str) -> _Row:
    fields = {}
    for name, parse in PARSERS.items():
        if name in values:
            try:
                value = parse(values[name].strip())
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            if value is not KEEP:
                fields[name] = value
    _check_fields(fields)
    return _Row(line, import_id(source, "startup", values.get("id", "").strip() or fields["name"]), fields)


def _check_fields(fields: Mapping[str, Any]) -> None:
    try:
        Startup(**fields).clean_fields()
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        raise ValueError(f"{name}: {messages[0].rstrip('.')}") from None


def _parse_tags(text: str) -> list[str]:
    return [tag for tag in (part.strip() for part in re.split(r"[;|]", text)) if tag]


def _parse_team_size(text: str) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _parse_yes_no(text: str) -> Any:
    if not text:
        return KEEP
    if text.lower() not in (*YES, *NO):
        raise ValueError(f"{text!r} is neither yes nor no")
    return text.lower() in YES


def _parse_moment(text: str) -> Any:
    if not text:
        return KEEP
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date like 2026-11-22") from None
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise ValueError(f"{text!r} is outside the years {EARLIEST_YEAR} to {LATEST_YEAR}")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


KEEP = object()  # an empty value that says nothing: what the startup has stays
PARSERS = {
    **dict.fromkeys(("name", "short_description", "long_description"), str),
    "tags": _parse_tags,
    **dict.fromkeys(("industry", "country", "city", "stage"), str),
    "team_size": _parse_team_size,
    "website": str,
    "is_active": _parse_yes_no,
    "created_at": _parse_moment,
}


@transaction.atomic
def _write(rows: Sequence[_Row], summary: StartupImport) -> None:
    """Make the startups that are not there, update those that differ."""
    known = Startup.objects.select_for_update().filter(pk__in=[row.id for row in rows]).order_by("pk")
    startups = {startup.pk: startup for startup in known}
    new, changed = [], []
    for row in rows:
        startup = startups.get(row.id)
        if startup is None:
            new.append(Startup(pk=row.id, **row.fields))
        elif any(getattr(startup, name) != value for name, value in row.fields.items()):
            for name, value in row.fields.items():
                setattr(startup, name, value)
            changed.append(startup)
    Startup.objects.bulk_create(
        [*new, *changed],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=[*PARSERS, "updated_at"],
    )
    refresh_catalogue.add(startup.pk for startup in (*new, *changed))
    summary.n_new += len(new)
    summary.n_changed += len(changed)
