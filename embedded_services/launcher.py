"""Start the project's own PostgreSQL and Valkey, attach to them when they are up, stop them.

    from embedded_services import configure_environment
    configure_environment()  # DATABASE_URL and REDIS_URL are set from here on

Servers stay up after the command that started them, until `stop_services` (`manage.py services down`).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from embedded_services.errors import EmbeddedServicesError
from embedded_services.places import (
    ENTERABLE_FOLDER,
    PRIVATE_FOLDER,
    make_folder,
    resolve_home,
    server_account,
)
from embedded_services.postgres import Postgres
from embedded_services.processes import wait_until
from embedded_services.server import Report, Server, ServiceStatus
from embedded_services.valkey import Valkey

SERVERS: Mapping[str, type[Server]] = {Postgres.name: Postgres, Valkey.name: Valkey}
NAMES = tuple(SERVERS)
VARIABLES = {Postgres.name: "DATABASE_URL", Valkey.name: "REDIS_URL"}
LOCK_TIMEOUT_S = 300.0  # longer than both servers may take to start


@dataclass(frozen=True, slots=True)
class Services:
    """Where the servers are; an address is empty when that server was not asked for."""

    database_url: str
    redis_url: str
    started: tuple[str, ...]  # names of those that this call had to start


def report_on_stderr(message: str) -> None:
    """One line a person can follow."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def services_home(home: Path | None = None) -> Path:
    """The folder with the servers' data, secrets and logs ($EMBEDDED_SERVICES_DIR, else `.services`)."""
    return resolve_home(home, os.environ)


def ensure_services(
    home: Path | None = None, report: Report = report_on_stderr, *, names: Sequence[str] = NAMES
) -> Services:
    """Have the named servers up: start what is down, attach to what is up.

    Any number of processes may call it at once; they end with the same servers.

    Raises:
        EmbeddedServicesError: a server cannot be started; the message holds the end of its log.
    """
    return _ensure(services_home(home), report, names, throw_away=False)


def configure_environment(
    environ: MutableMapping[str, str] = os.environ,
    report: Report = report_on_stderr,
    *,
    names: Sequence[str] = NAMES,
) -> Services:
    """Set DATABASE_URL and REDIS_URL where they are not set, starting only what is needed for that.

    In production nothing is started: the settings then say which variable is missing.
    """
    missing = [name for name in names if not environ.get(VARIABLES[name], "").strip()]
    started: tuple[str, ...] = ()
    if missing and environ.get("ENVIRONMENT", "").strip() != "production":
        services = _ensure(resolve_home(None, environ), report, missing, throw_away=False)
        started = services.started
        addresses = {Postgres.name: services.database_url, Valkey.name: services.redis_url}
        environ.update({VARIABLES[name]: addresses[name] for name in missing})
    return Services(environ.get("DATABASE_URL", ""), environ.get("REDIS_URL", ""), started)


def stop_services(
    home: Path | None = None, names: Sequence[str] | None = None, report: Report = report_on_stderr
) -> tuple[str, ...]:
    """Stop the named servers (all, if none is named) cleanly; returns the names of those that were up."""
    folder = services_home(home)
    with _ours(folder):
        if not folder.is_dir():
            return ()
        with _locked(folder, report):
            servers = _servers(folder, NAMES if names is None else names)
            return tuple(server.name for server in reversed(servers) if server.stop(report))


def service_status(home: Path | None = None) -> list[ServiceStatus]:
    """How each server is, now."""
    folder = services_home(home)
    with _ours(folder):
        return [server.status() for server in _servers(folder, NAMES)]


@contextmanager
def throw_away_services(
    names: Sequence[str] = NAMES, report: Report = lambda _message: None
) -> Iterator[Services]:
    """Servers for one test run: empty, quick, on ports of their own, gone afterwards.

    Should this process die before the end, the kernel stops them.
    """
    with tempfile.TemporaryDirectory(prefix="startup-recommender-", ignore_cleanup_errors=True) as temporary:
        Path(temporary).chmod(ENTERABLE_FOLDER)
        home = services_home(Path(temporary))
        try:
            yield _ensure(home, report, names, throw_away=True)
        finally:
            stop_services(home, report=report)
            shutil.rmtree(home, ignore_errors=True)


def _ensure(home: Path, report: Report, names: Sequence[str], *, throw_away: bool) -> Services:
    with _ours(home):
        make_folder(home, PRIVATE_FOLDER if server_account(home) is None else ENTERABLE_FOLDER)
        with _locked(home, report):
            servers = _servers(home, names, throw_away=throw_away)
            started = tuple(server.name for server in servers if server.ensure(report))
            urls = {server.name: server.url(server.connection()) for server in servers}
    return Services(urls.get(Postgres.name, ""), urls.get(Valkey.name, ""), started)


@contextmanager
def _ours(home: Path) -> Iterator[None]:
    """What the operating system refuses here means that the home is somebody else's."""
    try:
        yield
    except PermissionError as error:
        raise EmbeddedServicesError(
            f"{home} belongs to another user ({error}); run the command as that user, set "
            "EMBEDDED_SERVICES_DIR to a folder of your own, or set DATABASE_URL and REDIS_URL."
        ) from error


def _servers(home: Path, names: Sequence[str], *, throw_away: bool = False) -> list[Server]:
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise EmbeddedServicesError(
            f"there is no service {', '.join(unknown)}; there are {', '.join(NAMES)}."
        )
    account = server_account(home)
    return [SERVERS[name](home, account, throw_away=throw_away) for name in names]


@contextmanager
def _locked(home: Path, report: Report) -> Iterator[None]:
    """One command at a time starts or stops servers."""
    with (home / "lock").open("a") as file:
        if not _try_lock(file):
            report("another command is starting or stopping the servers; waiting for it")
            if not wait_until(lambda: _try_lock(file), timeout_s=LOCK_TIMEOUT_S):
                raise EmbeddedServicesError(
                    f"another command has held {file.name} for {LOCK_TIMEOUT_S:.0f} s; "
                    f"see who with `fuser '{file.name}'`, end it, and try again."
                )
        yield  # closing the file lets the lock go


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
