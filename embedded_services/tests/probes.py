"""Ask the servers under test: who are you, what do you remember; and kill them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import redis

from embedded_services import Services, service_status


def pid_of(name: str, home: Path) -> int:
    """The process id of a server that must be running."""
    pids = [status.pid for status in service_status(home) if status.name == name]
    assert pids[0] is not None
    return pids[0]


def kill_hard(name: str, home: Path) -> None:
    """`kill -9`: no clean-up of any kind."""
    os.kill(pid_of(name, home), signal.SIGKILL)


def remember_in_postgresql(services: Services, word: str) -> None:
    with psycopg.connect(services.database_url) as session:
        session.execute("CREATE TABLE IF NOT EXISTS word (word text)")
        session.execute("INSERT INTO word VALUES (%s)", [word])


def recall_from_postgresql(services: Services) -> str:
    with psycopg.connect(services.database_url) as session:
        row = session.execute("SELECT word FROM word").fetchone()
    assert row is not None
    return str(row[0])


def remember_in_valkey(services: Services, word: str) -> None:
    with redis.Redis.from_url(services.redis_url) as client:
        client.set("word", word)


def recall_from_valkey(services: Services) -> str:
    with redis.Redis.from_url(services.redis_url, decode_responses=True) as client:
        return str(client.get("word"))


REMEMBER: dict[str, Callable[[Services, str], None]] = {
    "postgresql": remember_in_postgresql,
    "valkey": remember_in_valkey,
}
RECALL: dict[str, Callable[[Services], str]] = {
    "postgresql": recall_from_postgresql,
    "valkey": recall_from_valkey,
}
