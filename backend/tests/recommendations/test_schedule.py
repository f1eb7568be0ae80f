"""The weekly training in the schedule."""

from __future__ import annotations

import json
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab, schedule
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from config.celery import app
from recommendations.schedule import GROWTH_NAME, HEALING_NAME, NAME

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


CRONTAB = {
    "minute": "0",
    "hour": "3",
    "day_of_week": "0",
    "day_of_month": "*",
    "month_of_year": "*",
    "timezone": "UTC",
    "periodictask_set-TOTAL_FORMS": "0",  # the tasks at this time, shown below it
    "periodictask_set-INITIAL_FORMS": "0",
}


@pytest.mark.parametrize(
    ("fields", "wrong", "says"),
    [
        ({"hour": "25"}, "hour", "25"),
        ({"minute": "abc"}, "minute", "abc"),
        ({"minute": "-1"}, "minute", "-1"),
        ({"minute": "1,,2"}, "minute", "No enumeration"),
        ({"day_of_week": ""}, "day_of_week", "required"),
        ({"day_of_month": "31", "month_of_year": "2", "day_of_week": "*"}, "day_of_month", "No year has"),
    ],
)
def test_a_crontab_that_cannot_be_is_told_at_its_field(
    admin_client: Client, fields: dict[str, str], wrong: str, says: str
) -> None:
    weekly = PeriodicTask.objects.get(name=NAME).crontab
    address = reverse("admin:django_celery_beat_crontabschedule_change", args=[weekly.pk])

    response = admin_client.post(address, {**CRONTAB, **fields})

    assert response.status_code == 200
    errors = response.context["adminform"].form.errors
    assert says in str(errors[wrong])
    weekly.refresh_from_db()
    assert weekly.hour == "3"


def test_a_crontab_that_can_be_is_saved(admin_client: Client) -> None:
    weekly = PeriodicTask.objects.get(name=NAME).crontab
    address = reverse("admin:django_celery_beat_crontabschedule_change", args=[weekly.pk])

    response = admin_client.post(address, {**CRONTAB, "hour": "4", "day_of_week": "1,4"})

    assert response.status_code == 302, response.context["adminform"].form.errors
    weekly.refresh_from_db()
    assert (weekly.hour, weekly.day_of_week) == ("4", "1,4")


@pytest.mark.parametrize(
    ("fields", "wrong", "says"),
    [
        ({"task": "recommendations.tasks.retrian"}, "task", "no task recommendations.tasks.retrian"),
        ({"kwargs": "{"}, "kwargs", "JSON"),
        ({"kwargs": '{"percentage": 20}'}, "kwargs", "unexpected keyword argument"),
        ({"kwargs": '{"percent": -1}'}, "kwargs", "a number from 0"),
        ({"kwargs": '{"percent": "20"}'}, "kwargs", "a number from 0"),
        ({"kwargs": "[]"}, "kwargs", "an object"),
        ({"args": "{}"}, "args", "a list"),
        ({"args": "[" * 100_000}, "args", "deep"),
        ({"headers": "[]"}, "headers", "an object"),
        ({"headers": "x"}, "headers", "an object"),
        ({"headers": "[" * 100_000}, "headers", "an object"),
        ({"task": "a\x00b"}, "task", "Null characters"),
        ({"interval": ""}, "__all__", "must be set"),
    ],
)
def test_a_task_that_would_fail_each_time_is_refused_in_the_form(
    admin_client: Client, fields: dict[str, str], wrong: str, says: str
) -> None:
    growth = PeriodicTask.objects.get(name=GROWTH_NAME)
    address = reverse("admin:django_celery_beat_periodictask_change", args=[growth.pk])

    response = admin_client.post(address, {**as_posted(growth), **fields})

    assert response.status_code == 200
    errors = response.context["adminform"].form.errors
    assert says in str(errors.get(wrong) or errors)
    growth.refresh_from_db()
    assert growth.kwargs == '{"percent": 0}'


@pytest.mark.parametrize(("every", "period"), [(2**31 - 1, "days"), (2**31 - 1, "hours"), (3661, "days")])
def test_an_interval_at_which_beat_would_end_is_refused(
    admin_client: Client, every: int, period: str
) -> None:
    address = reverse("admin:django_celery_beat_intervalschedule_add")

    response = admin_client.post(address, {"every": every, "period": period})

    assert response.status_code == 200
    assert "3,660 days at most" in str(response.context["adminform"].form.errors["every"])


def test_an_interval_of_a_day_is_saved(admin_client: Client) -> None:
    response = admin_client.post(
        reverse("admin:django_celery_beat_intervalschedule_add"), {"every": "1", "period": "days"}
    )

    assert response.status_code == 302


def test_the_growth_that_starts_a_training_is_edited_in_the_admin(admin_client: Client) -> None:
    growth = PeriodicTask.objects.get(name=GROWTH_NAME)
    address = reverse("admin:django_celery_beat_periodictask_change", args=[growth.pk])

    response = admin_client.post(address, {**as_posted(growth), "kwargs": '{"percent": 20}'})

    assert response.status_code == 302, response.context["adminform"].form.errors
    growth.refresh_from_db()
    assert json.loads(growth.kwargs) == {"percent": 20}


def as_posted(task: PeriodicTask) -> dict[str, str]:
    return {
        "name": task.name,
        "task": task.task,
        "enabled": "on",
        "interval": str(task.interval_id),
        "args": task.args,
        "kwargs": task.kwargs,
        "headers": "{}",
        "expire_seconds": "600",
    }
