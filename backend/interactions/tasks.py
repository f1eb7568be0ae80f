"""What the worker does for the event log."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import transaction
from kombu.exceptions import OperationalError

from interactions.live_profiles import sync_live_profiles

logger = logging.getLogger(__name__)


@shared_task
def sync_profiles() -> int:
    """Bring every live profile up to date; returns how many users there are."""
    return sync_live_profiles()


def queue_sync() -> None:
    """Have the worker do it after the commit. The broker being away is logged, never raised."""
    transaction.on_commit(_send)


def _send() -> None:
    try:
        sync_profiles.delay()
    except OperationalError as error:
        logger.warning("live profiles stale mend=sync_live_profiles reason=%s", error)
