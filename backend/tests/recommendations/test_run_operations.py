"""Cancelling, the limits of a run, its log while it runs, and two who ask at once: real subprocesses."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from accounts.models import User
from interactions.models import UserInteraction
from interactions.services import NewEvent, record_events
from recommendations import process
from recommendations.lease import end_lease, take_lease
from recommendations.models import ReleaseChange, TrainingRun
from recommendations.process import train_under_lease
from recommendations.services import cancel_run, request_training, scheduled_run, start_run
from recommendations.tasks import retrain
from recsys.artifacts.layout import served_version
from recsys.errors import InvalidRequestError
from startups.models import Startup
from testing import Make

pytestmark = pytest.mark.django_db(transaction=True)
Status, Trigger = TrainingRun.Status, TrainingRun.Trigger

SMALL = {"als": {"factors": 8, "iterations": 2}, "content": {"dimensions": 8}}
ENDLESS = {**SMALL, "als": {"factors": 64, "iterations": 1_000_000}}
SOON_S = 60.0


def trained(**fields: Any) -> TrainingRun:
    run = TrainingRun.objects.create(**{"parameters": SMALL, "kind": "als", **fields})
    assert train_under_lease(run)
    run.refresh_from_db()
    return run


@contextmanager
def training(**fields: Any) -> Iterator[TrainingRun]:
    """A run on its way in another thread; the block must make it end."""
    run = TrainingRun.objects.create(**{"parameters": ENDLESS, "kind": "als", **fields})

    def train() -> None:
        try:
            train_under_lease(run)
        finally:
            connection.close()

    thread = threading.Thread(target=train)
    thread.start()
    try:
        yield run
    except BaseException:
        cancel_run(run.pk, by=None)
        raise
    finally:
        thread.join(timeout=SOON_S)
        assert not thread.is_alive()
        run.refresh_from_db()


def wait_until(run: TrainingRun, holds: Callable[[TrainingRun], bool]) -> None:
    """Ask the row until it says so."""
    deadline = time.monotonic() + SOON_S
    pause = threading.Event()
    while time.monotonic() < deadline:
        run.refresh_from_db()
        if holds(run):
            return
        pause.wait(0.05)
    raise AssertionError(f"{run} is at {run.stage!r}: {run.reason} {run.log_tail[-500:]}")


def is_fitting(run: TrainingRun) -> bool:
    return run.stage.startswith("fitting als")


def test_a_queued_run_is_cancelled_at_once_and_never_starts(
    training_place: Path, make_user: Make, redis: Redis
) -> None:
    run = request_training(trigger=Trigger.MANUAL)

    assert cancel_run(run.pk, by=make_user(username="anna")) is True

    run.refresh_from_db()
    assert (run.status, run.reason) == (Status.CANCELLED, "Cancelled by anna before it started.")
    assert retrain.apply(args=[run.pk], throw=True).result == Status.CANCELLED
    token = take_lease(run.pk)
    assert start_run(run.pk, token) is False
    end_lease(token)
    assert cancel_run(run.pk, by=None) is False


def test_a_running_one_ends_within_seconds_and_what_was_served_still_is(
    training_place: Path, event_log: int, make_user: Make
) -> None:
    served = trained().release

    with training() as run:
        wait_until(run, is_fitting)
        asked_at = time.monotonic()
        assert cancel_run(run.pk, by=make_user(username="anna")) is True

    assert time.monotonic() - asked_at < 5
    assert run.status == Status.CANCELLED
    assert run.reason.startswith("Cancelled by anna while it was at: fitting als")
    assert run.cancelled_by == User.objects.get(username="anna")
    assert served_version(training_place / "models") == served
    token = take_lease(run.pk)
    assert token is not None
    end_lease(token)


def test_the_log_and_the_progress_can_be_read_while_it_runs(training_place: Path, event_log: int) -> None:
    with training() as run:
        wait_until(run, lambda run: is_fitting(run) and "export done" in run.log_tail)
        log = training_place / "logs" / run.log_file
        assert "export done" in log.read_text()
        assert 0 < run.percent < 100
        assert run.dataset["acts"]["rows"] == event_log
        assert len(run.dataset["hash"]) == 64
        assert set(run.metrics) == {"popularity", "content"}  # what is measured so far
        cancel_run(run.pk, by=None)


def test_a_killed_process_is_a_red_row_with_its_log(training_place: Path, event_log: int) -> None:
    with training() as run:
        wait_until(run, is_fitting)
        (child,) = children_of(os.getpid())
        os.kill(child, signal.SIGKILL)

    assert run.status == Status.FAILED
    assert "signal 9 (SIGKILL), as the system does when memory runs out" in run.reason
    assert "export done" in run.log_tail


def children_of(pid: int) -> list[int]:
    """The trainings among them."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return [c for c in children if b"run_training" in Path(f"/proc/{c}/cmdline").read_bytes()]


def test_one_that_holds_too_much_memory_is_ended_and_the_limit_is_named(
    training_place: Path, event_log: int, settings: Settings
) -> None:
    settings.TRAINING_MEMORY_LIMIT_MB = 30  # less than Django alone takes

    run = trained(parameters=ENDLESS)

    assert run.status == Status.FAILED
    assert "more than the 30 of TRAINING_MEMORY_LIMIT_MB" in run.reason


def test_memory_of_what_a_training_has_started_counts() -> None:
    holding = "held = bytearray(200 << 20); print(1, flush=True); input()"
    starting = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {holding!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", starting], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as training:
        assert training.stdout is not None
        assert training.stdout.readline()
        held_mb = process._memory_mb(training.pid)
        training.communicate(b"\n")

    assert 200 <= held_mb < 400
    assert process._memory_mb(training.pid) == 0


def test_without_a_limit_memory_is_not_looked_at(
    training_place: Path, event_log: int, settings: Settings
) -> None:
    settings.TRAINING_MEMORY_LIMIT_MB = 0

    assert trained().status == Status.SUCCEEDED


def test_a_log_folder_that_cannot_be_written_to_fails_the_run_by_name(
    training_place: Path, event_log: int, settings: Settings
) -> None:
    settings.LOGS_DIR = training_place / "file"
    settings.LOGS_DIR.touch()

    run = trained()

    assert run.status == Status.FAILED
    assert str(settings.LOGS_DIR) in run.reason


def test_a_disk_that_is_full_while_publishing_fails_the_run_and_what_was_served_still_is(
    training_place: Path, event_log: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit on the size of a file stands for the disk: EFBIG where it would be ENOSPC."""
    served = trained().release

    class NoRoom(process.subprocess.Popen):
        """No file of the training may be larger than 20 kB; its matrix is smaller, its factors are not."""

        def __init__(self, command: list[str], **kwargs: Any) -> None:
            limited = ["prlimit", "--fsize=20000", *command]
            super().__init__(limited, **kwargs)

    monkeypatch.setattr(process.subprocess, "Popen", NoRoom)

    run = trained(parameters={**SMALL, "als": {"factors": 128, "iterations": 1}})

    assert run.status == Status.FAILED
    assert "free space" in run.reason
    assert served_version(training_place / "models") == served
    assert not list((training_place / "models" / "releases").glob(".writing-*"))


def test_a_release_folder_deleted_by_hand_is_replaced_by_the_next_training(
    training_place: Path, event_log: int
) -> None:
    first = trained().release
    shutil.rmtree(training_place / "models" / "releases" / first)

    second = trained(trigger=Trigger.SCHEDULED)

    assert second.status == Status.SUCCEEDED, second.reason
    assert served_version(training_place / "models") == second.release != first


def test_a_training_writes_down_that_it_published(
    training_place: Path, event_log: int, make_user: Make
) -> None:
    anna = make_user()

    first = trained(started_by=anna)
    second = trained()

    changes = ReleaseChange.objects.order_by("pk")
    assert [(c.action, c.version, c.previous_version, c.by, c.run) for c in changes] == [
        ("published", first.release, "", anna, first),
        ("published", second.release, first.release, None, second),
    ]


def test_learning_curves_and_the_gates_verdict_are_in_the_row(training_place: Path, event_log: int) -> None:
    small = {"two_tower": {"dimensions": 4, "epochs": 2}}

    run = trained(kind="two_tower", parameters=small)

    assert [point["epoch"] for point in run.learning_curves["two_tower"]] == [1, 2]
    assert all(point["loss"] > 0 for point in run.learning_curves["two_tower"])
    assert "people" in {check["name"] for check in run.gate["checks"]}


def test_a_scheduled_run_that_is_worse_is_refused_with_numbers_and_a_persons_is_not(
    training_place: Path, event_log: int
) -> None:
    """Acts in which everybody's taste is drawn anew: als has nothing to find."""
    first = trained()
    scramble_acts()

    refused = trained(trigger=Trigger.SCHEDULED)

    assert refused.status == Status.REFUSED, refused.reason
    assert refused.reason.startswith("Refused, what was served still is:\nals measures ndcg@10 0.")
    assert refused.gate["accepted"] is False
    assert refused.release == ""
    assert served_version(training_place / "models") == first.release
    assert json.loads((training_place / "data" / "als_manifest.json").read_text())["acts"]["rows"]

    by_hand = trained()
    assert by_hand.status == Status.SUCCEEDED
    assert "the same list for everybody" in by_hand.reason


def scramble_acts() -> None:
    """Each act goes to a startup drawn at random; a made one, since rows of the log do not change."""
    users = list(UserInteraction.objects.values_list("user", flat=True))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM interactions_userinteraction")
    startups = list(Startup.objects.values_list("pk", flat=True))
    draw = random.Random(1)
    record_events([NewEvent(user, draw.choice(startups), "like") for user in users])


def test_of_two_who_press_at_once_one_is_told_of_the_others_run(
    training_place: Path, make_user: Make, redis: Redis
) -> None:
    start, said = threading.Barrier(8), []

    def press() -> None:
        try:
            start.wait(timeout=30)
            said.append(request_training(trigger=Trigger.MANUAL).pk)
        except InvalidRequestError as error:
            said.append(str(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    run = TrainingRun.objects.get()
    assert sorted(map(str, said)) == sorted(
        [str(run.pk)]
        + [
            f"Run {run.pk} does the same and is queued; wait until it has ended, or cancel it first."
            for _ in range(7)
        ]
    )
    assert redis.llen("train") == 1


def test_another_kind_or_other_parameters_wait_in_the_queue(training_place: Path, redis: Redis) -> None:
    for asked in ({}, {"kind": "als"}, {"parameters": SMALL}):
        request_training(trigger=Trigger.MANUAL, **asked)

    assert redis.llen("train") == 3


def test_of_two_beats_one_training_comes(training_place: Path, redis: Redis) -> None:
    """Eight tasks of the schedule at once, then one more a moment after the run has ended."""
    start, runs = threading.Barrier(8), []

    def deliver(task_id: str) -> None:
        try:
            start.wait(timeout=30)
            runs.append(scheduled_run(task_id))
        finally:
            connection.close()

    threads = [threading.Thread(target=deliver, args=[f"task-{n}"]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    (run,) = [run for run in runs if run is not None]
    assert len(runs) == 8
    assert scheduled_run(run.task_id) == run
    TrainingRun.objects.update(status=Status.REFUSED, finished_at=timezone.now())
    assert scheduled_run("a moment later") is None
    assert retrain.apply(task_id="and another", throw=True).result == "absorbed"
