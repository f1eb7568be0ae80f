"""A training in this very process, under the lease, for a person who watches it at a terminal."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection

from recommendations.lease import NAME, LeaseLostError, end_lease, renew_lease, take_lease
from recommendations.models import TrainingLease, TrainingRun
from recommendations.plans import training_plan
from recommendations.process import RENEW_EVERY_S
from recommendations.services import (
    asked_to_cancel,
    cancel_run,
    cancel_running,
    fail_run,
    report_run,
    start_run,
)
from recommendations.training import train_run
from recsys.errors import UnavailableError
from recsys.training.pipeline import TrainingResult
from recsys.training.run_log import run_log
from recsys.types import ProgressCallback, ProgressReport

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Trained:
    """The run as it ended, what came of it, and its log."""

    run: TrainingRun
    result: TrainingResult
    log_file: Path


def train_here(kind: str, parameters: Mapping[str, Any], progress: ProgressCallback) -> Trained:
    """Do what the worker would do, as a run that a command asked for.

    Args:
        kind: one recommender, or TrainingRun.ALL.
        parameters: hyper-parameters other than the configured: recommender -> name -> value.
        progress: told how far it is.

    Raises:
        UnavailableError: another training is running.
        RecsysError: as `train_run`.
    """
    training_plan(kind, parameters)  # refused before there is a run
    run = TrainingRun.objects.create(
        kind=kind, trigger=TrainingRun.Trigger.COMMAND, parameters=dict(parameters)
    )
    token = take_lease(run.pk)
    if token is None:
        run.delete()  # nothing waits for its turn in a terminal
        raise UnavailableError(f"{_who_trains()}; wait until it has ended, or cancel it in the admin.")
    try:
        start_run(run.pk, token)
        with (
            _ended_as_by_ctrl_c(),
            run_log(settings.LOGS_DIR, kind) as log_file,
            _lease_kept(run.pk, token) as cancelled,
        ):
            report_run(run.pk, token, log_file=log_file.name)
            result = train_run(run, token, _interrupted_by(cancelled, progress))
    except KeyboardInterrupt:
        connection.close()  # a query may have been cut short
        cancel_run(run.pk, by=None)  # does nothing where somebody else has, in the admin
        cancel_running(run.pk, token)
        raise
    except Exception as error:
        fail_run(run.pk, str(error) or type(error).__name__, token=token)
        raise
    finally:
        end_lease(token)
    run.refresh_from_db()
    return Trained(run, result, log_file)


def _interrupted_by(cancelled: threading.Event, progress: ProgressCallback) -> ProgressCallback:
    """The same, but a cancelled training ends at its next report as by Ctrl-C."""

    def tell(report: ProgressReport) -> None:
        if cancelled.is_set():
            raise KeyboardInterrupt
        progress(report)

    return tell


@contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM and a closed terminal too: who is only killed holds the lease until it runs out."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _who_trains() -> str:
    run = TrainingLease.objects.select_related("run").get(name=NAME).run
    if run is None:
        return "Another training is running"
    return f"Training run {run.pk} is {run.status} ({run.percent:.0f} % {run.stage})".replace(" )", ")")


@contextmanager
def _lease_kept(run_id: int, token: int) -> Iterator[threading.Event]:
    """While the block runs the lease stays ours; yields what is set once it is cancelled in the admin."""
    ended, cancelled = threading.Event(), threading.Event()
    keeper = threading.Thread(target=_keep_lease, args=(run_id, token, ended, cancelled), daemon=True)
    keeper.start()
    try:
        yield cancelled
    finally:
        ended.set()
        keeper.join()


def _keep_lease(run_id: int, token: int, ended: threading.Event, cancelled: threading.Event) -> None:
    looks = 0
    try:
        while not ended.wait(LOOK_EVERY_S):
            looks += 1
            try:
                if asked_to_cancel(run_id):
                    cancelled.set()
                if looks % round(RENEW_EVERY_S / LOOK_EVERY_S) == 0:
                    renew_lease(token)
                    report_run(run_id, token)
            except OperationalError as error:
                logger.warning("lease not renewed token=%s reason=%s", token, error)
                connection.close()
    except LeaseLostError as error:
        logger.warning("lease lost reason=%s", error)  # the next report ends the training
    finally:
        connection.close()
