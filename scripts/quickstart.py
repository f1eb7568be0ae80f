"""What ./quickstart.sh does once everything is installed: from empty servers to answers over HTTP."""

from __future__ import annotations

import argparse
import fcntl
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import httpx
from demonstration import DemonstrationError, Services, show_answers, show_what_acts_change

from embedded_services import (
    EmbeddedServicesError,
    configure_environment,
    service_status,
    services_home,
    stop_services,
)
from embedded_services.launcher import VARIABLES
from embedded_services.places import ENTERABLE_FOLDER, make_folder
from embedded_services.processes import (
    LOOPBACK,
    DetachedProcess,
    find_free_port,
    port_is_free,
    start_detached,
    tail_of,
)

REPOSITORY = Path(__file__).resolve().parents[1]
BACKEND = REPOSITORY / "backend"
INFERENCE = REPOSITORY / "recommendation_service"
LOGS = REPOSITORY / ".run"

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SITE_PORT, INFERENCE_PORT = 8000, 5001
ADMIN = "admin"
DEMO = {"users": 400, "startups": 300, "seed": 7}
DEMO_USERS = ("demo-cold", "demo-warm", "demo-hot")  # acted on 3, 10 and 25 startups
METHODS = ("content", "als", "ensemble")  # who is to answer each
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0
LOOK_EVERY_S = 0.2
TELL_EVERY_S = 4.0


class QuickstartError(Exception):
    """What went wrong and how to mend it."""


@dataclass(frozen=True, slots=True)
class Program:
    """A Python module to run as a process of the system, and how its log or its answers show it is ready."""

    name: str
    folder: Path
    command: Sequence[str]
    is_ready: Callable[[Path], bool]


@dataclass(frozen=True, slots=True)
class Part:
    """A program that is running."""

    name: str
    process: DetachedProcess
    log: Path
    is_ready: Callable[[], bool]

    def check_alive(self) -> None:
        """Raise with the end of its log if it has ended."""
        if self.process.poll() is not None:
            raise QuickstartError(f"{self.name} has ended. The end of {self.log}:\n{tail_of(self.log, 25)}")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a browser finds both services."""

    site: str
    inference: str


def main() -> int:
    """Parse the command line, do everything, stop whatever was started."""
    parser = argparse.ArgumentParser(prog="quickstart.sh")
    parser.add_argument("--exit", action="store_true", help="stop once the answers are shown")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # in order with what the steps print themselves
    for number in ENDING_SIGNALS:
        signal.signal(number, interrupt)
    started = ExitStack()
    try:
        run(started, serve=not options.exit)
    except KeyboardInterrupt:
        return 130
    except PermissionError as error:
        return complain(f"{error}; run it as the user who ran it before, or remove that file.")
    except (QuickstartError, DemonstrationError, EmbeddedServicesError) as error:
        return complain(str(error))
    finally:
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # stopping takes seconds and must not be cut short
        started.close()
    return 0


def run(started: ExitStack, *, serve: bool) -> None:
    """Every step in its order; what has to be stopped at the end goes on `started`."""
    LOGS.mkdir(exist_ok=True)
    be_the_only_one(started)
    start_servers(started)
    password = prepare_database(started)
    train()
    addresses = choose_addresses()
    parts = [start(program, addresses, started) for program in programs(addresses)]
    wait_until_ready(parts)
    demonstrate(addresses)
    show_links(addresses, password)
    if serve:
        say("Serving until Ctrl-C")
        with suppress(KeyboardInterrupt):
            watch(parts)
    say("Stopping")


def be_the_only_one(started: ExitStack) -> None:
    """Two beats would send every scheduled task twice."""
    lock = started.enter_context((LOGS / "quickstart.lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise QuickstartError(f"quickstart already runs in {REPOSITORY}; stop that one first.") from None


def start_servers(started: ExitStack) -> None:
    """PostgreSQL and Valkey: those of DATABASE_URL and REDIS_URL, else the project's own."""
    ours = [name for name, variable in VARIABLES.items() if not os.environ.get(variable, "").strip()]
    if not ours:
        say("Using the servers of DATABASE_URL and REDIS_URL")
        return
    say("Starting PostgreSQL and Valkey")
    down = [status.name for status in service_status() if status.name in ours and not status.up]
    started.callback(stop_services, names=down, report=say)
    if not configure_environment(report=say).started:
        say("They are up already and will stay up")


def prepare_database(started: ExitStack) -> str:
    """Migrate, have an admin user and the demo; returns what to say about the admin's password."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    sys.path.insert(0, str(BACKEND))
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    started.callback(connections.close_all)
    say("Migrating the database")
    call_command("migrate")
    password = have_admin()
    say("Seeding the demo: {users} users, {startups} startups".format(**DEMO))
    call_command("seed_demo", **DEMO)
    return password


def have_admin() -> str:
    """Create the admin once, with a generated password that a file keeps for the next run."""
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    password = kept_password()
    admin = users.filter(username=ADMIN).first()
    if admin is None:
        users.create_superuser(username=ADMIN, email="admin@example.org", password=password)
    elif not admin.check_password(password):
        return "not the generated one any more (backend/manage.py changepassword admin sets another)"
    return password


def kept_password() -> str:
    """The generated password of the admin, made at the first call."""
    home = services_home()
    make_folder(home, ENTERABLE_FOLDER)
    file = home / "admin_password"
    with suppress(FileNotFoundError):
        return file.read_text(encoding="ascii").strip()
    password = secrets.token_urlsafe(12)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
        new.write(password)
    return password


def train() -> None:
    """Export, train and publish, the way everybody does."""
    script = REPOSITORY / "train_all_models.sh"
    process = subprocess.Popen([str(script)], start_new_session=True)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    if code != 0:
        raise QuickstartError(f"{script.name} failed with exit code {code}; its message is above.")


def choose_addresses() -> Addresses:
    """The usual ports, or free ones where another program has those."""
    site = choose_port(SITE_PORT, "the site")
    inference = choose_port(INFERENCE_PORT, "the inference service")
    return Addresses(f"http://{LOOPBACK}:{site}", f"http://{LOOPBACK}:{inference}")


def choose_port(usual: int, what: str) -> int:
    """The usual port if nobody has it."""
    if port_is_free(usual):
        return usual
    port = find_free_port()
    say(f"Port {usual} is taken by another program; {what} uses {port}")
    return port


def programs(addresses: Addresses) -> list[Program]:
    """The running system; the inference service comes first, as the others ask it."""
    return [
        Program(
            "inference",
            INFERENCE,
            ["gunicorn", "inference_api.wsgi:app", "--config", "gunicorn.conf.py", *at(addresses.inference)],
            lambda _log: answers(f"{addresses.inference}/health/ready"),
        ),
        Program(
            "site",
            BACKEND,
            ["gunicorn", "config.wsgi:application", "--threads", "8", *at(addresses.site)],
            lambda _log: answers(f"{addresses.site}/health/live"),
        ),
        worker("worker", queue="default"),
        worker("trainer", queue="train"),  # of its own: small tasks do not wait behind a training
        Program(
            "beat",
            BACKEND,
            ["celery", "-A", "config", "beat", "--loglevel", "INFO", "--pidfile", ""],
            lambda log: "beat: Starting" in log.read_text(encoding="utf-8"),
        ),
    ]


def worker(name: str, *, queue: str) -> Program:
    """A Celery worker for the tasks of one queue, one at a time."""
    options = ["--queues", queue, "--hostname", f"{name}@%h", "--concurrency", "1", "--loglevel", "INFO"]
    return Program(
        name,
        BACKEND,
        ["celery", "-A", "config", "worker", *options],
        lambda log: " ready." in log.read_text(encoding="utf-8"),
    )


def at(address: str) -> list[str]:
    """gunicorn's options to listen there."""
    return ["--bind", address.removeprefix("http://"), "--no-control-socket"]


def start(program: Program, addresses: Addresses, started: ExitStack) -> Part:
    """Start it with its log in .run; it ends when we do, however we do."""
    log = LOGS / f"{program.name}.log"
    log.unlink(missing_ok=True)
    process = start_detached(
        [sys.executable, "-m", *program.command],
        folder=program.folder,
        log=log,
        environment={**os.environ, "INFERENCE_URL": addresses.inference, "PYTHONUNBUFFERED": "1"},
        signal_when_we_die=signal.SIGTERM,
    )
    started.callback(stop, program.name, process)
    return Part(program.name, process, log, lambda: program.is_ready(log))


def answers(url: str) -> bool:
    """Whether it answers 200."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def wait_until_ready(parts: Sequence[Part]) -> None:
    """Wait for all of them, saying every few seconds for whom."""
    began = told = time.monotonic()
    waiting = list(parts)
    while waiting:
        for part in waiting:
            part.check_alive()
        waiting = [part for part in waiting if not part.is_ready()]
        now = time.monotonic()
        names = ", ".join(part.name for part in waiting)
        if waiting and now - began > START_TIMEOUT_S:
            logs = "\n".join(f"{part.log}:\n{tail_of(part.log)}" for part in waiting)
            raise QuickstartError(f"{names} not ready after {START_TIMEOUT_S:.0f} s.\n{logs}")
        if waiting and (now - told > TELL_EVERY_S or told == began):
            say(f"Waiting for {names}")
            told = now
        time.sleep(LOOK_EVERY_S)


def demonstrate(addresses: Addresses) -> None:
    """Real answers for the demo's users, and what two acts of the last one change."""
    from django.contrib.auth import get_user_model

    from accounts.models import ApiKey
    from accounts.services import create_api_key, revoke_api_keys

    ids = dict(get_user_model().objects.filter(username__in=DEMO_USERS).values_list("username", "pk"))
    missing = sorted(set(DEMO_USERS) - set(ids))
    if missing:
        raise QuickstartError(
            f"the demo users {', '.join(missing)} are not in the database; seed_demo makes them."
        )
    key, text = create_api_key(name="quickstart", scopes=[ApiKey.Scope.READ, ApiKey.Scope.WRITE])
    inference_key = os.environ.get("INFERENCE_API_KEY", "").partition(",")[0].strip()
    services = Services(addresses.site, addresses.inference, text, inference_key, say)
    try:
        show_answers(services, {name: ids[name] for name in DEMO_USERS}, METHODS)
        show_what_acts_change(services, DEMO_USERS[-1], ids[DEMO_USERS[-1]])
    finally:
        revoke_api_keys(ApiKey.objects.filter(pk=key.pk))


def show_links(addresses: Addresses, password: str) -> None:
    """Where to go next."""
    sys.stdout.write(
        f"""
  Admin            {addresses.site}/admin/   user {ADMIN}, password {password}
  Backend API      {addresses.site}/api/v1/docs
  Inference API    {addresses.inference}/docs
  Logs             {LOGS}

"""
    )


def watch(parts: Sequence[Part]) -> None:
    """Look after them until somebody says stop."""
    while True:
        for part in parts:
            part.check_alive()
        time.sleep(LOOK_EVERY_S)


def stop(name: str, process: DetachedProcess) -> None:
    """End a process, and what it started should it not end in time."""
    process.terminate()
    try:
        process.wait(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        say(f"{name} has not stopped for {STOP_TIMEOUT_S:.0f} s; killing it")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Every ending signal is a Ctrl-C."""
    raise KeyboardInterrupt


def say(message: str) -> None:
    """One line a person can follow."""
    sys.stdout.write(f"==> {message}\n")


def complain(message: str) -> int:
    """One message on stderr, exit code 1."""
    sys.stderr.write(f"Error: {message}\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
