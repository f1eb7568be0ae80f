"""The programs that run: inference service, workers, beat; and whether what they do comes to its end."""

from __future__ import annotations

import secrets
from collections import defaultdict
from datetime import timedelta
from http import HTTPStatus
from uuid import UUID, uuid4

import httpx
from django.conf import settings
from django.db.models import Count, Max
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from config.celery import app
from config.redis_client import redis_client
from dashboard.health import BEAT_SILENT_AFTER, duration
from dashboard.models import Heartbeat
from dashboard.next_run import next_training
from dashboard.schedule import QUEUES
from dashboard.schedule import TASKS as DASHBOARD_TASKS
from interactions.models import UserInteraction
from recommendations.beats import beats_at_once
from recommendations.doctor.report import Finding, fail, ok, warn
from recommendations.inference import inference_client
from recommendations.lease import LEASE_S
from recommendations.models import TrainingRun
from recommendations.schedule import ENTRIES
from recsys.artifacts.layout import served_version
from recsys.errors import UnavailableError

TIMEOUT_S = 2.0
RECENT_ACTS = 2_000
TASKS_WAITING = 100
OVERDUE = timedelta(minutes=10)
START_FLASK = "gunicorn inference_api.wsgi:app in recommendation_service/, and INFERENCE_URL here"


def check_inference() -> Finding:
    """It answers, from the release that the pointer names."""
    try:
        ready = inference_client().ready()
    except UnavailableError as error:
        return fail(str(error), START_FLASK)
    serves, pointed = ready["model_version"], served_version(settings.MODELS_DIR)
    if ready.get("release_failure"):
        return fail(f"serves {serves}, as {ready['release_failure']}", "mend what is named, or train again")
    if pointed and serves != pointed:
        return fail(
            f"serves {serves}, the pointer names {pointed}",
            "it follows within two seconds: check again, then that both use the same RECSYS_MODELS_DIR",
        )
    if ready.get("live_store") != "synced":
        return warn(
            f"live profiles: {ready.get('live_store')}", "REDIS_URL there; manage.py sync_live_profiles"
        )
    return ok(f"serves {serves}; live profiles synced")


def check_inference_key() -> Finding:
    """It takes our key, and refuses whoever has none."""
    inference_client().recommend(str(uuid4()), {"limit": 1})  # raises when the key is refused
    if not settings.INFERENCE_API_KEY:
        return ok("none is configured: it answers this machine only")
    address = f"{settings.INFERENCE_URL}/popular?limit=1"
    wrong = {"Authorization": f"Bearer {secrets.token_hex(16)}"}
    status = httpx.get(address, headers=wrong, timeout=TIMEOUT_S, trust_env=False).status_code
    if status == HTTPStatus.UNAUTHORIZED:
        return ok("ours is accepted, another is refused")
    return fail(f"a wrong key was answered with {status}", "set INFERENCE_API_KEY where Flask runs too")


def check_routing() -> Finding:
    """Somebody warm is answered by als, somebody hot by the ensemble, and nothing is degraded."""
    ready = inference_client().ready()
    cold_below, hot_from = ready["cold_below"], ready["hot_from"]
    told = [f"content below {cold_below}, als to {hot_from - 1}, ensemble from {hot_from}"]
    for expected, user_id in _somebody(cold_below, hot_from).items():
        answer = inference_client().recommend(str(user_id), {"limit": 10})
        told.append(f"{user_id} got {answer['method_used']}")
        if answer["degraded"] or answer["method_used"] != expected:
            why = answer["degraded"] or f"{answer['interaction_count']} startups acted on"
            return warn(f"{told[-1]} instead of {expected}: {why}", "docs/operations.md has what each means")
    return ok("; ".join(told))


def _somebody(cold_below: int, hot_from: int) -> dict[str, UUID]:
    """A warm and a hot user among those who acted last, where there are any."""
    recent = UserInteraction.objects.order_by("-pk").values_list("user_id", flat=True)[:RECENT_ACTS]
    acts = UserInteraction.objects.filter(user__in=set(recent), user__opted_out=False, retracted_at=None)
    counted = acts.values("user").annotate(n=Count("startup", distinct=True)).values_list("user", "n")
    found: dict[str, UUID] = {}
    for user_id, n in counted:
        if n >= cold_below:
            found.setdefault("ensemble" if n >= hot_from else "als", user_id)
    return found


def check_workers() -> Finding:
    """Each queue has a worker that answers; trainings have one."""
    answered = app.control.inspect(timeout=TIMEOUT_S).active_queues() or {}
    workers = defaultdict(list)
    for name, queues in answered.items():
        for queue in queues:
            workers[queue["name"]].append(name)
    silent = [queue for queue in QUEUES if not workers[queue]]
    if silent:
        command = f"celery -A config worker --queues {silent[0]} --concurrency 1 in backend/"
        return fail(f"no worker answers for the queue {' and '.join(silent)}", command)
    told = "; ".join(f"{queue}: {', '.join(sorted(workers[queue]))}" for queue in QUEUES)
    if len(workers["train"]) > 1:
        return warn(told, "one worker for the queue train is enough: the lease lets one train at a time")
    return ok(told)


def check_queues() -> Finding:
    """Tasks are taken as fast as they are sent."""
    waiting = {queue: int(redis_client().llen(queue)) for queue in QUEUES}
    told = ", ".join(f"{queue} {n:,}" for queue, n in waiting.items())
    if max(waiting.values()) > TASKS_WAITING:
        return warn(f"tasks waiting: {told}", "start a worker, or see what it is busy with")
    return ok(f"tasks waiting: {told}")


def check_beat() -> Finding:
    """One beat sends: it was heard lately, and no other beside it."""
    doubled = beats_at_once()
    if doubled:
        return fail(
            f"{len(doubled)} beats send at once: {', '.join(doubled)}",
            "stop all but one: every scheduled task is sent by each (the name holds process id and host)",
        )
    sent = PeriodicTask.objects.aggregate(last=Max("last_run_at"))["last"]
    signs = [sign for sign in (sent, *Heartbeat.objects.values_list("beat_at", flat=True)) if sign]
    if not signs:
        return fail("never heard", "celery -A config beat in backend/, exactly one")
    silence = timezone.now() - max(signs)
    told = f"last heard {duration(silence)} ago"
    if silence > BEAT_SILENT_AFTER:
        return fail(told, "celery -A config beat in backend/, exactly one")
    return ok(f"{told}; one sends")


def check_schedule() -> Finding:
    """Training, healing, counting and cleaning are in the schedule, enabled and on time."""
    names = [planned.name for planned in (*ENTRIES, *DASHBOARD_TASKS)]
    enabled = set(PeriodicTask.objects.filter(enabled=True).values_list("name", flat=True))
    upcoming = next_training()
    if upcoming is None:
        return fail(
            "nothing trains: no enabled task of the schedule starts a training",
            "enable Weekly training in the admin, or manage.py migrate puts a missing one back",
        )
    missing = [name for name in names if name not in enabled]
    if missing:
        return warn(
            f"missing or disabled: {', '.join(missing)}",
            "enable them in the admin; manage.py migrate puts missing ones back",
        )
    task, due = upcoming
    if due < timezone.now() - OVERDUE:
        return warn(f"{task.name} was due {due:%Y-%m-%d %H:%M} UTC", "start beat: it sends what was missed")
    return ok(f"{task.name} is due {due:%Y-%m-%d %H:%M} UTC")


def check_trainings() -> Finding:
    """The last one came to a good end, and none pretends to run."""
    dead = timezone.now() - timedelta(seconds=2 * LEASE_S)
    stale = TrainingRun.objects.filter(status=TrainingRun.Status.RUNNING, heartbeat_at__lt=dead).first()
    if stale is not None:
        return warn(f"run {stale.pk} says it is running but has been silent", "start another; it takes over")
    last = TrainingRun.objects.exclude(finished_at=None).order_by("-finished_at").first()
    if last is None:
        return ok("none has ended here yet")
    told = f"run {last.pk} {last.status} {duration(timezone.now() - last.finished_at)} ago"
    if last.status in (TrainingRun.Status.FAILED, TrainingRun.Status.REFUSED):
        return warn(
            f"{told}: {last.reason.strip().splitlines()[0] if last.reason else ''}", "its log is in the admin"
        )
    return ok(told)
