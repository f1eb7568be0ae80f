"""A gunicorn with one worker on a free port, for as long as a block runs."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

FLAGS = ("--workers", "1", "--threads", "4", "--no-control-socket")


@contextmanager
def serve(
    app: str, folder: Path, environment: Mapping[str, str], log: Path, *, timeout_s: int = 30
) -> Iterator[str]:
    """Yields its address at once: it may still be starting."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*free.getsockname())
    command = [sys.executable, "-m", "gunicorn", app, "--bind", address, "--timeout", str(timeout_s), *FLAGS]
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=output, stderr=output)
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()
