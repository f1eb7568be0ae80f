"""Trainings: what was asked for, how far it is, and what came of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class TrainingRun(models.Model):
    """One training, from the request to its outcome; the running process keeps it up to date."""

    class Trigger(models.TextChoices):
        """Who asked: a person's run is published with a warning when worse, one nobody watches is not."""

        SCHEDULED = "scheduled"
        GROWTH = "growth"
        MANUAL = "manual"
        COMMAND = "command"

    class Status(models.TextChoices):
        """Refused: it trained, but the gate kept the served release."""

        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        REFUSED = "refused"
        CANCELLED = "cancelled"

    ALL = "all"
    UNATTENDED = (Trigger.SCHEDULED, Trigger.GROWTH)
    UNFINISHED = (Status.QUEUED, Status.RUNNING)

    kind = models.CharField(
        max_length=50,
        default=ALL,
        help_text="One recommender, or all: what training_config.yaml enables.",
    )
    trigger = models.CharField(max_length=16, choices=Trigger.choices, default=Trigger.MANUAL)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="training_runs",
    )
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    reason = models.TextField(
        blank=True,
        default="",
        help_text="Why it failed, was refused or cancelled; warnings when it succeeded.",
    )
    stage = models.CharField(max_length=100, blank=True, default="")
    percent = models.FloatField(default=0.0)
    seconds_left = models.FloatField(null=True, blank=True)
    dataset = models.JSONField(default=dict, blank=True, help_text="Rows, watermark and hash of the export.")
    parameters = models.JSONField(default=dict, blank=True)
    metrics = models.JSONField(default=dict, blank=True)
    gate = models.JSONField(
        default=dict, blank=True, help_text="The verdict on a candidate, what it rests on, in numbers."
    )
    learning_curves = models.JSONField(
        default=dict, blank=True, help_text="Recommender -> a point an epoch: its loss and what it measures."
    )
    release = models.CharField(max_length=100, blank=True, default="", help_text="The release it published.")
    log_tail = models.TextField(blank=True, default="")
    log_file = models.CharField(max_length=255, blank=True, default="", help_text="In the logs folder.")
    cancelled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    fencing_token = models.BigIntegerField(null=True, blank=True, help_text="Of the lease it ran under.")
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    worker_host = models.CharField(max_length=255, blank=True, default="")
    worker_pid = models.PositiveIntegerField(null=True, blank=True)
    task_id = models.CharField(
        max_length=64, null=True, unique=True, editable=False, help_text="A task sent twice is one run."
    )
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["status", "created_at"], name="training_run_status_created")]
        permissions = [("operate", "Can start and cancel trainings and change the served release")]

    def __str__(self) -> str:
        return f"{self.kind} run {self.pk} ({self.status})"

    @property
    def is_unattended(self) -> bool:
        """Nobody looks at what it says before it is served."""
        return self.trigger in self.UNATTENDED

    @property
    def is_finished(self) -> bool:
        """Nothing more will happen to it."""
        return self.status not in self.UNFINISHED


class TrainingLease(models.Model):
    """The right to train, held by one process at a time; the token of a later holder is larger."""

    name = models.CharField(primary_key=True, max_length=50)
    run = models.ForeignKey(TrainingRun, on_delete=models.SET_NULL, null=True, related_name="+")
    fencing_token = models.BigIntegerField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} lease, token {self.fencing_token}"


class ReleaseChange(models.Model):
    """Who or what served which release when, written with the move of the pointer; never changed."""

    class Action(models.TextChoices):
        """By a training, or by a person who chose a kept release."""

        PUBLISHED = "published"
        PROMOTED = "promoted"
        ROLLED_BACK = "rolled_back"

    changed_at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    action = models.CharField(max_length=16, choices=Action.choices)
    version = models.CharField(max_length=100)
    previous_version = models.CharField(max_length=100, blank=True, default="")
    run = models.ForeignKey(
        TrainingRun, on_delete=models.SET_NULL, null=True, blank=True, related_name="release_changes"
    )

    class Meta:
        ordering = ["-changed_at", "-id"]

    def __str__(self) -> str:
        return f"{self.version} {self.action}"
