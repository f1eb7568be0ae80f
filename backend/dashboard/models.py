"""Summary rows: what the pages show without reading the event log, and when it was last true."""

from __future__ import annotations

from django.db import models


class Heartbeat(models.Model):
    """A sign of life from a program that nobody can ask in passing."""

    name = models.CharField(primary_key=True, max_length=50)
    beat_at = models.DateTimeField()
    host = models.CharField(max_length=255)

    def __str__(self) -> str:
        return f"{self.name} at {self.beat_at:%Y-%m-%d %H:%M:%S}"


class DailyActivity(models.Model):
    """The acts of a day (UTC, by when they were done) that are not taken back."""

    day = models.DateField(primary_key=True)
    events = models.JSONField(help_text="Type -> number of acts.")
    active_users = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.day}: {sum(self.events.values())} acts"


class DeletedActs(models.Model):
    """A day of which acts were deleted; a trigger on the event log adds it, the count takes it away.

    Appended and never updated, so that no two erasures wait for each other.
    """

    day = models.DateField()

    class Meta:
        verbose_name_plural = "deleted acts"

    def __str__(self) -> str:
        return str(self.day)


class ActivityCount(models.Model):
    """How far the event log is counted into `DailyActivity`; one row."""

    SINGLETON_ID = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=SINGLETON_ID, editable=False)
    counted_id = models.BigIntegerField(default=0, help_text="Every act up to this row id is counted.")
    seen_id = models.BigIntegerField(default=0, help_text="The highest row id at `seen_at`.")
    seen_at = models.DateTimeField(null=True)
    retractions_since = models.DateTimeField(null=True, help_text="Acts taken back before are counted.")
    counted_at = models.DateTimeField(null=True)
    all_counted_at = models.DateTimeField(null=True, help_text="When every day was last counted anew.")

    def __str__(self) -> str:
        return f"acts counted at {self.counted_at}"


class DataSummary(models.Model):
    """What one pass over the event log told about it; one row, written anew by a task."""

    SINGLETON_ID = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=SINGLETON_ID, editable=False)
    computed_at = models.DateTimeField()
    seconds = models.FloatField()
    facts = models.JSONField()

    class Meta:
        verbose_name_plural = "data summaries"

    def __str__(self) -> str:
        return f"data as of {self.computed_at}"


class AnsweredPeriod(models.Model):
    """What the inference service counted within a minute or an hour; kept for a day or for 90."""

    class Minutes(models.IntegerChoices):
        """How long the period is."""

        MINUTE = 1
        HOUR = 60

    minutes = models.PositiveSmallIntegerField(choices=Minutes.choices)
    starts_at = models.DateTimeField()
    answers = models.JSONField(default=dict, help_text="Method -> number of answers.")
    degraded = models.JSONField(default=dict, help_text="Method -> number of those that were degraded.")
    latency = models.JSONField(default=dict, help_text="Upper bound in seconds -> answers not slower.")
    errors = models.PositiveBigIntegerField(default=0, help_text="Requests answered with 5xx.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["minutes", "starts_at"], name="answered_period_is_one_row")
        ]

    def __str__(self) -> str:
        return f"{self.minutes} min from {self.starts_at}: {sum(self.answers.values())} answers"


class CountersRead(models.Model):
    """The inference service's counters as they were last read; one row."""

    SINGLETON_ID = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=SINGLETON_ID, editable=False)
    counters = models.JSONField(default=dict, help_text="Counter with its labels -> value.")
    read_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    failure = models.TextField(default="")

    class Meta:
        verbose_name_plural = "counters read"

    def __str__(self) -> str:
        return f"counters read at {self.read_at}"
