"""Writes to training runs: ask for one, report on it, say how it ended."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.models import User
from recommendations.lease import LeaseLostError
from recommendations.models import TrainingRun
from recsys.errors import InvalidRequestError

logger = logging.getLogger(__name__)

Status = TrainingRun.Status

ENDED_SILENTLY = "Its process ended without saying how; see the worker's log. The next run took over."
ABANDONED = (
    "Its worker ended without saying how (a restart, or the machine went down); see the worker's log. What "
    "was served still is. Start it again."
)
ABSORB_WITHIN = timedelta(minutes=2)


@transaction.atomic
def request_training(
    *,
    trigger: TrainingRun.Trigger,
    started_by: User | None = None,
    kind: str = TrainingRun.ALL,
    parameters: Mapping[str, Any] | None = None,
) -> TrainingRun:
    """Queue a training; the worker takes it after the commit, when those before it have ended.

    `parameters` replaces hyper-parameters: recommender -> name -> value.

    Raises:
        InvalidRequestError: a person asks for what another person's run is already doing or about to.
    """
    asked = dict(parameters or {})
    _one_at_a_time()
    same = TrainingRun.objects.filter(status__in=TrainingRun.UNFINISHED, kind=kind, parameters=asked).exclude(
        trigger__in=TrainingRun.UNATTENDED
    )
    if trigger not in TrainingRun.UNATTENDED and (run := same.first()) is not None:
        raise InvalidRequestError(
            f"Run {run.pk} does the same and is {run.status}; wait until it has ended, or cancel it first.",
            run=run.pk,
        )
    run = TrainingRun.objects.create(kind=kind, trigger=trigger, started_by=started_by, parameters=asked)
    transaction.on_commit(partial(send_run, run.pk))
    return run


@transaction.atomic
def scheduled_run(task_id: str) -> TrainingRun | None:
    """The run of a task that the schedule sent; the same task sent twice is the same run.

    None when another run that nobody watches is waiting, running, or ended a moment ago: of two beats,
    or of a schedule and a growth at the same time, one training is enough.
    """
    own = TrainingRun.objects.filter(task_id=task_id).first()
    if own is not None:
        return own
    _one_at_a_time()
    if unattended_run_is_near():
        return None
    run, _ = TrainingRun.objects.get_or_create(
        task_id=task_id, defaults={"trigger": TrainingRun.Trigger.SCHEDULED}
    )
    return run


def unattended_run_is_near() -> bool:
    """Whether a run that nobody watches is waiting, running, or ended within the last two minutes."""
    near = Q(status__in=TrainingRun.UNFINISHED) | Q(finished_at__gt=timezone.now() - ABSORB_WITHIN)
    return TrainingRun.objects.filter(near, trigger__in=TrainingRun.UNATTENDED).exists()


def _one_at_a_time() -> None:
    """Until the transaction ends: who looks whether there is a run and then makes one does so alone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('recommendations.request_training'))")


def cancel_run(run_id: int, *, by: User | None) -> bool:
    """Cancel a run: a queued one at once, a running one as soon as its worker sees it, within seconds.

    Returns whether it was waiting or running.
    """
    now = timezone.now()
    who = f"by {by.get_username()}" if by else "from a shell"
    own = TrainingRun.objects.filter(pk=run_id)
    if own.filter(status=Status.QUEUED).update(
        status=Status.CANCELLED,
        cancelled_by=by,
        cancel_requested_at=now,
        finished_at=now,
        reason=f"Cancelled {who} before it started.",
    ):
        return True
    asked = own.filter(status=Status.RUNNING, cancel_requested_at=None)
    if asked.update(cancel_requested_at=now, cancelled_by=by):
        logger.info("training to be cancelled run=%s by=%s", run_id, by and by.pk)
        return True
    return own.filter(status=Status.RUNNING).exists()


def asked_to_cancel(run_id: int) -> bool:
    """Whether somebody wants it to end."""
    return TrainingRun.objects.filter(pk=run_id, cancel_requested_at__isnull=False).exists()


def cancel_running(run_id: int, token: int) -> None:
    """Its process was ended because somebody wanted it; what it had published by then stays published."""
    run = TrainingRun.objects.select_related("cancelled_by").get(pk=run_id)
    who = f"by {run.cancelled_by.get_username()}" if run.cancelled_by else "from a shell"
    reason = f"Cancelled {who} while it was at: {run.stage or 'its start'}. What was served still is."
    _end(run_id, token, Status.CANCELLED, reason)


def start_run(run_id: int, token: int) -> bool:
    """The run goes under this token; whatever else says that it is running cannot be.

    Returns False when it is finished by now: somebody cancelled it.
    """
    now = timezone.now()
    others = Q(status=Status.RUNNING) & ~Q(pk=run_id)
    for other in TrainingRun.objects.filter(others | Q(pk=run_id) & ~Q(release="")):
        # Also the run itself, when it has published and is delivered once more.
        _end(other.pk, other.fencing_token, Status.FAILED, ENDED_SILENTLY)
    started = TrainingRun.objects.filter(pk=run_id, status__in=TrainingRun.UNFINISHED).update(
        status=Status.RUNNING,
        fencing_token=token,
        started_at=now,
        heartbeat_at=now,
        worker_host=socket.gethostname(),
        worker_pid=os.getpid(),
        reason="",
        stage="",
        percent=0.0,
        seconds_left=None,
    )
    return bool(started)


def report_run(run_id: int, token: int, **fields: Any) -> None:
    """Write how far the run is.

    Raises:
        LeaseLostError: the run goes under another token now.
    """
    own = TrainingRun.objects.filter(pk=run_id, fencing_token=token, status=TrainingRun.Status.RUNNING)
    if not own.update(heartbeat_at=timezone.now(), **fields):
        raise LeaseLostError(f"Training run {run_id} is no longer under token {token}; this process stops.")


def succeed_run(run_id: int, token: int, **fields: Any) -> None:
    """The run published a release.

    Raises:
        LeaseLostError: the run goes under another token now.
    """
    report_run(
        run_id,
        token,
        status=Status.SUCCEEDED,
        percent=100.0,
        seconds_left=0.0,
        finished_at=timezone.now(),
        **fields,
    )


def refuse_run(run_id: int, token: int, *, reason: str, **fields: Any) -> None:
    """The gate kept the served release.

    Raises:
        LeaseLostError: the run goes under another token now.
    """
    report_run(
        run_id,
        token,
        status=Status.REFUSED,
        reason=reason,
        seconds_left=0.0,
        finished_at=timezone.now(),
        **fields,
    )
    logger.warning("training refused run=%s reason=%s", run_id, reason)


def fail_run(run_id: int, reason: str, *, token: int | None = None) -> bool:
    """The run failed, unless it has ended or goes under another token; returns whether it was so."""
    failed = _end(run_id, token, Status.FAILED, reason)
    if failed:
        logger.error("training failed run=%s reason=%s", run_id, reason)
    return failed


def _end(run_id: int, token: int | None, status: str, reason: str) -> bool:
    """Whatever ended it, a run that has published has succeeded, and says what happened after."""
    own = TrainingRun.objects.filter(pk=run_id, fencing_token=token, status__in=TrainingRun.UNFINISHED)
    ended = {"seconds_left": None, "finished_at": timezone.now()}
    published = own.exclude(release="").update(
        status=Status.SUCCEEDED, reason=f"It published its release, then: {reason}", **ended
    )
    return bool(published or own.update(status=status, reason=reason, **ended))


def end_abandoned_run(run: TrainingRun) -> bool:
    """Nobody holds its lease any more; returns whether it still said that it was running."""
    if run.cancel_requested_at is not None:
        cancel_running(run.pk, run.fencing_token)
        return True
    return _end(run.pk, run.fencing_token, Status.FAILED, ABANDONED)


def keep_log_tail(run_id: int, token: int, log_tail: str) -> None:
    """What the process wrote last, for the admin."""
    TrainingRun.objects.filter(pk=run_id, fencing_token=token).update(log_tail=log_tail)


def send_run(run_id: int) -> None:
    """Put it into the queue of trainings; one that is sent twice is done once."""
    from recommendations.tasks import retrain  # tasks use these services

    try:
        retrain.delay(run_id)
    except OperationalError as error:
        fail_run(run_id, f"The broker did not take it ({error}); start Redis and the worker, then ask again.")
