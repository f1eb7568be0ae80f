"""Rows by the hundred thousand: the users, startups and acts that importers and the demo bring.

Ids come from the source and what is there already stays, so running twice changes nothing. No
signals are sent here: whoever calls brings Redis up to date with `refresh_live_state`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar
from uuid import UUID

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db import connection, transaction

from accounts.models import User
from config.redis_client import redis_client
from interactions.live_profiles import USERS_A_BATCH, store_live_profiles
from interactions.live_state import sync_live_state
from interactions.lost_writes import Kind, remember_lost
from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.weights import SIGNALS
from recsys.errors import DataError, UnavailableError
from recsys.serving.live_profile import LiveProfileStore
from recsys.types import ProgressCallback, ProgressReport
from startups.live_catalogue import store_live_startups
from startups.models import Startup

ROWS_A_STATEMENT = 5_000
UNUSABLE_PASSWORD = f"{UNUSABLE_PASSWORD_PREFIX}imported"  # nobody can log in with it
T = TypeVar("T")

INSERT_ACTS_SQL = """
INSERT INTO interactions_userinteraction
    (event_id, user_id, startup_id, type, occurred_at, received_at, context)
SELECT event_id, user_id, startup_id, (%(signals)s::text[])[type_code + 1], to_timestamp(occurred_at),
       to_timestamp(received_at), jsonb_build_object('surface', 'import', 'source', %(source)s::text)
FROM unnest(%(event_ids)s::uuid[], %(user_ids)s::uuid[], %(startup_ids)s::uuid[], %(type_codes)s::int[],
            %(occurred_at)s::float8[], %(received_at)s::float8[])
    AS new (event_id, user_id, startup_id, type_code, occurred_at, received_at)
ON CONFLICT (event_id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class NewActs:
    """Acts as columns of one length; `type_codes` are positions in SIGNALS, times UTC seconds."""

    event_ids: Sequence[UUID]
    user_ids: Sequence[UUID]
    startup_ids: Sequence[UUID]
    type_codes: Sequence[int]
    occurred_at: Sequence[float]
    received_at: Sequence[float]


def insert_acts(acts: NewActs, *, source: str) -> int:
    """Insert the acts whose event_id is new, in one statement; returns how many were."""
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT_ACTS_SQL,
            {
                "signals": list(SIGNALS),
                "source": source,
                "event_ids": acts.event_ids,
                "user_ids": acts.user_ids,
                "startup_ids": acts.startup_ids,
                "type_codes": acts.type_codes,
                "occurred_at": acts.occurred_at,
                "received_at": acts.received_at,
            },
        )
        return cursor.rowcount


def insert_users(users: Iterable[User]) -> int:
    """Insert the users whose id is new; returns how many were.

    Raises:
        DataError: a username belongs to somebody with another id.
    """
    return sum(_insert_users(batch) for batch in in_batches(users, ROWS_A_STATEMENT))


@transaction.atomic
def _insert_users(users: Sequence[User]) -> int:
    known = existing_ids(User, [user.pk for user in users])
    new = [user for user in users if user.pk not in known]
    for user in new:
        user.password = UNUSABLE_PASSWORD
    User.objects.bulk_create(new, ignore_conflicts=True)
    inserted = existing_ids(User, [user.pk for user in new])
    taken = next((user for user in new if user.pk not in inserted), None)
    if taken is not None:
        raise DataError(
            f"The username {taken.username!r} belongs to a user with another id: they are of another source "
            "or another demo. Give this source a name of its own, or use a fresh database."
        )
    return len(new)


def insert_startups(startups: Iterable[Startup]) -> list[UUID]:
    """Insert the startups whose id is new; returns their ids."""
    inserted: list[UUID] = []
    for batch in in_batches(startups, ROWS_A_STATEMENT):
        known = existing_ids(Startup, [startup.pk for startup in batch])
        new = [startup for startup in batch if startup.pk not in known]
        Startup.objects.bulk_create(new, ignore_conflicts=True)
        inserted += [startup.pk for startup in new]
    return inserted


def existing_ids(model: type[User] | type[Startup], ids: Collection[UUID]) -> set[UUID]:
    """Those of the ids that have a row."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {model._meta.db_table} WHERE id = ANY(%s)", [list(ids)])  # noqa: S608
        return {row[0] for row in cursor}


def as_startup(startup_id: UUID, item: CatalogueItem) -> Startup:
    """A row with the facts of a catalogue item."""
    return Startup(
        pk=startup_id,
        name=item.name,
        short_description=item.short_description,
        long_description=item.long_description,
        tags=list(item.tags),
        industry=item.industry,
        country=item.country,
        city=item.city,
        stage=item.stage,
        team_size=item.team_size,
        is_active=item.is_active,
        created_at=datetime.fromtimestamp(item.created_at, UTC),
    )


def refresh_live_state(
    user_ids: Collection[UUID], startup_ids: Collection[UUID], progress: ProgressCallback
) -> bool:
    """Bring Redis up to date with these users and startups; False when it cannot be reached.

    A Redis that does not hold everybody gets everything: that is what its ready mark means.
    """
    try:
        if not LiveProfileStore(redis_client()).is_ready():
            sync_live_state(progress)
            return True
    except UnavailableError as error:
        for kind in Kind:
            remember_lost(kind, [None], error)
        return False
    users = sorted(user_ids)
    for start in range(0, len(users), USERS_A_BATCH):
        store_live_profiles(users[start : start + USERS_A_BATCH])
        progress(ProgressReport("live profiles", start / len(users)))
    store_live_startups(sorted(startup_ids))
    return True


def in_batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """The values in order, at most `size` at a time."""
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch
