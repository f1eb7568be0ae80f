"""What the worker does for the dashboard; each can be sent twice without harm."""

from __future__ import annotations

import socket

from celery import Task, shared_task
from django.conf import settings
from django.utils import timezone

from dashboard import activity, answers, data_summary
from dashboard.models import Heartbeat
from recommendations.beats import note_beat


@shared_task(bind=True)
def heartbeat(self: Task, queue: str) -> None:
    """That it runs proves that a worker takes this queue; its sender is the beat."""
    Heartbeat.objects.update_or_create(
        name=queue, defaults={"beat_at": timezone.now(), "host": socket.gethostname()}
    )
    if queue == settings.CELERY_TASK_DEFAULT_QUEUE and self.request.origin:
        note_beat(self.request.origin)


@shared_task
def count_activity() -> int | None:
    """Bring events and active users a day up to date; returns how many days changed."""
    return activity.count_activity()


@shared_task
def read_counters() -> int | None:
    """Add what the inference service answered since the last time; returns how many answers."""
    return answers.read_counters()


@shared_task
def summarize_data() -> float | None:
    """Read the event log once for the data page, when it is time; returns the seconds it took."""
    summary = data_summary.summarize_data_when_due()
    return summary and summary.seconds
