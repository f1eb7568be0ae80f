"""The retrain task: real subprocesses, a real worker, and everything that can go wrong with them."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Retry
from celery.signals import task_postrun
from django.db import connection
from pytest_django import Settings
from redis import Redis

from config.celery import app
from recommendations import process
from recommendations.lease import end_lease, take_lease
from recommendations.models import TrainingLease, TrainingRun
from recommendations.process import train_under_lease
from recommendations.services import request_training
from recommendations.tasks import retrain
from recsys.recommenders.table import RECOMMENDERS

pytestmark = pytest.mark.django_db(transaction=True)
Status = TrainingRun.Status

SMALL = {"als": {"factors": 8, "iterations": 2}, "content": {"dimensions": 8}}


def trained(**fields: Any) -> TrainingRun:
    run = TrainingRun.objects.create(**{"parameters": SMALL, **fields})
    assert train_under_lease(run)
    run.refresh_from_db()
    return run


def lease_is_free() -> bool:
    token = take_lease(TrainingRun.objects.create().pk)
    if token is not None:
        end_lease(token)
    return token is not None


def test_a_training_publishes_a_release_and_says_what_it_did(training_place: Path, event_log: int) -> None:
    run = trained()

    assert run.status == Status.SUCCEEDED, run.log_tail
    current = (training_place / "models" / "current").resolve()
    assert current.name == run.release
    assert len(list((training_place / "models").glob("als_v1*"))) == 5
    manifest = json.loads((current / "manifest.json").read_text())
    assert set(run.metrics) == set(manifest["recommenders"]) >= {"popularity", "content", "als"}
    assert manifest["recommenders"]["als"]["recipe"]["factors"] == 8
    assert run.dataset["counts"]["users"] == 60
    assert run.percent == 100.0
    assert run.started_at < run.finished_at
    assert run.log_tail
    assert list((training_place / "logs").glob("all-*.log"))
    assert lease_is_free()


def test_without_acts_it_fails_and_says_so(training_place: Path) -> None:
    run = trained()

    assert run.status == Status.FAILED
    assert "No interactions found" in run.reason
    assert "No interactions found" in run.log_tail
    assert not (training_place / "models" / "current").exists()
    assert lease_is_free()


def test_parameters_that_cannot_work_fail_it(training_place: Path, event_log: int) -> None:
    run = trained(parameters={"als": {"factors": -1}})

    assert run.status == Status.FAILED
    assert "factors" in run.reason


def test_a_failed_training_leaves_the_served_release(training_place: Path, event_log: int) -> None:
    served = trained().release
    models = training_place / "models"

    failed = trained(parameters={"als": {"factors": -1}})

    assert failed.status == Status.FAILED
    assert (models / "current").resolve().name == served


def test_a_process_that_is_killed_fails_the_run(
    training_place: Path, event_log: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledAtOnce(subprocess.Popen):
        """As the kernel does when memory runs out."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.kill()

    monkeypatch.setattr(process.subprocess, "Popen", KilledAtOnce)

    run = trained()

    assert run.status == Status.FAILED
    assert run.reason.startswith(
        "The process was ended by signal 9 (SIGKILL), as the system does when memory"
    )
    assert lease_is_free()


def test_a_training_that_takes_too_long_is_ended(
    training_place: Path, event_log: int, settings: Settings
) -> None:
    settings.TRAINING_TIME_LIMIT_S = 0

    run = trained()

    assert run.status == Status.FAILED
    assert "longer than 0 hours" in run.reason


def test_a_training_whose_lease_is_taken_stops_without_publishing(
    training_place: Path, event_log: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Overtaken(subprocess.Popen):
        """While the process starts, its worker counts as dead and another takes the lease."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            with connection.cursor() as cursor:
                cursor.execute("UPDATE recommendations_traininglease SET fencing_token = fencing_token + 1")

    monkeypatch.setattr(process.subprocess, "Popen", Overtaken)
    monkeypatch.setattr(process, "RENEW_EVERY_S", 0.2)

    run = trained()

    assert run.status == Status.FAILED
    assert "took over" in run.reason
    assert not (training_place / "models" / "current").exists()
    assert TrainingLease.objects.get().fencing_token == run.fencing_token + 1


def test_a_late_process_cannot_publish(training_place: Path, event_log: int) -> None:
    """Its worker is gone, and the run goes on under the token of another."""
    run = TrainingRun.objects.create(parameters=SMALL)
    token = take_lease(run.pk)
    TrainingRun.objects.filter(pk=run.pk).update(status=Status.RUNNING, fencing_token=token + 1)

    late = subprocess.run(
        [process.sys.executable, "manage.py", "run_training", str(run.pk), "--fencing-token", str(token)],
        cwd=process.settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )

    assert late.returncode == 1
    assert "no longer under token" in late.stderr
    assert not (training_place / "models" / "current").exists()


def test_a_second_delivery_while_the_first_runs_comes_back_later(training_place: Path) -> None:
    run = TrainingRun.objects.create()
    token = take_lease(run.pk)

    with pytest.raises(Retry):
        retrain.apply(args=[run.pk], throw=True)
    run.refresh_from_db()
    assert run.status == Status.QUEUED

    end_lease(token)
    TrainingRun.objects.filter(pk=run.pk).update(status=Status.SUCCEEDED)
    assert retrain.apply(args=[run.pk], throw=True).result == Status.SUCCEEDED
    assert not (training_place / "models" / "current").exists()


def test_one_recommender_is_trained_with_what_it_falls_back_to(training_place: Path, event_log: int) -> None:
    assert "als" in RECOMMENDERS

    run = trained(kind="als")

    assert set(run.metrics) == {"popularity", "content", "als"}
    assert list((training_place / "logs").glob("als-*.log"))


def test_a_real_worker_takes_it_from_the_queue(training_place: Path, event_log: int, redis: Redis) -> None:
    done = threading.Event()

    def note(sender: Any, **_: Any) -> None:
        if sender.name == retrain.name:
            done.set()

    task_postrun.connect(note)
    run = request_training(trigger=TrainingRun.Trigger.MANUAL, parameters=SMALL)
    with start_worker(app, queues=["train"], pool="solo", perform_ping_check=False, shutdown_timeout=60):
        assert done.wait(timeout=120)

    run.refresh_from_db()
    assert run.status == Status.SUCCEEDED, run.log_tail
    assert redis.llen("train") == 0
    assert redis.hlen("unacked") == 0
