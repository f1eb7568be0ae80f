"""The schedule: what is missing from it is put there, what is there is never changed."""

from __future__ import annotations

from typing import Any

from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

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


HEALING_NAME = "Healing of the live state"
HEALING_TASK = "interactions.tasks.heal_live_state"
HEALING_EVERY_S = 60


def create_missing_schedule(**_: Any) -> None:
    """An operator's edits stay; to stop a task, disable it."""
    _create_missing_training()
    _create_missing_healing()


def _create_missing_healing() -> None:
    """Every minute; one that a busy worker did not come to within the minute is dropped."""
    if not PeriodicTask.objects.filter(name=HEALING_NAME).exists():
        every, _ = IntervalSchedule.objects.get_or_create(
            every=HEALING_EVERY_S, period=IntervalSchedule.SECONDS
        )
        PeriodicTask.objects.create(
            name=HEALING_NAME,
            task=HEALING_TASK,
            interval=every,
            expire_seconds=HEALING_EVERY_S,
            description="Writes to Redis again what could not be written while Redis was away.",
        )


def _create_missing_training() -> None:
    """Sunday 03:00 UTC."""
    if not PeriodicTask.objects.filter(name=NAME).exists():
        crontab = CrontabSchedule.objects.filter(**SUNDAY_AT_3).first()
        PeriodicTask.objects.create(
            name=NAME,
            task=TASK,
            crontab=crontab or CrontabSchedule.objects.create(**SUNDAY_AT_3),
            description="Exports the event log, trains, evaluates and publishes a release.",
        )
