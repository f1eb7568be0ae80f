"""What is written about a run, and by whom."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import transaction
from redis import Redis

from embedded_services.launcher import throw_away_services
from recommendations.lease import LeaseLostError
from recommendations.models import TrainingRun
from recommendations.services import (
    fail_run,
    report_run,
    request_training,
    scheduled_run,
    start_run,
    succeed_run,
)

pytestmark = pytest.mark.django_db
Status = TrainingRun.Status

ASK_FOR_A_TRAINING = """
import django
django.setup()
from recommendations.services import request_training
request_training(trigger="manual")
"""


def a_run(**fields: object) -> TrainingRun:
    return TrainingRun.objects.create(**fields)


def test_only_the_holder_of_the_token_writes() -> None:
    run = a_run()
    start_run(run.pk, 7)

    report_run(run.pk, 7, stage="fitting als", percent=40.0)
    with pytest.raises(LeaseLostError):
        report_run(run.pk, 6, stage="late")
    with pytest.raises(LeaseLostError):
        succeed_run(run.pk, 6, release="late")
    assert fail_run(run.pk, "late", token=6) is False

    run.refresh_from_db()
    assert (run.status, run.stage, run.percent, run.release) == (Status.RUNNING, "fitting als", 40.0, "")
    assert run.heartbeat_at >= run.started_at
    assert run.worker_pid


def test_a_run_ends_once() -> None:
    run = a_run()
    start_run(run.pk, 1)
    succeed_run(run.pk, 1, release="r-1", metrics={"als": 1})

    assert fail_run(run.pk, "too late", token=1) is False
    with pytest.raises(LeaseLostError):
        report_run(run.pk, 1, stage="more")

    run.refresh_from_db()
    assert (run.status, run.release, run.percent, run.reason) == (Status.SUCCEEDED, "r-1", 100.0, "")
    assert run.finished_at is not None
    assert run.is_finished


def test_whatever_else_says_that_it_is_running_is_failed_by_the_next() -> None:
    abandoned, run, queued = a_run(), a_run(), a_run()
    start_run(abandoned.pk, 1)

    start_run(run.pk, 2)

    abandoned.refresh_from_db()
    queued.refresh_from_db()
    assert abandoned.status == Status.FAILED
    assert "without saying how" in abandoned.reason
    assert queued.status == Status.QUEUED


def test_the_same_task_is_the_same_run() -> None:
    first, again, other = scheduled_run("a"), scheduled_run("a"), scheduled_run("b")

    assert first == again != other
    assert first.trigger == TrainingRun.Trigger.SCHEDULED


@pytest.mark.django_db(transaction=True)
def test_a_training_is_sent_after_the_commit_to_the_queue_of_trainings(redis: Redis) -> None:
    with transaction.atomic():
        run = request_training(trigger=TrainingRun.Trigger.MANUAL, parameters={"als": {"factors": 8}})
        assert redis.llen("train") == 0

    (message,) = redis.lrange("train", 0, -1)
    headers = json.loads(message)["headers"]
    assert (headers["task"], headers["argsrepr"]) == ("recommendations.tasks.retrain", f"({run.pk},)")
    assert redis.llen("default") == 0


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_fails_the_run_with_the_mend(
    training_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own: Celery keeps the broker it first met."""
    with throw_away_services(["valkey"]) as services:
        monkeypatch.setenv("REDIS_URL", services.redis_url)

    subprocess.run([sys.executable, "-c", ASK_FOR_A_TRAINING], cwd=settings.BASE_DIR, check=True)

    run = TrainingRun.objects.get()
    assert run.status == Status.FAILED
    assert "start Redis" in run.reason
