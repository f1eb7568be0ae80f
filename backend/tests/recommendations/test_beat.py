"""A real beat, started after it was down: what it missed is sent once, and only then on time."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from redis import Redis

from config.beat import WholeSchedule
from config.celery import app
from recommendations.schedule import GROWTH_NAME, NAME

pytestmark = pytest.mark.django_db(transaction=True)
SOON_S = 60.0


@pytest.fixture
def weekly() -> PeriodicTask:
    """The weekly training alone, at an hour half a day away, last sent ten days ago."""
    PeriodicTask.objects.exclude(name=NAME).delete()
    task = PeriodicTask.objects.get(name=NAME)
    CrontabSchedule.objects.filter(pk=task.crontab_id).update(
        hour=str((timezone.now().hour + 12) % 24), day_of_week="*"
    )
    PeriodicTask.objects.filter(pk=task.pk).update(last_run_at=timezone.now() - timedelta(days=10))
    return task


@contextmanager
def beat(log: Path, scheduler: str = settings.CELERY_BEAT_SCHEDULER) -> Iterator[None]:
    """In a process of its own; it is killed when the block ends."""
    command = [sys.executable, "-m", "celery", "-A", "config", "beat", "--scheduler", scheduler]
    command += ["--pidfile", "", "--max-interval", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.kill()  # it may hang at SIGTERM: its handler writes over a connection that may be in use
        process.wait(timeout=30)


def wait_until(holds: Callable[[], bool], log: Path) -> None:
    deadline, pause = time.monotonic() + SOON_S, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, log.read_text()
        pause.wait(0.1)


def test_a_weekly_training_that_was_missed_is_sent_once_at_start(
    training_place: Path, redis: Redis, weekly: PeriodicTask
) -> None:
    log = training_place / "beat.log"

    def is_noted() -> bool:
        weekly.refresh_from_db()
        return weekly.total_run_count == 1

    with beat(log):
        wait_until(lambda: redis.llen("train") == 1, log)
        every_second = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.SECONDS)
        # A change of the schedule has beat write down what it sent, which else it does every three minutes.
        PeriodicTask.objects.create(name="tick", task="x", queue="ticks", interval=every_second)
        wait_until(is_noted, log)
    assert weekly.last_run_at > timezone.now() - timedelta(minutes=5)

    ticks = redis.llen("ticks")
    with beat(log):  # it is up and sends what is due, and this is not
        wait_until(lambda: redis.llen("ticks") >= ticks + 2, log)
    assert redis.llen("train") == 1


def test_a_database_that_is_away_leaves_the_schedule_as_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = WholeSchedule(app=app, lazy=True)
    read = dict(scheduler.schedule)
    assert NAME in read

    def fail() -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(scheduler, "enabled_models_qs", fail)
    monkeypatch.setattr(scheduler, "schedule_changed", lambda: True)

    assert scheduler.schedule.keys() == read.keys()


@pytest.mark.parametrize("headers", ["[]", "x"])
def test_a_row_that_cannot_be_read_stops_no_other(headers: str, caplog: pytest.LogCaptureFixture) -> None:
    PeriodicTask.objects.filter(name=GROWTH_NAME).update(headers=headers)

    scheduler = WholeSchedule(app=app, lazy=True)

    assert NAME in scheduler.schedule
    assert GROWTH_NAME not in scheduler.schedule
    assert GROWTH_NAME in caplog.text
