"""The service as it runs: gunicorn with two workers, over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from scipy.sparse import csr_matrix, random_array

from embedded_services import stop_services
from recsys.artifacts.publish import Trained, publish_release
from recsys.artifacts.release import Release
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.recommenders.base import is_mapped
from recsys.recommenders.table import make_recommender

SERVICE_ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


class Server:
    """A gunicorn of one test, on a free port."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py"],
                cwd=SERVICE_ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.url = self._wait_for_address()

    def log(self) -> str:
        return self._log.read_text()

    def _wait_for_address(self) -> str:
        def address() -> str | None:
            found = re.search(r"Listening at: (http://\S+)", self.log())
            return found.group(1) if found else None

        return until(address, self)

    def ask(self, path: str, **headers: str) -> tuple[int, Any]:
        request = urllib.request.Request(f"{self.url}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                body, status = response.read().decode(), response.status
        except urllib.error.HTTPError as error:
            body, status = error.read().decode(), error.code
            error.close()
        return status, body if path == "/metrics" else json.loads(body)

    def metric(self, name: str, **labels: str) -> float:
        status, text = self.ask("/metrics")
        assert status == 200, self.log()
        families = text_string_to_metric_families(text)
        samples = [s for f in families for s in f.samples if s.name == name]
        return sum(s.value for s in samples if labels.items() <= s.labels.items())

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE_S)


def until(ask: Callable[[], Any], server: Server) -> Any:
    """The first true answer; asking is what takes the time."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and server.process.poll() is None:
        answer = ask()
        if answer:
            return answer
    pytest.fail(f"it did not happen within {PATIENCE_S} s; the log:\n{server.log()}")


@pytest.fixture
def environment(redis_url: str, models_dir: Path, tmp_path: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {
        **inherited,
        "HOME": str(tmp_path / "home"),
        "REDIS_URL": redis_url,
        "RECSYS_MODELS_DIR": str(models_dir),
        "INFERENCE_BIND": "127.0.0.1:0",
        "INFERENCE_WORKERS": "2",
        "TMPDIR": str(tmp_path),
    }


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(**changed: str) -> Server:
        servers.append(Server({**environment, **changed}, tmp_path / f"server-{len(servers)}.log"))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


def test_a_publish_under_load_is_taken_by_both_workers_and_loses_no_request(
    start: Callable[..., Server], publish_again: Callable[[], Release], synced: object
) -> None:
    server = start()
    first = until(lambda: server.ask("/recommend?user_id=anna")[1].get("model_version"), server)
    until(lambda: server.metric("recs_release_info", version=first) == 2, server)
    with ThreadPoolExecutor(4) as threads:
        publishing = threads.submit(publish_again)
        answers = []
        while not publishing.done():
            asked = [threads.submit(server.ask, "/recommend?user_id=anna") for _ in range(3)]
            answers += [future.result() for future in asked]
        second = publishing.result().version
    until(lambda: server.metric("recs_release_info", version=second) == 2, server)
    assert server.metric("recs_release_info", version=first) == 0
    assert {status for status, _ in answers} == {200}
    assert {answer["model_version"] for _, answer in answers} <= {first, second}
    assert server.ask("/recommend?user_id=anna")[1]["model_version"] == second
    assert server.process.poll() is None


def test_a_damaged_release_is_told_and_the_old_one_answers_on(
    start: Callable[..., Server], publish_again: Callable[[], Release], models_dir: Path, synced: object
) -> None:
    server = start()
    first = until(lambda: server.ask("/recommend?user_id=anna")[1].get("model_version"), server)
    pointer = (models_dir / "current").readlink()
    publish_again()
    # Damage it under another name, then point there: the workers never see it whole.
    damaged = models_dir / "releases" / "damaged"
    shutil.copytree(models_dir / "current", damaged)
    factors = damaged / "als_v1_item_factors.npy"
    factors.chmod(0o644)
    factors.write_bytes(factors.read_bytes()[:-1] + b"\x7f")
    for target in (pointer, Path("releases/damaged")):
        aside = models_dir / ".next"
        aside.symlink_to(target)
        aside.replace(models_dir / "current")
    until(lambda: server.metric("recs_release_loads_total", outcome="failed") == 2, server)
    status, ready = server.ask("/health/ready")
    assert status == 200
    assert ready["release_failure"].startswith("Model loading failed: ")
    assert ready["model_version"] != "damaged"
    assert server.metric("recs_release_load_failing") == 1
    status, answer = server.ask("/recommend?user_id=anna")
    assert status == 200, answer
    assert len(answer["startups"]) == 10
    assert "Model loading failed: " in server.log()
    assert first in server.log()
    third = publish_again().version
    until(lambda: server.metric("recs_release_info", version=third) == 2, server)
    assert server.metric("recs_release_load_failing") == 0


def publish_mapped(models_dir: Path) -> tuple[str, str]:
    """Two releases with item factors large enough to be mapped, the second served; their versions."""
    n_items, factors = 140_000, 128
    acts = random_array((20, n_items), density=0.001, dtype=np.float32, random_state=1).tocsr()
    world = Dataset(
        csr_matrix(acts), IdMap(f"u{n:02}" for n in range(20)), IdMap(f"s{n:02}" for n in range(n_items))
    )
    als = make_recommender("als", factors=factors, iterations=1).fit(world)
    trained = [Trained(als, vars(als.config), 0.0, 0.0)]
    kept, served = (publish_release(models_dir, world, trained).version for _ in range(2))
    assert is_mapped(models_dir / "current")
    return kept, served


def test_a_mapped_array_truncated_in_place_costs_workers_and_not_the_service(
    start: Callable[..., Server], tmp_path: Path, synced: object
) -> None:
    """A worker that reads past its end dies by SIGBUS; the next one starts on the kept release."""
    models_dir = tmp_path / "large"
    kept, served = publish_mapped(models_dir)
    server = start(RECSYS_MODELS_DIR=str(models_dir))
    until(lambda: server.metric("recs_release_info", version=served) == 2, server)
    worker = int(re.findall(r"Booting worker with pid: (\d+)", server.log())[0])

    factors = models_dir / "current" / "als_v1_item_factors.npy"
    factors.chmod(0o644)
    os.truncate(factors, 4096)
    with contextlib.suppress(OSError, HTTPException):  # whoever is asked before its watcher looks dies
        server.ask("/recommend?user_id=anna")
    with contextlib.suppress(ProcessLookupError):  # and one does for certain
        os.kill(worker, signal.SIGBUS)

    until(lambda: server.log().count("Booting worker") >= 3, server)
    until(lambda: server.metric("recs_release_info", version=kept) == 2, server)
    for _ in range(10):
        status, answer = server.ask("/recommend?user_id=anna")
        assert (status, answer["model_version"], answer["method_used"]) == (200, kept, "als")
    assert server.metric("recs_release_load_failing") == 1
    assert "als_v1_item_factors.npy has 4,096 bytes" in server.ask("/health/ready")[1]["release_failure"]
    assert "SIGBUS" in server.log()


def test_it_starts_with_no_release_and_takes_the_first_one(
    start: Callable[..., Server], tmp_path: Path, world, trained_world, synced: object
) -> None:
    models_dir = tmp_path / "empty"
    server = start(RECSYS_MODELS_DIR=str(models_dir))
    status, error = server.ask("/recommend?user_id=anna")
    assert (status, error["error"]) == (503, "unavailable")
    assert server.ask("/health/ready")[0] == 503
    assert server.ask("/health/live")[0] == 200
    version = publish_release(models_dir, world, trained_world).version
    until(lambda: server.ask("/health/ready")[0] == 200, server)
    until(lambda: server.metric("recs_release_info", version=version) == 2, server)
    assert server.ask("/recommend?user_id=anna")[1]["method_used"] == "als"


def test_metrics_add_up_over_workers_and_survive_a_reload(
    start: Callable[..., Server], synced: object, models_dir: Path
) -> None:
    server = start()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: server.ask("/popular"), range(40)))
    assert server.metric("recs_answers_total", endpoint="popular") == 40
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "Hang up: Master" in server.log(), server)
    until(lambda: server.log().count("Booting worker") == 4, server)
    version = (models_dir / "current").readlink().name
    until(lambda: server.metric("recs_release_loads_total", outcome="loaded") == 4, server)
    until(lambda: server.metric("recs_release_info", version=version) == 2, server)
    assert server.metric("recs_answers_total", endpoint="popular") == 40


def test_metrics_of_an_earlier_run_are_forgotten_at_start(
    start: Callable[..., Server], synced: object, tmp_path: Path
) -> None:
    kept = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    first = start(**kept)
    first.ask("/popular")
    assert first.metric("recs_answers_total", endpoint="popular") == 1
    assert first.stop() == 0
    assert list((tmp_path / "metrics").glob("*.db"))
    second = start(**kept)
    assert second.metric("recs_answers_total", endpoint="popular") == 0
    (tmp_path / "metrics" / "counter_1.db").touch()  # by a worker that died before it wrote
    second.ask("/popular")
    assert second.metric("recs_answers_total", endpoint="popular") == 1


def test_it_stops_cleanly_and_leaves_nothing_behind(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start()
    assert server.ask("/health/live")[0] == 200
    assert list(tmp_path.glob("recs-metrics-*"))
    assert server.stop() == 0
    assert not list(tmp_path.glob("recs-metrics-*"))
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ENVIRONMENT": "production"}, "INFERENCE_API_KEY is not set"),
        ({"HOT_FROM": "many"}, "HOT_FROM is 'many'"),
        ({"REDIS_URL": "ftp://nowhere"}, "REDIS_URL is 'ftp://nowhere'"),
    ],
)
def test_what_cannot_work_stops_the_start_with_one_line(
    environment: dict[str, str], changed: dict[str, str], message: str
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--workers", "1"],
        cwd=SERVICE_ROOT,
        env={**environment, **changed},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert ran.returncode == 4
    assert f"inference_api cannot start: {message}" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_what_gunicorn_cannot_read_is_refused_in_the_one_error_shape(start: Callable[..., Server]) -> None:
    server = start(INFERENCE_WORKERS="1")
    status, error = server.ask(f"/recommend?user_id=anna&exclude={'x' * 9000}")
    assert (status, error["error"], error["detail"]) == (414, "address_too_long", {})
    assert "8190 bytes" in error["message"]
    status, error = server.ask("/popular", **{f"X-Header-{n}": "x" for n in range(200)})
    assert (status, error["error"]) == (431, "headers_too_large")
    address = urllib.parse.urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), PATIENCE_S) as connection:
        connection.sendall(b"GARBAGE\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "bad_request"
    assert server.ask("/health/live")[0] == 200


def test_production_with_a_key_asks_for_it(start: Callable[..., Server], synced: object) -> None:
    server = start(ENVIRONMENT="production", INFERENCE_API_KEY="a-long-random-service-key")
    assert server.ask("/popular")[0] == 401
    assert server.ask("/health/ready")[0] == 200
    assert server.ask("/popular", Authorization="Bearer a-long-random-service-key")[0] == 200


def test_without_redis_url_it_runs_the_projects_own(start: Callable[..., Server]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="recs-"))
    folder.chmod(0o755)  # as root the server runs as nobody
    try:
        server = start(REDIS_URL="", EMBEDDED_SERVICES_DIR=str(folder / "services"))
        assert server.ask("/health/ready")[1]["live_store"] == "not synced"
    finally:
        stop_services(folder / "services", report=lambda _: None)
        shutil.rmtree(folder)
