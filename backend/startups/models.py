"""The catalogue: what can be recommended."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from config.identifiers import uuid7

MAX_TAGS = 50
MAX_TAG_LENGTH = 100


class Startup(models.Model):
    """A startup. It is made inactive rather than deleted: what people did with it stays true."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    name = models.CharField(max_length=255)
    short_description = models.CharField(max_length=1000, blank=True, default="")
    long_description = models.TextField(blank=True, default="")
    tags = ArrayField(
        models.CharField(max_length=MAX_TAG_LENGTH),
        size=MAX_TAGS,
        default=list,
        blank=True,
        help_text="Comma-separated.",
    )
    industry = models.CharField(max_length=100, blank=True, default="")
    country = models.CharField(max_length=100, blank=True, default="")
    city = models.CharField(max_length=255, blank=True, default="")
    stage = models.CharField(max_length=100, blank=True, default="")
    team_size = models.PositiveIntegerField(null=True, blank=True)
    website = models.URLField(max_length=500, blank=True, default="")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="startups",
        help_text="Never gets their own startup recommended.",
    )
    is_active = models.BooleanField(default=True, help_text="An inactive startup is never recommended.")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["created_at", "id"], name="startup_created_at_id"),  # lists, newest first
            models.Index(fields=["updated_at"], name="startup_updated_at"),  # what changed since an export
            models.Index(fields=["industry"], name="startup_industry"),
        ]

    def __str__(self) -> str:
        return self.name
