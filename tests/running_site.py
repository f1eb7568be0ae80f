"""A running site: servers under gunicorn, and the commands of its operator."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[1]
NO_SOCKET = "--no-control-socket"  # it would lie in the home folder
ANSWER_TIMEOUT_S = 30.0  # the first answer waits for the server to load


@dataclass(frozen=True)
class Site:
    """A running site and the commands of its operator."""

    environment: Mapping[str, str]
    backend_url: str
    inference_url: str
    admin_password: str
    api_key: str

    def manage(self, *arguments: str, stdin: str = "") -> str:
        """Run a manage.py command; returns its stdout."""
        return run(self.environment, ROOT / "backend", "manage.py", *arguments, stdin=stdin)

    def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Call the backend's API as a service."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        url = f"{self.backend_url}/api/v1{path}"
        return httpx.request(method, url, json=body, headers=headers, timeout=ANSWER_TIMEOUT_S)

    def recommend(self, user_id: str, **options: Any) -> dict[str, Any]:
        """Ask the inference service for a user's list."""
        parameters = {"user_id": user_id, **options}
        response = httpx.get(f"{self.inference_url}/recommend", params=parameters, timeout=ANSWER_TIMEOUT_S)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def new_user(self) -> str:
        """Create a user over the API."""
        user_id = str(uuid4())
        response = self.call("PUT", f"/users/{user_id}", {"interests": []})
        assert response.status_code in (200, 201), response.text
        return user_id

    def startup_ids(self, n: int) -> list[str]:
        """The ids of `n` startups the release was trained on."""
        mapping = Path(self.environment["RECSYS_MODELS_DIR"]) / "als_v1_item_mapping.json"
        return sorted(json.loads(mapping.read_text()))[:n]


def run(environment: Mapping[str, str], folder: Path, *arguments: str, stdin: str = "") -> str:
    """Run a Python command of the project; its stdout, or a failure with what it said."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=dict(environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, f"{arguments} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def free_port() -> int:
    """A port nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def serve(stack: ExitStack, environment: Mapping[str, str], folder: Path, app: str, log: Path) -> str:
    """Start gunicorn and stop it at the end; returns its address once it listens."""
    port = free_port()
    options = ("--bind", f"127.0.0.1:{port}", "--workers", "1", NO_SOCKET)
    start(stack, environment, folder, log, "gunicorn", app, *options)
    return f"http://127.0.0.1:{port}"


def start(
    stack: ExitStack, environment: Mapping[str, str], folder: Path, log: Path, module: str, *arguments: str
) -> subprocess.Popen[bytes]:
    """Start a Python program of the system, writing to `log`, and stop it at the end."""
    output = stack.enter_context(log.open("w"))
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=dict(environment),
        stdout=output,
        stderr=output,
    )
    stack.callback(stop, process)
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and wait for it."""
    process.terminate()
    process.wait(timeout=20)


def wait_until_up(url: str, log: Path) -> None:
    """Return when the server answers at `url`; fails with its log when it does not."""
    transport = httpx.HTTPTransport(retries=8)  # 0.5 s, 1 s, 2 s, ... between them
    try:
        with httpx.Client(transport=transport, timeout=ANSWER_TIMEOUT_S) as client:
            assert client.get(url).status_code == 200
    except httpx.TransportError:
        pytest.fail(f"{url} did not come up:\n{log.read_text()[-3000:]}")
