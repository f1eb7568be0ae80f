"""The event log as a dataset: one snapshot of the database becomes a folder the trainers read.

Acts come as COPY BINARY of values into which PostgreSQL has packed up to 100,000 rows each: a value is
read as one array, and no act is ever a Python object.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from django.db import connection
from psycopg import Connection, IsolationLevel
from psycopg.rows import dict_row

from interactions.live_state import sync_live_state
from recsys.datasets.catalogue import Catalogue, CatalogueItem, UserTable
from recsys.datasets.user_items import build_user_items, save_dataset
from recsys.datasets.weights import DEFAULT_WEIGHTS, SIGNALS, EventColumns, check_weights, resolve_cells
from recsys.errors import ConfigError, DataError, UnavailableError
from recsys.progress import StagedProgress, ignore_progress
from recsys.types import ProgressCallback

logger = logging.getLogger(__name__)

IDS_A_VALUE = 100_000
POSTGRES_EPOCH_S = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
PACKED_ACT = np.dtype(
    [("user", "V16"), ("startup", "V16"), ("type", "u1"), ("occurred_at_us", ">i8"), ("id", ">i8")]
)
STAGES = {"catalogue": 1.0, "acts": 6.0, "matrix": 2.0, "files": 1.0, "live profiles": 4.0}
ROWS_A_FETCH = 5_000

SNAPSHOT_SQL = """
SELECT now() AS taken_at, COALESCE(min(id), 1) AS first, COALESCE(max(id), 0) AS last
FROM interactions_userinteraction
"""
ACTS_SQL = """
COPY (
    SELECT max(received_at), string_agg(
        uuid_send(user_id) || uuid_send(startup_id) || {type_code}
            || timestamptz_send(occurred_at) || int8send(id),
        ''::bytea
    )
    FROM interactions_userinteraction
    WHERE id BETWEEN %(first)s AND %(last)s AND {active}
) TO STDOUT (FORMAT BINARY)
"""
# A type outside SIGNALS becomes a code that resolve_cells refuses.
TYPE_CODE = "CASE type {} ELSE '\\xff'::bytea END".format(
    " ".join(f"WHEN '{name}' THEN '\\x{code:02x}'::bytea" for code, name in enumerate(SIGNALS))
)
ACTIVE_NOW = "retracted_at IS NULL"
ACTIVE_THEN = "received_at <= %(as_of)s AND (retracted_at IS NULL OR retracted_at > %(as_of)s)"
STARTUPS_SQL = """
SELECT id::text, name, short_description, long_description, tags, industry, country, city, stage, team_size,
       owner_id::text, extract(epoch FROM created_at)::float8 AS created_at, is_active
FROM startups_startup ORDER BY id
"""
USERS_SQL = "SELECT id, interests, opted_out FROM accounts_user ORDER BY id"
WEIGHTS_SQL = "SELECT * FROM interactions_signalweights"


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What an export wrote; `n_live_profiles` None: Redis could not be reached."""

    folder: Path
    n_acts: int
    n_users: int
    n_startups: int
    n_interactions: int
    density: float
    n_live_profiles: int | None


def export_als_dataset(
    output_dir: Path,
    *,
    min_interactions: int = 1,
    as_of: datetime | None = None,
    weights_from: Path | None = None,
    half_life_days: float | None = None,
    dislike_ttl_days: float | None = None,
    progress: ProgressCallback = ignore_progress,
) -> ExportSummary:
    """Write the dataset of all active acts, then bring Redis up to date: live profiles and live catalogue.

    Acts of users who opted out are left out. Everything is read in one snapshot.

    Args:
        output_dir: a folder; what is there is replaced once the new files are complete.
        min_interactions: users and startups keep this many cells, repeated until nothing falls out.
        as_of: the log as it was then; by default as it is.
        weights_from: a manifest whose weights to use instead of the database's.
        half_life_days: see `resolve_cells`; ages count from `as_of`, by default from the latest act.
        dislike_ttl_days: likewise.
        progress: is told the stage and how far it is.

    Raises:
        DataError: there are no acts, the filter leaves none, or a file cannot be used.
        ConfigError: an option or a weight cannot work.
    """
    stages = StagedProgress(progress, STAGES)
    log = _read_log(as_of, weights_from, stages)
    stages.update("matrix")
    cells = resolve_cells(
        log.acts,
        log.weights,
        as_of_s=as_of.timestamp() if as_of else None,
        half_life_days=half_life_days,
        dislike_ttl_days=dislike_ttl_days,
    )
    dataset = build_user_items(
        cells,
        log.user_ids,
        log.startup_ids,
        min_interactions=min_interactions,
        catalogue=log.catalogue,
        users=log.users,
        manifest={
            "watermark": log.taken_at.isoformat(),  # what was committed before is in the catalogue
            "as_of": as_of.isoformat() if as_of else None,
            "acts": {"rows": len(log.acts), **log.newest_act},
            "weights": dict(log.weights),
            "options": {
                "min_interactions": min_interactions,
                "half_life_days": half_life_days,
                "dislike_ttl_days": dislike_ttl_days,
            },
        },
    )
    stages.update("files")
    manifest = save_dataset(dataset, output_dir)
    logger.info("export done folder=%s acts=%d cells=%d", output_dir, len(log.acts), dataset.user_items.nnz)
    return ExportSummary(
        folder=output_dir,
        n_acts=len(log.acts),
        n_users=dataset.n_users,
        n_startups=dataset.n_items,
        n_interactions=int(dataset.user_items.nnz),
        density=manifest["density"],
        n_live_profiles=_sync_live_state(stages),
    )


@dataclass(frozen=True, slots=True)
class _Log:
    """What one snapshot held; the acts' indices point into `user_ids` and `startup_ids`."""

    taken_at: datetime
    acts: EventColumns
    newest_act: Mapping[str, Any]
    user_ids: list[str]
    startup_ids: list[str]
    catalogue: Catalogue
    users: UserTable
    weights: Mapping[str, float]


def _read_log(as_of: datetime | None, weights_from: Path | None, stages: StagedProgress) -> _Log:
    with _snapshot() as db:
        taken_at, first, last = db.execute(SNAPSHOT_SQL).fetchone()
        if as_of is not None and as_of > taken_at:
            raise ConfigError(f"--as-of {as_of.isoformat()} lies in the future; leave it out for now.")
        weights = _read_weights(db) if weights_from is None else _load_weights(weights_from)
        check_weights(weights)
        stages.update("catalogue")
        catalogue = Catalogue(tuple(_read_startups(db)))
        users = _read_users(db)
        acts = _ActReader()
        for start in range(first, last + 1, IDS_A_VALUE):
            stages.update("acts", (start - first) / (last + 1 - first))
            acts.read(db, start, min(start + IDS_A_VALUE - 1, last), as_of)
    return _Log(
        taken_at,
        acts.without_users(id_ for id_, out in zip(users.ids, users.opted_out, strict=True) if out),
        acts.newest(),
        acts.users.texts(),
        acts.startups.texts(),
        catalogue,
        users,
        weights,
    )


@contextmanager
def _snapshot() -> Iterator[Connection[Any]]:
    """A connection of its own, in one read-only transaction that sees one state of everything."""
    with closing(connection.copy()) as own:
        own.ensure_connection()
        own.connection.isolation_level = IsolationLevel.REPEATABLE_READ
        own.connection.read_only = True
        with own.connection.transaction():
            yield own.connection


def _read_weights(db: Connection[Any]) -> Mapping[str, float]:
    row = db.cursor(row_factory=dict_row).execute(WEIGHTS_SQL).fetchone()
    return {name: row[name] for name in SIGNALS} if row else dict(DEFAULT_WEIGHTS)


def _load_weights(manifest: Path) -> Mapping[str, float]:
    try:
        weights = json.loads(manifest.read_text(encoding="utf-8"))["weights"]
        return {str(name): float(weight) for name, weight in weights.items()}
    except OSError as error:
        raise DataError(
            f"{manifest} cannot be read ({error.strerror}); name an als_manifest.json."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"{manifest} holds no weights; name the als_manifest.json of an export.") from error


def _read_startups(db: Connection[Any]) -> Iterator[CatalogueItem]:
    for row in _stream(db, STARTUPS_SQL):
        yield CatalogueItem.from_json(row)


def _read_users(db: Connection[Any]) -> UserTable:
    rows = [(str(row["id"]), tuple(row["interests"]), row["opted_out"]) for row in _stream(db, USERS_SQL)]
    ids, interests, opted_out = zip(*rows, strict=True) if rows else ((), (), ())
    return UserTable(ids, interests, opted_out)


def _stream(db: Connection[Any], sql: str) -> Iterator[dict[str, Any]]:
    with db.cursor("export", row_factory=dict_row) as cursor:
        cursor.itersize = ROWS_A_FETCH
        yield from cursor.execute(sql)


class _IdNumbers:
    """UUIDs in the order they first come, each with its number."""

    def __init__(self) -> None:
        self._number_of: dict[bytes, int] = {}

    def number(self, column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """(n,) int64 numbers of an array of 16-byte ids, new ones numbered on from the last."""
        data = pa.py_buffer(np.ascontiguousarray(column))
        ids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(column), [None, data])
        encoded = ids.dictionary_encode()
        numbers = (
            self._number_of.setdefault(id_, len(self._number_of)) for id_ in encoded.dictionary.to_pylist()
        )
        lookup = np.fromiter(numbers, np.int64, len(encoded.dictionary))
        return lookup[encoded.indices.to_numpy()]

    def numbers_known(self, ids: Iterable[str]) -> list[int]:
        """The numbers of those of the ids that have one."""
        known = (self._number_of.get(UUID(id_).bytes) for id_ in ids)
        return [number for number in known if number is not None]

    def texts(self) -> list[str]:
        """The ids by number, as text."""
        return [str(UUID(bytes=id_)) for id_ in self._number_of]


class _ActReader:
    """Reads packed acts range by range and keeps them as columns."""

    def __init__(self) -> None:
        self.users = _IdNumbers()
        self.startups = _IdNumbers()
        self._parts: list[EventColumns] = []
        self._newest_received_at: datetime | None = None

    def read(self, db: Connection[Any], first: int, last: int, as_of: datetime | None) -> None:
        """Add the acts with these row ids, if there are any."""
        sql = ACTS_SQL.format(type_code=TYPE_CODE, active=ACTIVE_NOW if as_of is None else ACTIVE_THEN)
        with db.cursor().copy(sql, {"first": first, "last": last, "as_of": as_of}) as copy:
            copy.set_types(["timestamptz", "bytea"])
            for received_at, packed in copy.rows():
                if packed is not None:
                    self._add(np.frombuffer(packed, PACKED_ACT), received_at)

    def without_users(self, ids: Iterable[str]) -> EventColumns:
        """All acts but those of the users named."""
        acts = self._all()
        return acts.select(~np.isin(acts.user_index, self.users.numbers_known(ids)))

    def newest(self) -> dict[str, Any]:
        """How far the acts go: the last to arrive, and the highest row id."""
        return {
            "last_received_at": self._newest_received_at and self._newest_received_at.isoformat(),
            "last_event_id": max((int(part.event_order.max()) for part in self._parts), default=None),
        }

    def _add(self, rows: np.ndarray[Any, Any], received_at: datetime) -> None:
        self._newest_received_at = max(received_at, self._newest_received_at or received_at)
        self._parts.append(
            EventColumns(
                self.users.number(rows["user"]),
                self.startups.number(rows["startup"]),
                rows["type"].copy(),
                POSTGRES_EPOCH_S + rows["occurred_at_us"].astype(np.int64) / 1e6,
                rows["id"].astype(np.int64),
            )
        )

    def _all(self) -> EventColumns:
        none = EventColumns(
            *(np.empty(0, kind) for kind in (np.int64, np.int64, np.uint8, np.float64, np.int64))
        )
        parts = [none, *self._parts]
        return EventColumns(
            np.concatenate([part.user_index for part in parts]),
            np.concatenate([part.item_index for part in parts]),
            np.concatenate([part.type_code for part in parts]),
            np.concatenate([part.occurred_at for part in parts]),
            np.concatenate([part.event_order for part in parts]),
        )


def _sync_live_state(stages: StagedProgress) -> int | None:
    stages.update("live profiles")
    try:
        return sync_live_state(stages.within("live profiles"))
    except UnavailableError as error:
        logger.warning("live profiles stale mend=sync_live_profiles reason=%s", error)
        return None
