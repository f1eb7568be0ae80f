"""The catalogue's changes since the release was made: inactive startups, owners, new startups.

Django writes each change after commit. The answering service keeps a copy and fetches it again
when the version moved. New startups travel whole: their vectors are made by the served release's
own text model, so vector and release always fit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import redis

from recsys.datasets.catalogue import CatalogueItem
from recsys.errors import DataError, UnavailableError
from recsys.serving.redis_client import redis_faults_as_unavailable

VERSION_KEY = "recs:catalogue:version"
READY_KEY = "recs:catalogue:ready"
STARTUPS_KEY = "recs:catalogue:startups"
OWNERS_KEY = "recs:catalogue:owners"
INACTIVE_KEY = "recs:catalogue:inactive"
REMOVED_KEY = "recs:catalogue:removed"  # deleted startups: a release may know them for weeks
WRITE_BATCH = 1000

LiveStartup = CatalogueItem


@dataclass(frozen=True, slots=True)
class LiveCatalogue:
    """What changed: `version` 0 means nothing was ever written here.

    `inactive` holds deleted startups too; `startups` those created or changed since a release
    could know them, whole, by id. `is_complete`: `replace` has told of every startup, so what is
    not here is not so.
    """

    version: int = 0
    is_complete: bool = False
    inactive: frozenset[str] = frozenset()
    owners: Mapping[str, str] = field(default_factory=dict)
    startups: Mapping[str, LiveStartup] = field(default_factory=dict)


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
        inactive: Iterable[str] = (),
        owners: Mapping[str, str] | None = None,
    ) -> None:
        """Write everything anew, at once for every reader.

        Args:
            startups: those to carry whole: created or changed since the release could know them.
            inactive: ids of all startups not active, carried or not.
            owners: startup id -> owner id of all startups that have one, carried or not.
        """
        with redis_faults_as_unavailable("replacing the live catalogue"):
            pipeline = self._client.pipeline(transaction=True)
            pipeline.delete(STARTUPS_KEY, OWNERS_KEY, INACTIVE_KEY)
            for batch in _batches(inactive):
                pipeline.sadd(INACTIVE_KEY, *batch)
            for owned in _batches((owners or {}).items()):
                pipeline.hset(OWNERS_KEY, mapping=dict(owned))
            for startup in startups:
                _write_startup(pipeline, startup)
            # A clock, not a counter: after Redis was wiped, the next number must not be one that
            # a reader has seen before.
            pipeline.set(VERSION_KEY, time.time_ns() // 1000)
            pipeline.set(READY_KEY, "1")
            pipeline.execute()

    def version(self) -> int:
        """The number that moves with every change; 0 when nothing was ever written."""
        with redis_faults_as_unavailable("reading the catalogue version"):
            return int(cast("str | None", self._client.get(VERSION_KEY)) or 0)

    def fetch(self) -> LiveCatalogue:
        """All of it, as of one moment."""
        with redis_faults_as_unavailable("fetching the live catalogue"):
            pipeline = self._client.pipeline(transaction=True)
            pipeline.get(VERSION_KEY)
            pipeline.exists(READY_KEY)
            pipeline.sunion([INACTIVE_KEY, REMOVED_KEY])
            pipeline.hgetall(OWNERS_KEY)
            pipeline.hgetall(STARTUPS_KEY)
            version, is_complete, inactive, owners, startups = pipeline.execute()
        return LiveCatalogue(
            int(version or 0),
            bool(is_complete),
            frozenset(inactive),
            owners,
            {startup_id: _startup_from_json(startup_id, text) for startup_id, text in startups.items()},
        )


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


def _startup_from_json(startup_id: str, text: str) -> LiveStartup:
    try:
        return CatalogueItem.from_json(json.loads(text))
    except (ValueError, TypeError, AttributeError, DataError) as error:
        raise UnavailableError(
            f"The live catalogue's entry of startup {startup_id} cannot be read ({error}); "
            "run manage.py sync_live_profiles."
        ) from error
