"""What the worker does for the event log."""

from __future__ import annotations

from celery import shared_task
from django.db import transaction
from kombu.exceptions import OperationalError

from interactions import live_state
from interactions.live_profiles import sync_live_profiles
from interactions.lost_writes import Kind, remember_lost


@shared_task
def sync_profiles() -> int:
    """Bring every live profile up to date; returns how many users there are."""
    return sync_live_profiles()


@shared_task
def heal_live_state() -> int:
    """Write again what Redis was not there for; returns how many writes it was."""
    return live_state.heal_live_state()


def queue_sync() -> None:
    """Have the worker do it after the commit. The broker being away is remembered, never raised."""
    transaction.on_commit(_send)


def _send() -> None:
    try:
        sync_profiles.delay()
    except OperationalError as error:
        remember_lost(Kind.PROFILE, [None], error)
