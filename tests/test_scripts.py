"""The scripts at the top of the tree, run as a person runs them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from embedded_services import service_status, stop_services
from embedded_services.places import ENTERABLE_FOLDER

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = ("quickstart.sh", "run_tests.sh", "train_all_models.sh")
QUICKSTART = [sys.executable, str(REPOSITORY / "scripts" / "quickstart.py")]  # .venv is made already


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Everything that is written goes below tmp_path; the running Python is the one found first."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    folders = {f"RECSYS_{name}_DIR": str(tmp_path / name.lower()) for name in ("DATA", "MODELS", "LOGS")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**kept, **folders, "EMBEDDED_SERVICES_DIR": str(tmp_path / "services"), "PATH": path}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    tmp_path.chmod(ENTERABLE_FOLDER)
    yield tmp_path / "services"
    stop_services(tmp_path / "services")


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=280
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_shown_from_any_folder(script: str, environment: dict[str, str]) -> None:
    shown = run([str(REPOSITORY / script), "--help"], environment)

    assert shown.returncode == 0
    assert f"./{script}" in shown.stdout
    assert "#" not in shown.stdout


def test_an_unknown_option_of_quickstart_is_a_usage_error(environment: dict[str, str]) -> None:
    refused = run([str(REPOSITORY / "quickstart.sh"), "--no-such"], environment)

    assert refused.returncode == 2
    assert "Unknown option: --no-such" in refused.stderr


def test_a_training_that_fails_says_why_and_what_is_served(environment: dict[str, str]) -> None:
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}

    failed = run([str(REPOSITORY / "train_all_models.sh")], {**environment, **nowhere})

    assert failed.returncode == 1
    assert "Error: the training failed; the release served before is unchanged." in failed.stderr
    assert "The database failed" in failed.stderr
    assert not Path(environment["RECSYS_MODELS_DIR"]).exists()


@pytest.mark.slow
def test_quickstart_answers_three_users_and_leaves_nothing_running(
    environment: dict[str, str], home: Path
) -> None:
    with port_taken(8000):
        first = run([*QUICKSTART, "--exit"], environment)
    assert first.returncode == 0, first.stdout + first.stderr
    assert re.search(r"Port 8000 is taken by another program; the site uses \d+", first.stdout)
    assert [answer["interaction_count"] for answer in answers_in(first.stdout)] == [3, 10, 25]
    assert not any(status.up for status in service_status(home))
    password = re.search(r"user admin, password (\S+)", first.stdout)
    assert password

    again = run([*QUICKSTART, "--exit"], environment)

    assert again.returncode == 0, again.stdout + again.stderr
    assert f"user admin, password {password[1]}" in again.stdout
    assert [answer["interaction_count"] for answer in answers_in(again.stdout)] == [3, 10, 25]


@contextmanager
def port_taken(port: int) -> Iterator[None]:
    with ExitStack() as stack:
        with suppress(OSError):  # another program has it already
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


def answers_in(output: str) -> list[dict[str, object]]:
    found = re.findall(r"^\{$.*?^\}$", output, flags=re.MULTILINE | re.DOTALL)
    return [json.loads(text) for text in found]
