"""The dashboard's tasks in the schedule, and a real worker that does them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery.schedules import schedule
from django.core.management import call_command
from django_celery_beat.models import PeriodicTask

from config.celery import app
from dashboard.schedule import TASKS

pytestmark = pytest.mark.django_db


def test_they_are_there_after_migrate_once() -> None:
    PeriodicTask.objects.all().delete()

    call_command("migrate", verbosity=0)
    call_command("migrate", verbosity=0)

    app.loader.import_default_modules()
    for planned in TASKS:
        task = PeriodicTask.objects.get(name=planned.name)
        assert task.task in app.tasks
        assert task.interval.schedule == schedule(timedelta(seconds=planned.every_s))
        assert (task.enabled, task.expire_seconds, task.queue) == (True, planned.every_s, planned.queue)


def test_what_an_operator_changed_stays() -> None:
    call_command("migrate", verbosity=0)
    PeriodicTask.objects.filter(name=TASKS[0].name).update(enabled=False)

    call_command("migrate", verbosity=0)

    assert PeriodicTask.objects.get(name=TASKS[0].name).enabled is False
