"""The weekly training in the schedule."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab, schedule
from django.core.management import call_command
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from config.celery import app
from recommendations.schedule import HEALING_NAME, NAME

pytestmark = pytest.mark.django_db


def migrate() -> None:
    call_command("migrate", verbosity=0)


def test_it_is_there_after_migrate_for_sunday_at_three() -> None:
    PeriodicTask.objects.all().delete()
    CrontabSchedule.objects.all().delete()

    migrate()
    migrate()

    task = PeriodicTask.objects.get(name=NAME)
    assert (task.task, task.enabled, task.args, task.kwargs) == (
        "recommendations.tasks.retrain",
        True,
        "[]",
        "{}",
    )
    app.loader.import_default_modules()
    assert task.task in app.tasks
    weekly = task.crontab.schedule
    assert isinstance(weekly, crontab)
    assert task.crontab.timezone == ZoneInfo("UTC")
    assert weekly.day_of_week == {0}
    assert (weekly.hour, weekly.minute) == ({3}, {0})


def test_the_live_state_is_healed_every_minute_and_no_message_outlives_it() -> None:
    PeriodicTask.objects.all().delete()

    migrate()
    migrate()

    task = PeriodicTask.objects.get(name=HEALING_NAME)
    assert task.interval.schedule == schedule(timedelta(seconds=60))
    assert task.expire_seconds == 60
    app.loader.import_default_modules()
    assert task.task in app.tasks


def test_what_an_operator_changed_stays() -> None:
    migrate()
    task = PeriodicTask.objects.get(name=NAME)
    task.enabled = False
    task.crontab = CrontabSchedule.objects.create(minute="30", hour="4")
    task.save()

    migrate()

    task.refresh_from_db()
    assert task.enabled is False
    assert task.crontab.hour == "4"


def test_without_the_tables_of_the_schedule_migrate_still_works() -> None:
    """One application alone can be migrated."""
    call_command("migrate", "accounts", verbosity=0)
