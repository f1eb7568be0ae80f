"""The live catalogue: what changed about startups since a release could know, kept in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import connection, transaction

from config.after_commit import AfterCommit
from config.redis_client import redis_client
from interactions.lost_writes import Kind, making_all_good, remember_lost
from recsys.errors import UnavailableError
from recsys.serving.live_catalogue import LiveCatalogueStore, LiveStartup
from startups.models import Startup
from startups.watermark import known_until

STARTUPS_A_BATCH = 1000
SYNC_TIMEOUT_S = 10.0
CATALOGUE_LOCK = 0x5EC5  # an advisory lock: of two writers, the last one has read the last commit


def as_live_startup(startup: Startup) -> LiveStartup:
    """A row as the inference service knows it."""
    return LiveStartup(
        id=str(startup.pk),
        name=startup.name,
        short_description=startup.short_description,
        long_description=startup.long_description,
        tags=tuple(startup.tags),
        industry=startup.industry,
        country=startup.country,
        city=startup.city,
        stage=startup.stage,
        team_size=startup.team_size,
        owner_id=str(startup.owner_id) if startup.owner_id else None,
        created_at=startup.created_at.timestamp(),
        is_active=startup.is_active,
    )


def store_live_startups(startup_ids: Sequence[UUID]) -> None:
    """Bring these startups up to date. Redis being away is remembered, never raised."""
    store = LiveCatalogueStore(redis_client())
    try:
        for start in range(0, len(startup_ids), STARTUPS_A_BATCH):
            _store_batch(store, startup_ids[start : start + STARTUPS_A_BATCH])
    except UnavailableError as error:
        remember_lost(Kind.STARTUP, startup_ids, error)


def rewrite_live_startups(startup_ids: Sequence[UUID]) -> None:
    """Bring these startups up to date.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    _store_batch(LiveCatalogueStore(redis_client()), startup_ids)


refresh_catalogue = AfterCommit(store_live_startups)


@transaction.atomic
def sync_live_catalogue() -> None:
    """Write the live catalogue anew: who is there, inactive or owned, and whole what no release knows.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    _lock()
    changed = Startup.objects.filter(updated_at__gte=known_until())
    everything = Startup.objects.values_list("pk", flat=True)
    inactive = Startup.objects.filter(is_active=False).values_list("pk", flat=True)
    owners = Startup.objects.exclude(owner=None).values_list("pk", "owner_id")
    with making_all_good(Kind.STARTUP):
        LiveCatalogueStore(redis_client(SYNC_TIMEOUT_S)).replace(
            [as_live_startup(startup) for startup in changed.iterator(STARTUPS_A_BATCH)],
            existing=[str(startup_id) for startup_id in everything.iterator(STARTUPS_A_BATCH)],
            inactive=[str(startup_id) for startup_id in inactive],
            owners={str(startup_id): str(owner_id) for startup_id, owner_id in owners},
        )


@transaction.atomic
def _store_batch(store: LiveCatalogueStore, startup_ids: Sequence[UUID]) -> None:
    _lock()
    startups = {startup.pk: startup for startup in Startup.objects.filter(pk__in=startup_ids)}
    store.put([as_live_startup(startup) for startup in startups.values()])
    store.remove([str(startup_id) for startup_id in startup_ids if startup_id not in startups])


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CATALOGUE_LOCK])
