"""Rows written through the ORM or the admin refresh the live profiles too.

Bulk writes (`bulk_create`, `update`, SQL) send no signals: who makes them calls `refresh_profiles`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from accounts.models import User
from interactions.live_profiles import delete_live_profiles
from interactions.models import UserInteraction
from interactions.services import refresh_profiles

LOGIN_FIELDS = {"last_login", "password"}


@receiver([post_save, post_delete], sender=UserInteraction)
def refresh_after_act(instance: UserInteraction, **_: Any) -> None:
    """An act made, taken back or deleted."""
    refresh_profiles.add([instance.user_id])


@receiver(post_save, sender=User)
def refresh_after_user(instance: User, update_fields: frozenset[str] | None, **_: Any) -> None:
    """A user made or changed; logging in changes nothing of the profile."""
    if update_fields is None or not update_fields <= LOGIN_FIELDS:
        refresh_profiles.add([instance.pk])


@receiver(post_delete, sender=User)
def forget_user(instance: User, **_: Any) -> None:
    """A user deleted."""
    transaction.on_commit(partial(delete_live_profiles, [instance.pk]))
