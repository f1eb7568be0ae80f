"""Whether every part of the system works, how that was found out, and what to do where it does not.

A page must not wait for a part that hangs: Redis and the inference service are asked in threads, their
answer is kept a few seconds, and half a second after a question was asked nobody waits for it. Workers
and beat are known by what they left in the database.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Literal

from django.conf import settings
from django.db import connection
from django.db.models import Max
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from config.redis_client import redis_client
from dashboard.models import Heartbeat
from dashboard.schedule import HEARTBEAT_S
from recommendations.inference import inference_client
from recommendations.models import TrainingRun
from recsys.errors import UnavailableError
from recsys.serving.redis_client import redis_faults_as_unavailable

WAIT_S = 0.5
KEPT_S = 5.0
REDIS_TIMEOUT_S = 0.4
SILENT_AFTER = timedelta(seconds=3 * HEARTBEAT_S + 10)
# Beat writes down what it sent every three minutes.
BEAT_SILENT_AFTER = timedelta(minutes=5)

logger = logging.getLogger(__name__)

State = Literal["good", "warning", "bad"]


@dataclass(frozen=True, slots=True)
class Check:
    """One part: its state in words, how that was found out, and the mend when there is one."""

    name: str
    state: State
    found: str
    how: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question in a thread, and since when."""

    answer: Future[Any]
    asked_s: float

    def result(self) -> Any:
        """What was answered.

        Raises:
            UnavailableError: it was not, or not in time.
        """
        try:
            return self.answer.result(timeout=max(self.asked_s + WAIT_S - time.monotonic(), 0.0))
        except NotYetError as error:
            raise UnavailableError(f"No answer within {WAIT_S:g} s; it hangs or is overloaded.") from error
        except UnavailableError:
            raise
        except Exception as error:  # whatever it is, it must not take the page with it
            logger.warning("health unclear reason=%r", error)
            raise UnavailableError(f"It does not answer as it should ({error!r}).") from error


class Probe:
    """Asks in a thread; one question at a time, and its answer serves everybody for a few seconds."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask
        self._lock = Lock()
        self._asked: Asked | None = None

    def start(self) -> Asked:
        """The question that is under way or was just answered, or a new one."""
        with self._lock:
            asked, now_s = self._asked, time.monotonic()
            if asked is None or (asked.answer.done() and now_s - asked.asked_s > KEPT_S):
                asked = self._asked = Asked(_threads.submit(self._ask), now_s)
            return asked

    def forget(self) -> None:
        """Ask anew next time."""
        with self._lock:
            self._asked = None


_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="health")


def _ping_redis() -> float:
    started_s = time.monotonic()
    with redis_faults_as_unavailable("answering a ping"):
        redis_client(REDIS_TIMEOUT_S).ping()
    return time.monotonic() - started_s


def _ask_inference() -> dict[str, Any]:
    return inference_client().ready()


redis_probe, inference_probe = Probe(_ping_redis), Probe(_ask_inference)


def check_health(*, now: datetime | None = None) -> list[Check]:
    """Every part, in the order an operator would look."""
    now = now or timezone.now()
    asked_redis, asked_inference = redis_probe.start(), inference_probe.start()
    seen = dict(Heartbeat.objects.values_list("name", "beat_at"))
    return [
        _database(),
        _redis(asked_redis),
        _worker(seen, now),
        _trainer(seen, now),
        _beat(seen, now),
        _inference(asked_inference),
    ]


def served_version() -> str | None:
    """What the inference service said it serves when it was last asked; never waits."""
    asked = inference_probe.start()
    if not asked.answer.done() or asked.answer.exception() is not None:
        return None
    return str(asked.answer.result()["model_version"])


def _database() -> Check:
    started_s = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = cursor.fetchone()[0].split()[0]
    found = f"PostgreSQL {version} answered in {_ms(time.monotonic() - started_s)}"
    return Check("PostgreSQL", "good", found, "a query of this page")


def _redis(asked: Asked) -> Check:
    how = f"a PING within {REDIS_TIMEOUT_S:g} s"
    mend = "Start the server that REDIS_URL names; acts are kept in PostgreSQL meanwhile and Redis is healed."
    try:
        return Check("Redis", "good", f"answered in {_ms(asked.result())}", how)
    except UnavailableError as error:
        return Check("Redis", "bad", str(error), how, mend)


def _inference(asked: Asked) -> Check:
    name, how = "Inference service", f"GET {settings.INFERENCE_URL}/health/ready"
    try:
        ready: Mapping[str, Any] = asked.result()
    except UnavailableError as error:
        return Check(
            name, "bad", str(error), how, "gunicorn inference_api.wsgi:app in recommendation_service/"
        )
    if ready.get("release_failure"):
        mend = "The release before is served; mend what is named, or train again."
        return Check(name, "warning", ready["release_failure"], how, mend)
    if ready.get("live_store") != "synced":
        mend = "manage.py sync_live_profiles, once Redis answers."
        return Check(name, "warning", f"live profiles: {ready.get('live_store')}", how, mend)
    return Check(name, "good", f"serves {ready['model_version']}", how)


def _worker(seen: Mapping[str, datetime], now: datetime) -> Check:
    queue = settings.CELERY_TASK_DEFAULT_QUEUE
    how = f"the last heartbeat task it did (beat sends one every {HEARTBEAT_S} s)"
    mend = f"celery -A config worker --queues {queue} --concurrency 1 --hostname worker@%h in backend/"
    return _by_sign("Worker", seen.get(queue), now, SILENT_AFTER, how, mend)


def _trainer(seen: Mapping[str, datetime], now: datetime) -> Check:
    how = f"the last heartbeat task it did (beat sends one every {HEARTBEAT_S} s), or a training it is at"
    mend = "celery -A config worker --queues train --concurrency 1 --hostname trainer@%h in backend/"
    running = TrainingRun.objects.filter(
        status=TrainingRun.Status.RUNNING, heartbeat_at__gt=now - SILENT_AFTER
    )
    run = running.only("pk").first()
    if run:
        return Check("Trainer", "good", f"is at training run {run.pk}", how)
    return _by_sign("Trainer", seen.get("train"), now, SILENT_AFTER, how, mend)


def _beat(seen: Mapping[str, datetime], now: datetime) -> Check:
    sent = PeriodicTask.objects.aggregate(last=Max("last_run_at"))["last"]
    signs = [sign for sign in (sent, *seen.values()) if sign is not None]
    how = "what it last sent, which it writes down every 3 minutes, or a heartbeat task that arrived"
    mend = "celery -A config beat in backend/, exactly one"
    return _by_sign("Beat", max(signs, default=None), now, BEAT_SILENT_AFTER, how, mend)


def _by_sign(
    name: str, sign: datetime | None, now: datetime, silent_after: timedelta, how: str, mend: str
) -> Check:
    if sign is None:
        return Check(name, "warning", "has never been seen", how, f"Start it: {mend}")
    if now - sign > silent_after:
        found = f"silent for {duration(now - sign)}, since {sign:%Y-%m-%d %H:%M:%S} UTC"
        return Check(name, "bad", found, how, f"Start it, or see its log: {mend}")
    return Check(name, "good", f"seen {duration(now - sign)} ago", how)


def duration(span: timedelta) -> str:
    """In the unit a person would use."""
    seconds = max(span.total_seconds(), 0.0)
    for name, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"
