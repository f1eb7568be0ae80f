"""What a person sees when manage.py cannot do what it was asked: one line, and exit code 1."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BACKEND = Path(__file__).resolve().parents[2]
AWAY = "postgresql://nobody@127.0.0.1:1/none"


@pytest.mark.parametrize(
    "command",
    [
        ("create_api_key", "web"),
        ("seed_demo", "--users", "3", "--startups", "25"),
        ("sync_live_profiles",),
        ("run_training", "1"),
        ("train",),
        ("migrate",),
    ],
    ids=lambda command: command[0],
)
def test_a_database_that_is_away_is_told_in_one_line(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=BACKEND,
        env={**os.environ, "DATABASE_URL": AWAY},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    said = [
        line for line in done.stderr.splitlines() if line and not line.startswith("[")
    ]  # [ 10%]: progress
    assert done.returncode == 1
    assert len(said) == 1, done.stderr
    assert "The database failed (connection failed" in said[0]
    assert "check that it is up and run manage.py migrate" in said[0]
