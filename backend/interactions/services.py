"""Writes to the event log: record acts, take them back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from config.after_commit import AfterCommit
from config.identifiers import uuid7
from interactions.live_profiles import store_live_profiles
from interactions.live_state import heal_what_was_lost_here
from interactions.models import UserInteraction
from recsys.datasets.weights import SIGNALS
from recsys.errors import NotFoundError

MAX_CLOCK_SKEW = timedelta(minutes=5)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def _refresh_profiles(user_ids: Sequence[UUID]) -> None:
    store_live_profiles(user_ids)
    heal_what_was_lost_here()


refresh_profiles = AfterCommit(_refresh_profiles)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An act as its sender tells it."""

    user_id: UUID
    startup_id: UUID
    type: str
    event_id: UUID | None = None  # None: one is made, and a repeat cannot be recognised
    occurred_at: datetime | None = None  # None: now
    context: dict[str, Any] | None = None


class EventStatus(StrEnum):
    """What became of an event. Conflict: its id is taken by an act with another content."""

    CREATED = "created"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class EventResult:
    """What became of one event; `code` and `message` are for those not recorded."""

    status: EventStatus
    event_id: UUID | None = None
    code: str | None = None
    message: str | None = None


# A deleted user or startup would fail the whole batch at its commit: the locks, which the foreign
# keys take anyway, keep those found here from vanishing until then. Users are locked harder, in order:
# the same acts sent twice at once, in whatever order, then wait for each other and never deadlock.
EXISTING_SQL = {
    "user": "SELECT id FROM accounts_user WHERE id = ANY(%s::uuid[]) ORDER BY id FOR NO KEY UPDATE",
    "startup": "SELECT id FROM startups_startup WHERE id = ANY(%s::uuid[]) ORDER BY id FOR KEY SHARE",
}
INSERT_SQL = """
INSERT INTO interactions_userinteraction
    (event_id, user_id, startup_id, type, occurred_at, received_at, context)
SELECT event_id, user_id, startup_id, type, occurred_at, statement_timestamp(), context
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[], %s::jsonb[])
    AS new (event_id, user_id, startup_id, type, occurred_at, context)
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id
"""
# Compared by PostgreSQL, to whom 1e23 is the number it stored; Python's float of it is another one.
SAME_ACT_SQL = """
SELECT new.place
FROM unnest(%s::int[], %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[], %s::jsonb[])
    AS new (place, event_id, user_id, startup_id, type, occurred_at, context)
JOIN interactions_userinteraction old USING (event_id)
WHERE (old.user_id, old.startup_id, old.type, old.context)
    = (new.user_id, new.startup_id, new.type, new.context)
  AND old.occurred_at = COALESCE(new.occurred_at, old.occurred_at)
"""


@transaction.atomic
def record_events(events: Sequence[NewEvent], *, now: datetime | None = None) -> list[EventResult]:
    """Store each event once and say what became of each, in order; one bad one spoils no other.

    The live profiles of their users follow after the commit.
    """
    now = now or timezone.now()
    refusals = _refusals(events, now)
    accepted = {
        place: replace(event, event_id=event.event_id or uuid7(), context=event.context or {})
        for place, event in enumerate(events)
        if place not in refusals
    }
    recorded = _results(accepted, created=_insert(list(accepted.values()), now))
    refresh_profiles.add({event.user_id for event in accepted.values()})
    return [refusals.get(place) or recorded[place] for place in range(len(events))]


@transaction.atomic
def retract_event(event_id: UUID, *, now: datetime | None = None) -> bool:
    """Take an act back; False when it was taken back before.

    Raises:
        NotFoundError: no act has this event_id.
    """
    event = UserInteraction.objects.filter(event_id=event_id)
    changed = event.filter(retracted_at=None).update(retracted_at=now or timezone.now())
    user_id = event.values_list("user_id", flat=True).first()
    if user_id is None:
        raise NotFoundError(f"No interaction has event_id {event_id}; check the id.", event_id=str(event_id))
    refresh_profiles.add([user_id])
    return bool(changed)


def _refusals(events: Sequence[NewEvent], now: datetime) -> dict[int, EventResult]:
    """The events that cannot be recorded, by their place."""
    users = _existing("user", {event.user_id for event in events})
    startups = _existing("startup", {event.startup_id for event in events})
    refusals = {}
    for place, event in enumerate(events):
        reason = _why_not(event, now, users, startups)
        if reason:
            refusals[place] = EventResult(EventStatus.REJECTED, event.event_id, *reason)
    return refusals


def _why_not(event: NewEvent, now: datetime, users: set[UUID], startups: set[UUID]) -> tuple[str, str] | None:
    """The code and the message of what is wrong with an event."""
    if event.type not in SIGNALS:
        return "unknown_type", f"Type {event.type!r} is not known; use one of {', '.join(SIGNALS)}."
    if event.user_id not in users:
        return "unknown_user", f"No user has id {event.user_id}; create them with PUT /users/{event.user_id}."
    if event.startup_id not in startups:
        return (
            "unknown_startup",
            f"No startup has id {event.startup_id}; create it with PUT /startups/{event.startup_id}.",
        )
    if event.occurred_at is not None:
        return _wrong_time(event.occurred_at, now)
    return None


def _wrong_time(occurred_at: datetime, now: datetime) -> tuple[str, str] | None:
    if occurred_at > now + MAX_CLOCK_SKEW:
        return (
            "future_time",
            f"occurred_at {occurred_at.isoformat()} is more than 5 minutes after the server's "
            f"{now.isoformat(timespec='seconds')}; set the sender's clock, or leave occurred_at out for now.",
        )
    if occurred_at < EARLIEST:
        return (
            "malformed_time",
            f"occurred_at {occurred_at.isoformat()} is before 1970; send the time of the act.",
        )
    return None


def _existing(what: str, ids: set[UUID]) -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(EXISTING_SQL[what], [list(ids)])
        return {row[0] for row in cursor}


def _insert(events: Sequence[NewEvent], now: datetime) -> set[UUID]:
    """Insert those whose event_id is new; returns their ids."""
    times = [event.occurred_at or now for event in events]
    with connection.cursor() as cursor:
        cursor.execute(INSERT_SQL, [*_identity(events), times, _contexts(events)])
        return {row[0] for row in cursor}


def _results(accepted: Mapping[int, NewEvent], created: set[UUID]) -> dict[int, EventResult]:
    first: dict[UUID, int] = {}
    for place, event in accepted.items():
        if event.event_id in created:
            first.setdefault(event.event_id, place)
    repeats = {place: event for place, event in accepted.items() if first.get(event.event_id) != place}
    same = _said_before(repeats) if repeats else set()
    return {
        place: _repeat(event, place in same)
        if place in repeats
        else EventResult(EventStatus.CREATED, event.event_id)
        for place, event in accepted.items()
    }


def _said_before(repeats: Mapping[int, NewEvent]) -> set[int]:
    """The places of those that say what the log says of their event_id."""
    events = list(repeats.values())
    times = [event.occurred_at for event in events]
    with connection.cursor() as cursor:
        cursor.execute(SAME_ACT_SQL, [list(repeats), *_identity(events), times, _contexts(events)])
        return {row[0] for row in cursor}


def _identity(events: Sequence[NewEvent]) -> list[list[Any]]:
    """Ids and types as columns."""
    names = ("event_id", "user_id", "startup_id", "type")
    return [[getattr(event, name) for event in events] for name in names]


def _contexts(events: Sequence[NewEvent]) -> list[str]:
    return [json.dumps(event.context) for event in events]


def _repeat(event: NewEvent, is_same: bool) -> EventResult:
    """Said again: harmless when it is the same act, a conflict when it is another."""
    if is_same:
        return EventResult(EventStatus.DUPLICATE, event.event_id)
    return EventResult(
        EventStatus.CONFLICT,
        event.event_id,
        "event_id_conflict",
        f"event_id {event.event_id} names an act with another content; give each act an id of its own.",
    )
