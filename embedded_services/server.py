"""What the two servers have in common: attach if it answers, else start it; stop it; say how it is."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

from embedded_services.errors import EmbeddedServicesError
from embedded_services.places import Account
from embedded_services.processes import (
    LOOPBACK,
    DetachedProcess,
    find_free_port,
    port_is_free,
    servers_in,
    start_detached,
    tail_of,
    wait_until,
)

Report = Callable[[str], None]

START_TIMEOUT_S = 120.0  # crash recovery after a kill -9 may have much to replay
STOP_TIMEOUT_S = 30.0
KILL_TIMEOUT_S = 10.0
PORT_ATTEMPTS = 5
PROBE_TIMEOUT_S = 3


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a server; kept in a file only its owner can read."""

    port: int
    password: str


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One server: whether it answers, where, and its process id (None when there is no process)."""

    name: str
    up: bool
    address: str
    pid: int | None


class Server(ABC):
    """One server of the project's own, its files all in `home`."""

    name: ClassVar[str]
    title: ClassVar[str]
    program: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, home: Path, account: Account | None, *, throw_away: bool = False) -> None:
        self.home = home
        self.account = account
        self.throw_away = throw_away  # for tests: quicker than it is safe, and gone when this process is
        self.data_folder = home / self.name
        self.log = home / f"{self.name}.log"
        self._connection_file = home / f"{self.name}.json"

    @abstractmethod
    def prepare(self, connection: Connection) -> None:
        """Make everything on disk that a start needs; called when no process of it is running."""

    @abstractmethod
    def command(self, connection: Connection) -> list[str]:
        """The command line that runs the server in the foreground."""

    @abstractmethod
    def ask_pid(self, connection: Connection) -> int | None:
        """The process id of the server that lets us in, asked in its own protocol; None if none does."""

    @abstractmethod
    def url(self, connection: Connection) -> str:
        """The address an application connects to."""

    def ensure(self, report: Report) -> bool:
        """Have it answering; True if it had to be started."""
        connection = self._load_connection()
        if connection is not None and self._answers_soon(connection):
            return False
        self._start(connection, report)
        return True

    def connection(self) -> Connection:
        """How to reach it; it must have been started at least once."""
        connection = self._load_connection()
        if connection is None:
            raise EmbeddedServicesError(f"{self.title} was never started in {self.home}.")
        return connection

    def answers(self, connection: Connection) -> bool:
        """Whether the server that lets us in is the one over our data, not that of a copy of this folder."""
        pid = self.ask_pid(connection)
        return pid is not None and pid in self._pids()

    def status(self) -> ServiceStatus:
        """How it is, now."""
        connection = self._load_connection()
        if connection is None:
            return ServiceStatus(self.name, up=False, address="", pid=None)
        pids = self._pids()
        up = self.answers(connection)
        address = f"{LOOPBACK}:{connection.port}"
        return ServiceStatus(self.name, up=up, address=address, pid=pids[0] if pids else None)

    def stop(self, report: Report) -> bool:
        """Stop it cleanly and wait until it is gone; True if it was running."""
        pids = self._pids()
        if not pids:
            return False
        self._signal(pids[:1], self.stop_signal)
        if not wait_until(lambda: not self._pids(), timeout_s=STOP_TIMEOUT_S):
            report(f"{self.title} has not stopped for {STOP_TIMEOUT_S:.0f} s; killing it (no data is lost)")
            self._signal(self._pids(), signal.SIGKILL)
        if not wait_until(lambda: not self._pids(), timeout_s=KILL_TIMEOUT_S):
            raise EmbeddedServicesError(
                f"{self.title} (process {self._pids()}) cannot be stopped; see {self.log}"
            )
        report(f"{self.title} stopped")
        return True

    def _answers_soon(self, connection: Connection) -> bool:
        """Whether it answers, waiting for a server that is still starting or already ending."""
        if self.answers(connection):
            return True
        answered = False

        def decided() -> bool:
            nonlocal answered
            alive = bool(self._pids())
            answered = alive and self.answers(connection)
            return answered or not alive

        if not wait_until(decided, timeout_s=START_TIMEOUT_S):
            raise EmbeddedServicesError(
                f"{self.title} (process {self._pids()[0]}) runs but has not answered for "
                f"{START_TIMEOUT_S:.0f} s; read {self.log}, or end it with `kill -9` and try again."
            )
        return answered

    def _start(self, known: Connection | None, report: Report) -> None:
        for _attempt in range(PORT_ATTEMPTS):
            known = self._choose_port(known, report)
            self.prepare(known)
            self._keep_last_log()
            process = self._launch(known)
            if self._came_up(process, known):
                self._store_connection(known)
                report(f"{self.title} started on {LOOPBACK}:{known.port}")
                return
            if port_is_free(known.port):
                break  # so the port was not the reason
        raise EmbeddedServicesError(
            f"{self.title} did not start. The end of {self.log}:\n{tail_of(self.log)}\n"
            f"Mend what it says, or move {self.home} away to begin with empty data, "
            "or set DATABASE_URL and REDIS_URL to servers of your own."
        )

    def _choose_port(self, known: Connection | None, report: Report) -> Connection:
        if known is None:
            if self.data_folder.exists():
                raise EmbeddedServicesError(
                    f"{self.data_folder} holds data but {self._connection_file} with its password is gone; "
                    f"put the file back, or move {self.home} away to begin with empty data."
                )
            known = Connection(find_free_port(), secrets.token_urlsafe(24))
            self._store_connection(known)
        elif not port_is_free(known.port):
            free = find_free_port()
            report(f"port {known.port} of {self.title} is taken by another program; using {free} instead")
            known = replace(known, port=free)
        return known

    def _launch(self, connection: Connection) -> DetachedProcess:
        return start_detached(
            self.command(connection),
            folder=self.data_folder,
            log=self.log,
            account=self.account,
            signal_when_we_die=self.stop_signal if self.throw_away else None,
        )

    def _came_up(self, process: DetachedProcess, connection: Connection) -> bool:
        def decided() -> bool:
            return process.poll() is not None or self.answers(connection)

        in_time = wait_until(decided, timeout_s=START_TIMEOUT_S)
        if not in_time:
            process.kill()
            process.wait(timeout=KILL_TIMEOUT_S)
        return in_time and process.poll() is None

    def _pids(self) -> list[int]:
        return servers_in(self.data_folder, self.program)

    def _signal(self, pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _load_connection(self) -> Connection | None:
        try:
            stored = json.loads(self._connection_file.read_text(encoding="utf-8"))
            return Connection(port=int(stored["port"]), password=str(stored["password"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise EmbeddedServicesError(
                f"{self._connection_file} is damaged ({error}); restore it, "
                f"or move {self.home} away to begin with empty data."
            ) from error

    def _store_connection(self, connection: Connection) -> None:
        self.write_private(self._connection_file, json.dumps(asdict(connection)), owner=self.home)

    def write_private(self, path: Path, text: str, *, owner: Path) -> None:
        """Write a file whole or not at all, readable only by the account that owns `owner`."""
        aside = path.with_name(path.name + ".new")
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if os.geteuid() == 0:
            os.chown(aside, owner.stat().st_uid, owner.stat().st_gid)
        aside.replace(path)

    def _keep_last_log(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.log.replace(self.log.with_suffix(".log.1"))
