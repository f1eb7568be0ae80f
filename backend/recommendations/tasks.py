"""Celery's part in a training: hold the lease, and run it in a process of its own."""

from __future__ import annotations

import logging

from celery import Task, shared_task
from django.conf import settings

from interactions import live_state
from recommendations import reconcile
from recommendations.lease import LEASE_S
from recommendations.models import TrainingRun
from recommendations.process import train_under_lease
from recommendations.services import scheduled_run

logger = logging.getLogger(__name__)

BACKSTOP_S = 600  # past the limit that the training is held to


@shared_task(
    bind=True,
    acks_late=True,
    reject_on_worker_lost=True,
    max_retries=None,
    time_limit=settings.TRAINING_TIME_LIMIT_S + BACKSTOP_S,
)
def retrain(self: Task, run_id: int | None = None) -> str:
    """Export, train, evaluate, publish. Without a run, as the schedule sends it, one is made.

    Sent twice, it is done once: while somebody holds the lease a second delivery comes back later
    and finds its run finished.
    """
    run = TrainingRun.objects.get(pk=run_id) if run_id else scheduled_run(self.request.id)
    if run is None:
        logger.info("retrain skipped reason=another_is_near task=%s", self.request.id)
        return "absorbed"
    if run.is_finished:
        logger.info("retrain skipped run=%s reason=%s", run.pk, run.status)
        return run.status
    if not train_under_lease(run):
        logger.info("retrain waits run=%s reason=lease_held", run.pk)
        raise self.retry(countdown=LEASE_S)
    run.refresh_from_db()
    logger.info("retrain done run=%s status=%s release=%s", run.pk, run.status, run.release)
    return run.status


@shared_task
def reconcile_runs() -> int:
    """End the runs whose worker is gone, send again those whose message is; returns how many it was."""
    return reconcile.end_abandoned_runs() + reconcile.send_lost_runs()


@shared_task
def retrain_on_growth(percent: float = 0.0) -> bool:
    """Start a training when the event log has grown by so much since the last export; 0: never."""
    return reconcile.retrain_on_growth(percent)


@shared_task
def sync_live_state() -> int:
    """Every live profile and the live catalogue written again; returns how many users there are."""
    return live_state.sync_live_state()


@shared_task
def clean_up() -> int:
    """Remove what ended trainings left behind; returns how many folders and files it was."""
    return reconcile.clean_up()
