"""A training in a process of its own, under the lease."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO

from django.conf import settings
from django.db import OperationalError, connection

from recommendations.lease import LeaseLostError, end_lease, renew_lease, take_lease
from recommendations.models import TrainingRun
from recommendations.services import fail_run, keep_log_tail, start_run

logger = logging.getLogger(__name__)

RENEW_EVERY_S = 10.0
TERMINATE_TIMEOUT_S = 30.0
LOG_TAIL_BYTES = 8_000


def train_under_lease(run: TrainingRun) -> bool:
    """Take the lease and train; False, and nothing done, while somebody else holds it.

    How the training ended is written in the run.
    """
    token = take_lease(run.pk)
    if token is None:
        return False
    try:
        start_run(run.pk, token)
        _train_in_subprocess(run.pk, token)
    finally:
        end_lease(token)
    return True


def _train_in_subprocess(run_id: int, token: int) -> None:
    """A fresh process: native threads and forks do not mix, and its memory is given back."""
    command = [sys.executable, "manage.py", "run_training", str(run_id), "--fencing-token", str(token)]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            reason = _wait(process, token)
        finally:
            _terminate(process)
        tail = _tail(output)
    keep_log_tail(run_id, token, tail)
    if reason or process.returncode:
        fail_run(run_id, reason or _reason(process.returncode, tail), token=token)


def _wait(process: subprocess.Popen[bytes], token: int) -> str:
    """Until it ends, keeping the lease; why it must be ended otherwise."""
    deadline = time.monotonic() + settings.TRAINING_TIME_LIMIT_S
    while time.monotonic() < deadline:
        try:
            process.wait(timeout=RENEW_EVERY_S)
        except subprocess.TimeoutExpired:
            try:
                renew_lease(token)
            except LeaseLostError as error:
                return str(error)
            except OperationalError as error:
                logger.warning("lease not renewed token=%s reason=%s", token, error)
                connection.close()
        else:
            return ""
    return f"It took longer than {settings.TRAINING_TIME_LIMIT_S / 3600:g} hours and was ended."


def _terminate(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=TERMINATE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, 2)
    output.seek(max(size - LOG_TAIL_BYTES, 0))
    return output.read().decode(errors="replace").replace("\x00", "").strip()


def _reason(status: int, tail: str) -> str:
    if status < 0:
        return f"The process was ended by signal {-status} ({signal.Signals(-status).name})."
    return tail.rpartition("\n")[2].strip() or f"The process ended with status {status}."
