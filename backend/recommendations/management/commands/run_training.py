"""The process in which a training runs."""

from __future__ import annotations

import ctypes
import logging
import signal

from django.core.management.base import CommandError, CommandParser

from config.commands import OperatorCommand
from recommendations.lease import LeaseLostError, check_lease
from recommendations.models import TrainingRun
from recommendations.process import train_under_lease
from recommendations.services import fail_run
from recommendations.training import train_run
from recsys.errors import RecsysError

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Command(OperatorCommand):
    """`manage.py run_training 7` does what the worker would do; the worker's child has the token."""

    help = "Run one queued training now: export, train, evaluate, publish."

    def add_arguments(self, parser: CommandParser) -> None:
        """The flags."""
        parser.add_argument("run_id", type=int)
        parser.add_argument(
            "--fencing-token",
            type=int,
            help="of the lease, when the caller holds it and waits for this process",
        )

    def handle(self, *, run_id: int, fencing_token: int | None, **options: object) -> None:
        """Run it."""
        run = TrainingRun.objects.filter(pk=run_id).first()
        if run is None or run.is_finished:
            raise CommandError(f"There is no unfinished training run {run_id}; queue one in the admin.")
        if fencing_token is None:
            self._wait_for(run)
        else:
            _end_with_parent()
            _train(run, fencing_token)

    def _wait_for(self, run: TrainingRun) -> None:
        if not train_under_lease(run):
            raise CommandError("Another training is running; wait until it has ended.")
        run.refresh_from_db()
        if run.status != TrainingRun.Status.SUCCEEDED:
            raise CommandError(run.reason)
        self.stdout.write(f"Published release {run.release}.")


def _train(run: TrainingRun, token: int) -> None:
    try:
        check_lease(token)
        train_run(run, token)
    except LeaseLostError as error:
        raise CommandError(str(error)) from error
    except RecsysError as error:
        logger.exception("training failed run=%s", run.pk)
        fail_run(run.pk, str(error), token=token)
        raise CommandError(str(error)) from error


def _end_with_parent() -> None:
    """A training whose worker was killed ends too: the lease goes to another in two minutes."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
