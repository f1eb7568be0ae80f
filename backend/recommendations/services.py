"""Writes to training runs: ask for one, report on it, say how it ended."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.models import User
from recommendations.lease import LeaseLostError
from recommendations.models import TrainingRun

logger = logging.getLogger(__name__)

ENDED_SILENTLY = "Its process ended without saying how; see the worker's log. The next run took over."


@transaction.atomic
def request_training(
    *,
    trigger: TrainingRun.Trigger,
    started_by: User | None = None,
    kind: str = TrainingRun.ALL,
    parameters: Mapping[str, Any] | None = None,
) -> TrainingRun:
    """Queue a training; the worker takes it after the commit.

    `parameters` replaces hyper-parameters: recommender -> name -> value.
    """
    run = TrainingRun.objects.create(
        kind=kind, trigger=trigger, started_by=started_by, parameters=dict(parameters or {})
    )
    transaction.on_commit(partial(_send, run.pk))
    return run


def scheduled_run(task_id: str) -> TrainingRun:
    """The run of a task that the schedule sent; the same task sent twice is the same run."""
    run, _ = TrainingRun.objects.get_or_create(
        task_id=task_id, defaults={"trigger": TrainingRun.Trigger.SCHEDULED}
    )
    return run


def start_run(run_id: int, token: int) -> None:
    """The run goes under this token; whatever else says that it is running cannot be."""
    now = timezone.now()
    running = TrainingRun.objects.filter(status=TrainingRun.Status.RUNNING).exclude(pk=run_id)
    running.update(status=TrainingRun.Status.FAILED, reason=ENDED_SILENTLY, finished_at=now)
    TrainingRun.objects.filter(pk=run_id).update(
        status=TrainingRun.Status.RUNNING,
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
        status=TrainingRun.Status.SUCCEEDED,
        percent=100.0,
        seconds_left=0.0,
        finished_at=timezone.now(),
        **fields,
    )


def fail_run(run_id: int, reason: str, *, token: int | None = None) -> bool:
    """The run failed, unless it has ended or goes under another token; returns whether it was so."""
    own = TrainingRun.objects.filter(
        pk=run_id, fencing_token=token, status__in=(TrainingRun.Status.QUEUED, TrainingRun.Status.RUNNING)
    )
    failed = own.update(status=TrainingRun.Status.FAILED, reason=reason, finished_at=timezone.now())
    if failed:
        logger.error("training failed run=%s reason=%s", run_id, reason)
    return bool(failed)


def keep_log_tail(run_id: int, token: int, log_tail: str) -> None:
    """What the process wrote last, for the admin."""
    TrainingRun.objects.filter(pk=run_id, fencing_token=token).update(log_tail=log_tail)


def _send(run_id: int) -> None:
    from recommendations.tasks import retrain  # tasks use these services

    try:
        retrain.delay(run_id)
    except OperationalError as error:
        fail_run(run_id, f"The broker did not take it ({error}); start Redis and the worker, then ask again.")
