"""Processes and ports: find a server by its program and folder, start one that outlives us, wait for it."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from embedded_services.places import Account, process_options

LOOPBACK = "127.0.0.1"
POLL_S = 0.05
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class DetachedProcess(subprocess.Popen[bytes]):
    """A child that is meant to outlive us: leaving it running deserves no ResourceWarning."""

    def __del__(self) -> None:
        super().__del__(_warn=lambda *_args, **_options: None)  # type: ignore[call-arg]


def start_detached(
    command: Sequence[str],
    *,
    folder: Path,
    log: Path,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
    signal_when_we_die: signal.Signals | None = None,
) -> DetachedProcess:
    """Start a server in a session of its own, both its outputs going to `log`.

    It sees nothing of our environment but what `environment` gives it.
    With `signal_when_we_die` the kernel sends it that signal when this process ends, however it ends.
    """

    def ask_for_the_signal() -> None:
        if signal_when_we_die is not None:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_when_we_die)

    with log.open("ab") as output:
        return DetachedProcess(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=clean_environment() if environment is None else environment,
            start_new_session=True,
            preexec_fn=ask_for_the_signal if signal_when_we_die is not None else None,
            **process_options(account),
        )


def clean_environment() -> dict[str, str]:
    """What a server may know of our environment: no PG* variable, no secret, messages in English."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def servers_in(folder: Path, program: str) -> list[int]:
    """Process ids of `program` running with `folder` as their working folder, the parents first.

    Asks the kernel instead of a pid file: a pid file can outlive its server, and its number can
    have gone to another process since. A dead child not yet reaped does not count.
    """
    found = [int(entry.name) for entry in Path("/proc").iterdir() if _runs_in(entry, folder, program)]
    return sorted(found, key=lambda pid: (parent_of(pid) in found, pid))


def _runs_in(entry: Path, folder: Path, program: str) -> bool:
    if not entry.name.isdigit():
        return False
    try:
        executable = (entry / "exe").readlink().name.removesuffix(" (deleted)")
        return executable == program and (entry / "cwd").readlink() == folder
    except OSError:  # it ended meanwhile, or belongs to somebody else
        return False


def parent_of(pid: int) -> int:
    """The parent's process id, 0 when there is no such process."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except OSError:
        return 0
    return int(after_name.split()[1])


def wait_until(condition: Callable[[], bool], *, timeout_s: float) -> bool:
    """Ask again and again until the condition holds (True) or the time is over (False)."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def find_free_port() -> int:
    """A loopback port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def tail_of(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"(its log cannot be read: {error})"
    return "\n".join(text.splitlines()[-lines:]) or "(its log is empty)"
