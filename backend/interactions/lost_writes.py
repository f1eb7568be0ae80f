"""Writes to Redis that failed: remembered in PostgreSQL, made good when Redis is back."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Event
from uuid import UUID

from django.db import DatabaseError

from interactions.models import LostLiveWrite

logger = logging.getLogger(__name__)

Kind = LostLiveWrite.Kind
ROWS_A_STATEMENT = 1000

lost_in_this_process = Event()  # so that its next write that succeeds makes good what was lost


def remember_lost(kind: Kind, row_ids: Iterable[UUID | None], reason: Exception) -> None:
    """A write failed, so what Redis holds of these rows is stale; None stands for all rows.

    It never raises: what was written to the database stays written.
    """
    lost = [LostLiveWrite(kind=kind, row_id=row_id) for row_id in row_ids]
    lost_in_this_process.set()
    try:
        LostLiveWrite.objects.bulk_create(lost, ROWS_A_STATEMENT)
    except DatabaseError:
        logger.exception("live %ss stale rows=%d mend=sync_live_profiles reason=%s", kind, len(lost), reason)
    else:
        logger.warning("live %ss stale until Redis is back rows=%d reason=%s", kind, len(lost), reason)


@contextmanager
def making_all_good(kind: Kind) -> Iterator[None]:
    """In this block every row of a kind is written anew: what was lost before it is good after it."""
    newest = LostLiveWrite.objects.filter(kind=kind).order_by("pk").last()
    yield
    if newest is not None:
        LostLiveWrite.objects.filter(kind=kind, pk__lte=newest.pk).delete()
