"""The weekly training: put into the schedule when it is missing, never changed when it is there."""

from __future__ import annotations

from typing import Any

from django_celery_beat.models import CrontabSchedule, PeriodicTask

NAME = "Weekly training"
TASK = "recommendations.tasks.retrain"
SUNDAY_AT_3 = {
    "minute": "0",
    "hour": "3",
    "day_of_week": "0",
    "day_of_month": "*",
    "month_of_year": "*",
    "timezone": "UTC",
}


def create_missing_schedule(**_: Any) -> None:
    """Sunday 03:00 UTC. An operator's edits stay; to stop it, disable it."""
    if not PeriodicTask.objects.filter(name=NAME).exists():
        crontab = CrontabSchedule.objects.filter(**SUNDAY_AT_3).first()
        PeriodicTask.objects.create(
            name=NAME,
            task=TASK,
            crontab=crontab or CrontabSchedule.objects.create(**SUNDAY_AT_3),
            description="Exports the event log, trains, evaluates and publishes a release.",
        )
