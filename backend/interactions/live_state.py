"""Everything that the inference service reads from Redis, written anew from the database."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import transaction

from config.redis_client import redis_client
from interactions.live_profiles import rewrite_live_profiles, sync_live_profiles
from interactions.lost_writes import Kind, lost_in_this_process
from interactions.models import LostLiveWrite
from recsys.errors import UnavailableError
from recsys.progress import ignore_progress
from recsys.serving.live_profile import LiveProfileStore
from recsys.types import ProgressCallback
from startups.live_catalogue import rewrite_live_startups, sync_live_catalogue

logger = logging.getLogger(__name__)

LOST_A_BATCH = 500


def sync_live_state(progress: ProgressCallback = ignore_progress) -> int:
    """The live catalogue, then every live profile, then the ready mark; returns how many users there are.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    sync_live_catalogue()
    return sync_live_profiles(progress)


def heal_live_state() -> int:
    """Write again what could not be written, then renew the ready mark; returns how many writes it was.

    Raises:
        UnavailableError: Redis cannot be reached yet; nothing is forgotten.
    """
    healed = 0
    if LostLiveWrite.objects.filter(row_id=None).exists():
        healed = LostLiveWrite.objects.count()
        sync_live_state()
    while batch := _heal_batch():
        healed += batch
    _renew_mark_if_all_is_well()
    if healed:
        logger.info("live state healed writes=%d", healed)
    return healed


def heal_what_was_lost_here() -> None:
    """After a write that succeeded: a batch of what was lost, if this process lost any."""
    if not lost_in_this_process.is_set():
        return
    try:
        if _heal_batch() < LOST_A_BATCH:
            lost_in_this_process.clear()
        _renew_mark_if_all_is_well()
    except UnavailableError as error:
        logger.info("live state not healed yet reason=%s", error)


@transaction.atomic
def _heal_batch() -> int:
    """The oldest lost writes that nobody else is at; they are forgotten once they are made good."""
    lost = list(
        LostLiveWrite.objects.exclude(row_id=None)
        .select_for_update(skip_locked=True)
        .order_by("pk")[:LOST_A_BATCH]
    )
    profiles, startups = (_rows(lost, kind) for kind in (Kind.PROFILE, Kind.STARTUP))
    if startups:
        rewrite_live_startups(startups)
    if profiles:
        rewrite_live_profiles(profiles)
    LostLiveWrite.objects.filter(pk__in=[write.pk for write in lost]).delete()
    return len(lost)


def _rows(lost: list[LostLiveWrite], kind: Kind) -> list[UUID]:
    return sorted({write.row_id for write in lost if write.kind == kind})


def _renew_mark_if_all_is_well() -> None:
    if not LostLiveWrite.objects.exists():
        LiveProfileStore(redis_client()).renew_mark()
