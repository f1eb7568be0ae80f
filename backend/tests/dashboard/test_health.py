"""Every part is found well or ill, and no part that hangs holds a page up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from celery.signals import task_postrun
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from pytest_django import Settings
from redis import Redis

from config.celery import app
from config.redis_client import redis_client
from dashboard import health
from dashboard.answers import read_counters
from dashboard.health import Check, check_health
from dashboard.models import Heartbeat
from dashboard.schedule import QUEUES
from dashboard.tasks import heartbeat
from recommendations.inference import inference_client
from recommendations.models import TrainingRun

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_health")]

ALL = ("PostgreSQL", "Redis", "Worker", "Trainer", "Beat", "Inference service")


def by_name() -> dict[str, Check]:
    return {check.name: check for check in check_health()}


@contextmanager
def inference_at(settings: Settings, url: str) -> Iterator[None]:
    """The configured address is this one."""
    settings.INFERENCE_URL = url
    inference_client.cache_clear()
    yield
    inference_client().close()
    inference_client.cache_clear()


@contextmanager
def redis_at(settings: Settings, url: str) -> Iterator[None]:
    """The configured address is this one."""
    settings.REDIS_URL = url
    redis_client.cache_clear()
    yield
    redis_client.cache_clear()


@contextmanager
def both_at(settings: Settings, port: int) -> Iterator[None]:
    """Redis and the inference service are looked for at this port."""
    with (
        inference_at(settings, f"http://127.0.0.1:{port}"),
        redis_at(settings, f"redis://127.0.0.1:{port}/0"),
    ):
        yield


@contextmanager
def listening_and_silent() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        yield server.getsockname()[1]


@contextmanager
def nobody_there() -> Iterator[int]:
    """A port that refuses connections."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield server.getsockname()[1]


def test_what_answers_is_well() -> None:
    checks = by_name()

    assert tuple(checks) == ALL
    assert checks["PostgreSQL"].state == "good"
    assert checks["Redis"].state == "good"
    assert "ms" in checks["Redis"].found


def test_whatever_was_never_seen_is_to_be_looked_at_and_says_how_to_start_it() -> None:
    checks = by_name()

    for name in ("Worker", "Trainer", "Beat"):
        assert (checks[name].state, checks[name].found) == ("warning", "has never been seen")
        assert "celery -A config" in checks[name].mend


def test_a_page_with_everything_down_says_so(viewer: Client, settings: Settings) -> None:
    with nobody_there() as port, both_at(settings, port):
        response = viewer.get(reverse("dashboard:overview"))

    html = response.content.decode()
    assert response.status_code == 200
    assert "does not answer (ConnectError)" in html
    assert "Redis failed while answering a ping" in html


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    """A port where something else answers every GET."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (404, b'{"detail": "Not Found"}', "bad"),
        (404, b'{"message": "nothing here"}', "bad"),
        (200, b"<html>", "bad"),
        (200, b"[]", "bad"),
        (503, b'{"message": "No trained release is loaded yet"}', "bad"),
        (200, b'{"model_version": "als_v1", "live_store": "not synced"}', "warning"),
        (200, b'{"model_version": "als_v1", "release_failure": "Model loading failed: x"}', "warning"),
        (200, b'{"model_version": "als_v1", "live_store": "synced"}', "good"),
    ],
)
def test_whatever_answers_there_the_page_stands(
    viewer: Client,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: bytes,
    state: str,
) -> None:
    monkeypatch.setattr(health, "WAIT_S", 30.0)  # it answers, however busy the machine is
    with answering(status, body) as port, inference_at(settings, f"http://127.0.0.1:{port}"):
        assert by_name()["Inference service"].state == state
        assert viewer.get(reverse("dashboard:overview")).status_code == 200
        assert read_counters() is None or state == "good"


def test_nobody_waits_long_for_a_part_that_hangs_and_not_twice(
    viewer: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "WAIT_S", 3.0)  # far above what a busy machine adds
    with listening_and_silent() as port, both_at(settings, port):
        started_s = time.monotonic()
        checks = by_name()
        waited_s = time.monotonic() - started_s
        by_name()  # the question is still open
        waited_again_s = time.monotonic() - started_s - waited_s

    assert checks["Inference service"].state == checks["Redis"].state == "bad"
    assert "No answer within 3 s" in checks["Inference service"].found
    assert 2.5 < waited_s < 4.9  # it was not the client that gave up, after 5 s
    assert waited_again_s < 1.5


def test_the_answer_serves_for_a_few_seconds(settings: Settings) -> None:
    assert by_name()["Redis"].state == "good"
    with nobody_there() as port, redis_at(settings, f"redis://127.0.0.1:{port}/0"):
        assert by_name()["Redis"].state == "good"


@pytest.mark.parametrize(("age_s", "state"), [(5, "good"), (180, "good"), (200, "bad")])
def test_a_worker_is_known_by_its_last_heartbeat(age_s: int, state: str) -> None:
    for queue in QUEUES:
        Heartbeat.objects.create(name=queue, beat_at=timezone.now() - timedelta(seconds=age_s), host="here")

    checks = by_name()

    assert checks["Worker"].state == checks["Trainer"].state == state
    if state == "bad":
        assert "silent for 3 minutes" in checks["Worker"].found
        assert "--queues default" in checks["Worker"].mend


def test_a_trainer_that_trains_is_well_though_its_heartbeats_wait() -> None:
    long_ago = timezone.now() - timedelta(hours=3)
    Heartbeat.objects.create(name="train", beat_at=long_ago, host="here")
    run = TrainingRun.objects.create(status="running", heartbeat_at=timezone.now())

    assert by_name()["Trainer"].found == f"is at training run {run.pk}"

    TrainingRun.objects.update(heartbeat_at=long_ago)
    assert by_name()["Trainer"].state == "bad"


def test_beat_is_known_by_what_it_sent() -> None:
    PeriodicTask.objects.update(last_run_at=timezone.now() - timedelta(minutes=4))
    assert by_name()["Beat"].state == "good"

    PeriodicTask.objects.update(last_run_at=timezone.now() - timedelta(minutes=6))
    assert by_name()["Beat"].state == "bad"


def test_the_part_that_looks_again_wants_the_permission_too(viewer: Client, client: Client) -> None:
    assert "PostgreSQL" in viewer.get(reverse("dashboard:health")).content.decode()
    assert client.get(reverse("dashboard:health")).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_a_real_worker_leaves_its_sign(redis: Redis) -> None:
    done = threading.Event()

    def note(sender: Any, **_: Any) -> None:
        if sender.name == heartbeat.name:
            done.set()

    task_postrun.connect(note)
    heartbeat.delay("default")
    with start_worker(app, queues=["default"], pool="solo", perform_ping_check=False, shutdown_timeout=60):
        assert done.wait(timeout=60)

    assert by_name()["Worker"].state == "good"
