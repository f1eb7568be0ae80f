"""A training in a process of its own, under the lease, watched: time, memory, and whether it is wanted."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import OperationalError, connection

from recommendations.lease import LeaseLostError, end_lease, renew_lease, take_lease
from recommendations.models import TrainingRun
from recommendations.services import (
    asked_to_cancel,
    cancel_running,
    fail_run,
    keep_log_tail,
    report_run,
    start_run,
)
from recsys.training.run_log import new_log_file, remove_old_logs

logger = logging.getLogger(__name__)

POLL_S = 0.5
RENEW_EVERY_S = 10.0
TERMINATE_TIMEOUT_S = 5.0  # nothing of ours listens to SIGTERM, native code ends at once
LOG_TAIL_BYTES = 8_000
MIB_IN_KIB = 1024


def train_under_lease(run: TrainingRun) -> bool:
    """Take the lease and train; False, and nothing done, while somebody else holds it.

    How the training ended is written in the run.
    """
    token = take_lease(run.pk)
    if token is None:
        return False
    try:
        if start_run(run.pk, token):
            _train_in_subprocess(run, token)
    finally:
        end_lease(token)
    return True


def _train_in_subprocess(run: TrainingRun, token: int) -> None:
    """A fresh process: native threads and forks do not mix, and its memory is given back."""
    command = [sys.executable, "manage.py", "run_training", str(run.pk), "--fencing-token", str(token)]
    try:
        log_file = new_log_file(settings.LOGS_DIR, run.kind)
        with log_file.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=settings.BASE_DIR,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
    except OSError as error:
        reason = (
            f"The log in {settings.LOGS_DIR} cannot be written ({error}); mend the folder and start again."
        )
        fail_run(run.pk, reason, token=token)
        return
    watch = _Watch(run.pk, token, process, log_file)
    try:
        reason = watch.until_it_ends()
    finally:
        _terminate(process)
    tail = watch.keep_log_tail()
    remove_old_logs(settings.LOGS_DIR, run.kind)
    if asked_to_cancel(run.pk):
        cancel_running(run.pk, token)
    elif reason or process.returncode:
        fail_run(run.pk, reason or _reason(process.returncode, tail), token=token)


class _Watch:
    """Holds the lease for a training process and ends it when it has to end."""

    def __init__(self, run_id: int, token: int, process: subprocess.Popen[bytes], log_file: Path) -> None:
        self._run_id, self._token, self._process, self._log_file = run_id, token, process, log_file
        self._deadline = time.monotonic() + settings.TRAINING_TIME_LIMIT_S
        self._renewed_at = time.monotonic()
        self._log_size = -1

    def until_it_ends(self) -> str:
        """Why it must be ended; "" when it has ended by itself or was cancelled."""
        report_run(self._run_id, self._token, log_file=self._log_file.name)
        while time.monotonic() < self._deadline:
            try:
                self._process.wait(timeout=POLL_S)
            except subprocess.TimeoutExpired:
                too_large = self._memory_fault()
                if too_large:
                    return too_large
                try:
                    if asked_to_cancel(self._run_id):
                        return ""
                    self._tell()
                except LeaseLostError as error:
                    return str(error)
                except OperationalError as error:
                    logger.warning("training not watched token=%s reason=%s", self._token, error)
                    connection.close()
            else:
                return ""
        return (
            f"It took longer than {settings.TRAINING_TIME_LIMIT_S / 3600:g} hours (TRAINING_TIME_LIMIT_S) "
            "and was ended; allow more, or train smaller."
        )

    def keep_log_tail(self) -> str:
        """What the process wrote last, into the run; returns it."""
        tail = _tail(self._log_file)
        keep_log_tail(self._run_id, self._token, tail)
        return tail

    def _tell(self) -> None:
        """Keep the lease, and show what was written to the log."""
        if time.monotonic() - self._renewed_at >= RENEW_EVERY_S:
            renew_lease(self._token)
            report_run(self._run_id, self._token)
            self._renewed_at = time.monotonic()
        size = _size(self._log_file)
        if size != self._log_size:
            self.keep_log_tail()
            self._log_size = size

    def _memory_fault(self) -> str:
        limit_mb, used_mb = settings.TRAINING_MEMORY_LIMIT_MB, _memory_mb(self._process.pid)
        if not limit_mb or used_mb <= limit_mb:
            return ""
        return (
            f"It held {used_mb:,} MiB, more than the {limit_mb:,} of TRAINING_MEMORY_LIMIT_MB, and was "
            "ended; allow more, or train smaller (fewer factors, fewer recommenders)."
        )


def _memory_mb(pid: int) -> int:
    """What the process and all it has started hold: files they have mapped can be dropped and do not count.

    0 where the system has no /proc.
    """
    held = 0
    for one in _with_descendants(pid):
        try:
            lines = Path(f"/proc/{one}/status").read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            continue  # has ended
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        held += sum(int(fields.get(name, "0 kB").split()[0]) for name in ("RssAnon", "RssShmem"))
    return held // MIB_IN_KIB


def _with_descendants(pid: int) -> Iterator[int]:
    yield pid
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = thread.read_text(encoding="ascii").split()
        except OSError:
            continue
        for child in children:
            yield from _with_descendants(int(child))


def _terminate(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=TERMINATE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as log:
            log.seek(max(_size(path) - LOG_TAIL_BYTES, 0))
            return log.read().decode(errors="replace").replace("\x00", "").strip()
    except OSError as error:
        return f"The log cannot be read: {error}"


def _reason(status: int, tail: str) -> str:
    if status == -signal.SIGKILL:
        return (
            "The process was ended by signal 9 (SIGKILL), as the system does when memory runs out; give the "
            "machine more, or train smaller (fewer factors, fewer recommenders)."
        )
    if status < 0:
        return f"The process was ended by signal {-status} ({signal.Signals(-status).name})."
    return tail.rpartition("\n")[2].strip() or f"The process ended with status {status}."
