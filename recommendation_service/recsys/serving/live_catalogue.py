"""The catalogue's changes since the release was made: inactive startups, owners, new startups.

Django writes each change after commit. The answering service keeps a copy and fetches it again
when the version moved. New startups travel whole: their vectors are made by the served release's
own text model, so vector and release always fit.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

import redis

from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.id_map import MAX_ID_LENGTH
from recsys.errors import DataError, UnavailableError
from recsys.serving.redis_client import redis_faults_as_unavailable

logger = logging.getLogger(__name__)

VERSION_KEY = "recs:catalogue:version"
READY_KEY = "recs:catalogue:ready"
STARTUPS_KEY = "recs:catalogue:startups"
OWNERS_KEY = "recs:catalogue:owners"
INACTIVE_KEY = "recs:catalogue:inactive"
EXISTING_KEY = "recs:catalogue:existing"  # every startup there was at the last `replace`
REMOVED_KEY = "recs:catalogue:removed"  # deleted since then: a release may know them for weeks
MARK_PREFIX = "existing:"  # a mark written without it comes without EXISTING_KEY
WRITE_BATCH = 1000
SCAN_BATCH = 2000
SCAN_ATTEMPTS = 3  # then all at once: somebody writes everything anew, again and again
MAX_VERSION_DIGITS = 19  # what Redis counts with

LiveStartup = CatalogueItem
TEXT_FIELDS = ("name", "short_description", "long_description", "industry", "country", "city", "stage")
FIELDS = frozenset(field.name for field in fields(LiveStartup))


@dataclass(frozen=True, slots=True)
class LiveCatalogue:
    """What changed: `version` 0 means nothing was ever written here.

    `inactive` holds startups deleted since the last `replace` too; `startups` those created or
    changed since a release could know them, whole, by id. `is_complete`: `replace` has told of
    every startup, so what is not here is not so. `existing` holds the ids there were then, and
    `mark` names that `replace`; None: not told. It is large, and nobody keeps it.
    """

    version: int = 0
    is_complete: bool = False
    inactive: frozenset[str] = frozenset()
    owners: Mapping[str, str] = field(default_factory=dict)
    startups: Mapping[str, LiveStartup] = field(default_factory=dict)
    existing: Set[str] | None = None
    mark: str | None = None

    def is_gone(self, startup_id: str) -> bool:
        """Whether it is known to be inactive or deleted."""
        if startup_id in self.inactive:
            return True
        if self.existing is None or startup_id in self.startups:
            return False
        return startup_id not in self.existing


class LiveCatalogueStore:
    """Reads and writes the live catalogue; every fault of Redis is an UnavailableError."""

    def __init__(self, client: redis.Redis) -> None:
        """`client` must decode responses; see `redis_client.connect`."""
        self._client = client

    def put(self, startups: Sequence[LiveStartup]) -> None:
        """Write startups that were created or changed, with their owner and whether active."""
        if not startups:
            return
        with redis_faults_as_unavailable("storing startups"):
            pipeline = self._client.pipeline(transaction=True)
            for startup in startups:
                _write_startup(pipeline, startup)
            pipeline.incr(VERSION_KEY)
            pipeline.execute()

    def remove(self, ids: Iterable[str]) -> None:
        """Startups that were deleted: never to be offered, even by a release that knows them."""
        removed = list(ids)
        if not removed:
            return
        with redis_faults_as_unavailable("removing startups"):
            pipeline = self._client.pipeline(transaction=True)
            pipeline.hdel(STARTUPS_KEY, *removed)
            pipeline.hdel(OWNERS_KEY, *removed)
            pipeline.srem(INACTIVE_KEY, *removed)
            pipeline.sadd(REMOVED_KEY, *removed)
            pipeline.incr(VERSION_KEY)
            pipeline.execute()

    def replace(
        self,
        startups: Iterable[LiveStartup],
        *,
        existing: Iterable[str],
        inactive: Iterable[str] = (),
        owners: Mapping[str, str] | None = None,
    ) -> None:
        """Write everything anew, at once for every reader.

        Args:
            startups: those to carry whole: created or changed since the release could know them.
            existing: ids of all startups there are, carried or not; any other was deleted.
            inactive: ids of all startups not active, carried or not.
            owners: startup id -> owner id of all startups that have one, carried or not.
        """
        with redis_faults_as_unavailable("replacing the live catalogue"):
            pipeline = self._client.pipeline(transaction=True)
            pipeline.delete(STARTUPS_KEY, OWNERS_KEY, INACTIVE_KEY, EXISTING_KEY, REMOVED_KEY)
            for batch in _batches(existing):
                pipeline.sadd(EXISTING_KEY, *batch)
            for batch in _batches(inactive):
                pipeline.sadd(INACTIVE_KEY, *batch)
            for owned in _batches((owners or {}).items()):
                pipeline.hset(OWNERS_KEY, mapping=dict(owned))
            for startup in startups:
                _write_startup(pipeline, startup)
            # A clock, not a counter: after Redis was wiped, the next number must not be one that
            # a reader has seen before.
            version = time.time_ns() // 1000
            pipeline.set(VERSION_KEY, version)
            pipeline.set(READY_KEY, f"{MARK_PREFIX}{version}")
            pipeline.execute()

    def version(self) -> int:
        """The number that moves with every change; 0 when nothing was ever written."""
        with redis_faults_as_unavailable("reading the catalogue version"):
            return as_version(cast("str | None", self._client.get(VERSION_KEY)))

    def fetch(self, known_mark: str | None = None) -> LiveCatalogue:
        """All of it, as of one moment; an entry that cannot be read is logged and counts as inactive.

        Args:
            known_mark: the mark of what was fetched last; the ids of all startups are left out if
                no `replace` came between.
        """
        with redis_faults_as_unavailable("fetching the live catalogue"):
            for _ in range(SCAN_ATTEMPTS):
                mark = cast("str | None", self._client.get(READY_KEY))
                is_told = mark != known_mark and mark is not None and mark.startswith(MARK_PREFIX)
                existing = self._scan_existing() if is_told else None
                live = self._fetch(with_existing=False)
                if live.mark == mark:
                    return replace(live, existing=existing)
            return self._fetch(with_existing=True)

    def _scan_existing(self) -> Set[str]:
        """A batch at a time: a million ids at once would hold up whoever else asks Redis.

        Only `replace` changes them, and it changes the mark.
        """
        return set(self._client.sscan_iter(EXISTING_KEY, count=SCAN_BATCH))

    def _fetch(self, *, with_existing: bool) -> LiveCatalogue:
        pipeline = self._client.pipeline(transaction=True)
        pipeline.get(VERSION_KEY)
        pipeline.get(READY_KEY)
        pipeline.sunion([INACTIVE_KEY, REMOVED_KEY])
        pipeline.hgetall(OWNERS_KEY)
        pipeline.hgetall(STARTUPS_KEY)
        if with_existing:
            pipeline.smembers(EXISTING_KEY)
        version, mark, inactive, owners, texts, *told = pipeline.execute()
        names_all = mark is not None and mark.startswith(MARK_PREFIX)
        existing = told[0] if told and names_all else None
        startups, unreadable = _startups_from_json(texts)
        return LiveCatalogue(
            as_version(version),
            mark is not None,
            frozenset(inactive) | unreadable,
            owners,
            startups,
            existing,
            mark,
        )


def as_version(text: str | None) -> int:
    """The number under VERSION_KEY; 0 when there is nothing.

    Raises:
        UnavailableError: it is no number.
    """
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_VERSION_DIGITS):
        raise UnavailableError(
            f"The live catalogue's version is {text[:80]!r}, not a number; run manage.py sync_live_profiles."
        )
    return int(text)


def _write_startup(pipeline: Any, startup: LiveStartup) -> None:
    text = json.dumps(startup.to_json(), ensure_ascii=False, separators=(",", ":"))
    pipeline.hset(STARTUPS_KEY, startup.id, text)
    pipeline.srem(REMOVED_KEY, startup.id)
    if startup.is_active:
        pipeline.srem(INACTIVE_KEY, startup.id)
    else:
        pipeline.sadd(INACTIVE_KEY, startup.id)
    if startup.owner_id is None:
        pipeline.hdel(OWNERS_KEY, startup.id)
    else:
        pipeline.hset(OWNERS_KEY, startup.id, startup.owner_id)


def _batches(values: Iterable[Any]) -> Iterable[list[Any]]:
    listed = list(values)
    return (listed[start : start + WRITE_BATCH] for start in range(0, len(listed), WRITE_BATCH))


def _startups_from_json(texts: Mapping[str, str]) -> tuple[dict[str, LiveStartup], frozenset[str]]:
    """Those that can be read, and the ids of the others: one bad entry must not hide every change."""
    startups: dict[str, LiveStartup] = {}
    for startup_id, text in texts.items():
        try:
            startups[startup_id] = _startup_from_json(startup_id, text)
        except (ValueError, TypeError, AttributeError, RecursionError, DataError) as error:
            logger.warning(
                "live catalogue entry unreadable, not offered startup=%s mend=sync_live_profiles reason=%s",
                startup_id,
                error,
            )
    return startups, frozenset(texts.keys() - startups.keys())


def _startup_from_json(startup_id: str, text: str) -> LiveStartup:
    """Unknown fields are left out: a newer Django may know more."""
    written = json.loads(text)
    startup = LiveStartup.from_json({name: value for name, value in written.items() if name in FIELDS})
    texts = [getattr(startup, name) for name in TEXT_FIELDS]
    if not all(isinstance(each, str) for each in (*texts, *startup.tags)):
        raise TypeError("a text is of another type")
    if not (startup.owner_id is None or isinstance(startup.owner_id, str)):
        raise TypeError("owner_id is no text")
    if not isinstance(startup.is_active, bool):
        raise TypeError("is_active is neither true nor false")
    if not (isinstance(startup.created_at, int | float) and math.isfinite(startup.created_at)):
        raise TypeError("created_at is no number of seconds")
    if startup.id != startup_id or not 0 < len(startup_id) <= MAX_ID_LENGTH:
        raise ValueError("it has another id, or one no startup can have")
    return startup
