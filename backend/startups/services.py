"""Writes to the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from config.puts import PutResult, PutStatus
from startups.live_catalogue import refresh_catalogue
from startups.models import Startup

# What callers may put.
STARTUP_FIELDS = (
    "name",
    "short_description",
    "long_description",
    "tags",
    "industry",
    "country",
    "city",
    "stage",
    "team_size",
    "website",
    "owner_id",
    "is_active",
    "created_at",
)


@transaction.atomic
def put_startups(changes: Sequence[tuple[UUID, Mapping[str, Any]]]) -> list[PutResult]:
    """Create or change each startup by id with the given fields; a refused one spoils no other."""
    ids = {startup_id for startup_id, _ in changes}
    rows = Startup.objects.select_for_update().filter(pk__in=ids).order_by("pk")
    startups = {startup.pk: startup for startup in rows}
    named = {fields["owner_id"] for _, fields in changes if fields.get("owner_id")}
    owners = set(User.objects.filter(pk__in=named).values_list("pk", flat=True))
    results = [_put_startup(startups, owners, startup_id, fields) for startup_id, fields in changes]
    changed = {result.id for result in results if result.status is not PutStatus.REJECTED}
    Startup.objects.bulk_create(
        [startups[startup_id] for startup_id in changed],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=[*(name.removesuffix("_id") for name in STARTUP_FIELDS), "updated_at"],
    )
    refresh_catalogue.add(changed)
    return results


def _put_startup(
    startups: dict[UUID, Startup], owners: set[UUID], startup_id: UUID, fields: Mapping[str, Any]
) -> PutResult:
    owner_id = fields.get("owner_id")
    if owner_id is not None and owner_id not in owners:
        message = f"No user has id {owner_id}; create them with PUT /users/{owner_id}, or leave owner_id out."
        return PutResult(startup_id, PutStatus.REJECTED, "unknown_owner", message)
    if startup_id not in startups and not fields.get("name"):
        message = f"Startup {startup_id} is new and has no name; send one."
        return PutResult(startup_id, PutStatus.REJECTED, "name_missing", message)
    status = PutStatus.UPDATED if startup_id in startups else PutStatus.CREATED
    startup = startups.setdefault(startup_id, Startup(pk=startup_id))
    for name, value in fields.items():
        setattr(startup, name, value)
    startup.created_at = startup.created_at or timezone.now()
    return PutResult(startup_id, status)
