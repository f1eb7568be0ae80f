"""People, and the keys that services use in their place."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from config.identifiers import uuid7

MAX_INTERESTS = 50
MAX_INTEREST_LENGTH = 100


class User(AbstractUser):
    """A person; `interests` and `opted_out` are part of their live profile."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    interests = ArrayField(
        models.CharField(max_length=MAX_INTEREST_LENGTH),
        size=MAX_INTERESTS,
        default=list,
        blank=True,
        help_text="What they say they care about, in their own words; comma-separated here.",
    )
    opted_out = models.BooleanField(
        "opted out of personalization",
        default=False,
        help_text="Their acts are kept but not learned from; they get what everybody gets.",
    )
    profile_version = models.PositiveBigIntegerField(
        default=0,
        editable=False,
        help_text="Raised by the database when interests or opt-out change or acts are deleted; never falls.",
    )


class ApiKey(models.Model):
    """Lets a service call the API. Only a hash of the key is kept; the key is shown once."""

    class Scope(models.TextChoices):
        """What a key may do; `admin` includes the others."""

        READ = "read"
        WRITE = "write"
        ADMIN = "admin"

    name = models.CharField(max_length=100, help_text="The service that uses it.")
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    key_hash = models.CharField(max_length=64, editable=False)
    scopes = ArrayField(models.CharField(max_length=16, choices=Scope.choices), default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="api_keys"
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it does not expire.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"

    def is_usable(self, now: datetime) -> bool:
        """Neither revoked nor past its time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def allows(self, scope: str) -> bool:
        """True when the key carries the scope, or `admin`."""
        return scope in self.scopes or self.Scope.ADMIN in self.scopes
