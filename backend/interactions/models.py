"""The event log: who did what to which startup, and what an act of each type is worth."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from config.identifiers import uuid7
from recsys.datasets.weights import DEFAULT_WEIGHTS, SIGNALS, check_weights
from recsys.errors import ConfigError


class UserInteraction(models.Model):
    """One act. A row never changes, but for `retracted_at`: taking the act back."""

    class Type(models.TextChoices):
        """The signals, in the order of their bits in a type mask."""

        VIEW = "view"
        CLICK = "click"
        LIKE = "like"
        DISLIKE = "dislike"
        FAVORITE = "favorite"
        APPLY = "apply"
        INTEREST = "interest"

    event_id = models.UUIDField(unique=True, default=uuid7, help_text="The same id sent twice is one act.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False, related_name="interactions"
    )
    startup = models.ForeignKey("startups.Startup", on_delete=models.PROTECT, related_name="interactions")
    type = models.CharField(max_length=16, choices=Type.choices)
    occurred_at = models.DateTimeField(default=timezone.now, help_text="When they did it (UTC).")
    received_at = models.DateTimeField(
        default=timezone.now, db_default=Now(), editable=False, help_text="When it was recorded here (UTC)."
    )
    retracted_at = models.DateTimeField(null=True, blank=True, editable=False)
    context = models.JSONField(
        default=dict,
        blank=True,
        help_text="Where it happened: surface, session, recommendation_id.",
    )

    class Meta:
        # Each index costs every insert, so each has a reader: a user's history (and the foreign key);
        # a startup's audience (Django's own on the foreign key); the admin's order and date hierarchy;
        # what arrived up to or since a moment; the few acts taken back.
        indexes = [
            models.Index(fields=["user", "startup"], name="interaction_user_startup"),
            models.Index(fields=["occurred_at"], name="interaction_occurred_at"),
            BrinIndex(fields=["received_at"], name="interaction_received_at", autosummarize=True),
            models.Index(
                fields=["retracted_at"], name="interaction_retracted", condition=Q(retracted_at__isnull=False)
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(type__in=SIGNALS), name="interaction_type_is_known"),
        ]
        verbose_name = "interaction"

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class LostLiveWrite(models.Model):
    """Something that Redis could not be told when it changed, and has to be told yet.

    Rows are added and deleted, never changed: one that is made good is deleted by its id, so a write
    lost meanwhile is not forgotten with it.
    """

    class Kind(models.TextChoices):
        """What of the live state is stale."""

        PROFILE = "profile"
        STARTUP = "startup"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    row_id = models.UUIDField(null=True, help_text="The user or the startup; empty: all of them.")
    lost_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "write lost to the live state"
        verbose_name_plural = "writes lost to the live state"

    def __str__(self) -> str:
        return f"{self.kind} {self.row_id or 'all'}"


class SignalWeights(models.Model):
    """What an act of each type is worth; one row, and without it the defaults hold."""

    SINGLETON_ID = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=SINGLETON_ID, editable=False)
    view = models.FloatField(default=DEFAULT_WEIGHTS["view"])
    click = models.FloatField(default=DEFAULT_WEIGHTS["click"])
    like = models.FloatField(default=DEFAULT_WEIGHTS["like"])
    dislike = models.FloatField(default=DEFAULT_WEIGHTS["dislike"])
    favorite = models.FloatField(default=DEFAULT_WEIGHTS["favorite"])
    apply = models.FloatField(default=DEFAULT_WEIGHTS["apply"])
    interest = models.FloatField(default=DEFAULT_WEIGHTS["interest"])
    version = models.PositiveBigIntegerField(
        default=1, editable=False, help_text="Raised by the database at every change; never falls."
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = verbose_name_plural = "signal weights"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="signal_weights_is_one_row")]

    def __str__(self) -> str:
        return f"signal weights, version {self.version}"

    def by_type(self) -> dict[str, float]:
        """The weight of each signal."""
        return {name: getattr(self, name) for name in SIGNALS}

    def clean(self) -> None:
        """Refuse weights that would change what a signal means, each at its own field."""
        errors = {}
        for name, weight in self.by_type().items():
            try:
                check_weights({**DEFAULT_WEIGHTS, name: weight})
            except (ConfigError, TypeError) as error:
                errors[name] = str(error)
        if errors:
            raise ValidationError(errors)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Check, then save: weights that cannot work never reach an export."""
        check_weights(self.by_type())
        super().save(*args, **kwargs)
