"""A startup written through the ORM or the admin goes to the live catalogue."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from startups.live_catalogue import refresh_catalogue
from startups.models import Startup


@receiver([post_save, post_delete], sender=Startup)
def refresh_after_startup(instance: Startup, **_: Any) -> None:
    """A startup made, changed or deleted."""
    refresh_catalogue.add([instance.pk])
