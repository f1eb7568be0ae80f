"""The command as a person types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from embedded_services import service_status

MANAGE = Path(__file__).resolve().parents[2] / "backend" / "manage.py"


def run_services(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "EMBEDDED_SERVICES_DIR": str(home)}
    for name in ("DATABASE_URL", "REDIS_URL"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, str(MANAGE), "services", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_up_then_status_then_down(home: Path) -> None:
    up = run_services(home, "up")
    status = run_services(home, "status")
    down = run_services(home, "down")

    assert (up.returncode, status.returncode, down.returncode) == (0, 0, 0)
    assert "PostgreSQL started on 127.0.0.1:" in up.stdout
    assert f"files       {home}" in status.stdout
    assert status.stdout.count(" up ") == 2
    assert down.stdout.splitlines() == ["Valkey stopped", "PostgreSQL stopped"]
    assert not any(server.up for server in service_status(home))


def test_status_says_down_and_starts_nothing(empty_home: Path) -> None:
    status = run_services(empty_home, "status")

    assert status.returncode == 3
    assert status.stdout.count("down") == 2
    assert not empty_home.exists()


def test_down_with_nothing_running_is_no_error(empty_home: Path) -> None:
    down = run_services(empty_home, "down")

    assert (down.returncode, down.stdout) == (0, "PostgreSQL and Valkey were not running\n")


def test_an_error_is_one_message_and_exit_code_1(empty_home: Path) -> None:
    empty_home.mkdir()
    (empty_home / "postgresql").mkdir()

    up = run_services(empty_home, "up")

    assert up.returncode == 1
    assert "with its password is gone" in up.stderr
    assert "Traceback" not in up.stderr


def test_an_unknown_action_is_a_usage_error(home: Path) -> None:
    assert run_services(home, "restart").returncode == 2


def test_a_command_runs_with_servers_of_its_own(empty_home: Path) -> None:
    script = (
        "import os, psycopg, redis\n"
        "psycopg.connect(os.environ['DATABASE_URL']).close()\n"
        "redis.Redis.from_url(os.environ['REDIS_URL']).ping()\n"
        "raise SystemExit(7)"
    )

    done = run_services(empty_home, "run", "--", sys.executable, "-c", script)

    assert (done.returncode, done.stderr) == (7, "")
    assert not empty_home.exists()
