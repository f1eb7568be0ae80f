"""When the next training is due, by the schedule that beat goes by."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from recommendations.schedule import TASK


def next_training() -> tuple[PeriodicTask, datetime] | None:
    """The task of the schedule that trains first, and when; None when no such task is enabled."""
    tasks = PeriodicTask.objects.filter(task=TASK, enabled=True)
    tasks = tasks.select_related("interval", "crontab", "solar", "clocked")
    now = timezone.now()
    due = [(task, due_at(task, now)) for task in tasks if task.expires is None or task.expires > now]
    return min(due, key=lambda each: each[1], default=None)


def due_at(task: PeriodicTask, now: datetime) -> datetime:
    """When beat sends it next; `now`, when that passed while beat was down."""
    schedule = task.schedule
    # As beat itself begins to count, and in the schedule's own time zone.
    since = (task.last_run_at or task.date_changed or now).astimezone(getattr(schedule, "tz", None))
    left = max(schedule.remaining_estimate(since), timedelta(0))
    due = (now + left + timedelta(milliseconds=500)).replace(microsecond=0)
    return max(due, task.start_time) if task.start_time else due
