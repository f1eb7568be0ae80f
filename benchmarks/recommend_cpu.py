"""CPU of one GET /recommend: ours, the plain build of the same thing, and a constant answer.

python benchmarks/recommend_cpu.py --items 4000 100000 1000000
python benchmarks/recommend_cpu.py --items 100000 --set engine=implicit regularization=0.01 alpha=40
python benchmarks/recommend_cpu.py --items 4000 --server granian --python VENV/bin/python

Every size trains als on acts drawn by `recommend_world.py` and publishes a release (a minute at
100,000 items, many minutes at 1,000,000; --models FOLDER keeps them). Then three servers with one
worker each answer the same live profiles of 30 acts from the same Valkey, asked one after the other
over one connection with a service key, in turns:

  ours      the service
  plain     the same, but the list is made from all products, a mask, argpartition and a sort
  constant  the same stack and the same fetch from Redis, then an answer made once

CPU is the worker's own (user and system, /proc/PID/stat), so what else runs on the machine adds to
it only by what it takes from the caches. The last line is JSON.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from machine import describe_machine
from recommend_world import World, publish_world, store_visitors

from embedded_services import throw_away_services
from recsys.artifacts.layout import MANIFEST_FILE, current_release_dir
from recsys.artifacts.manifest import Manifest
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveProfileStore
from recsys.serving.redis_client import connect

ROOT = Path(__file__).resolve().parents[1]
SERVICE_ROOT = ROOT / "recommendation_service"
SIDES = ("ours", "plain", "constant")
KEY = "benchmark-service-key-0123456789"
START_TIMEOUT_S = 300.0
WARM_UP = 100
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
ENOUGH_S = 1.0  # of CPU a turn: a hundred ticks
TARGETS = {100_000: 1 / 5, 1_000_000: 1 / 30}  # of the plain build
ALS = {"engine": "irspack", "alpha0": 0.1, "regularization": 0.005, "nu": 1.0, "iterations": 4}


def main() -> int:
    """Measure every size and print a table and one line of JSON."""
    options = _parse_options()
    kept = options.models or Path(tempfile.mkdtemp(prefix="recs-benchmark-"))
    results = []
    try:
        for n_items in options.items:
            models_dir = kept / f"{n_items}-{'-'.join(map(str, options.parameters.values()))}"
            if current_release_dir(models_dir) is None:
                print(f"training on {n_items:,} items", file=sys.stderr)
                n_users = max(n_items // options.items_a_user, 2_000)
                publish_world(models_dir, n_items, n_users, {"factors": 128, **options.parameters})
            results.append(measure(models_dir, n_items, options))
            _print_result(results[-1])
    finally:
        if options.models is None:
            shutil.rmtree(kept)
    print(describe_machine("numpy", "flask", "apiflask", "gunicorn"))
    print(json.dumps(results))
    return 0


def measure(models_dir: Path, n_items: int, options: argparse.Namespace) -> dict[str, Any]:
    """Microseconds of CPU a request of each side, their spread, and the release's own facts."""
    turns: dict[str, list[float]] = {side: [] for side in SIDES}
    with throw_away_services(("valkey",)) as services, ExitStack() as stack:
        redis_url = services.redis_url
        client = connect(redis_url, timeout_s=60.0)
        stack.callback(client.close)
        visitors = store_visitors(World(n_items), LiveProfileStore(client), LiveCatalogueStore(client))
        asked = {side: stack.enter_context(_serve(side, models_dir, redis_url, options)) for side in SIDES}
        for side in SIDES:
            asked[side].ask(visitors[:WARM_UP])
        counts = {side: asked[side].requests_for(ENOUGH_S, visitors) for side in SIDES}
        for turn in range(options.turns):
            for side in SIDES if turn % 2 == 0 else SIDES[::-1]:
                turns[side].append(asked[side].cpu_us(counts[side], visitors))
    medians = {side: statistics.median(values) for side, values in turns.items()}
    facts = _facts_of_als(models_dir)
    return {
        "items": n_items,
        "server": options.server,
        "als": options.parameters,
        "retrieval": {name: facts[name] for name in ("retrieval", "scan_share")},
        "cpu_us": {side: round(median, 1) for side, median in medians.items()},
        "cpu_us_turns": {side: [round(value, 1) for value in values] for side, values in turns.items()},
        "requests_a_turn": counts,
        "ours_over_plain": round(medians["ours"] / medians["plain"], 4),
        "ours_over_constant": round(medians["ours"] / medians["constant"], 3),
    }


def _facts_of_als(models_dir: Path) -> dict[str, Any]:
    release = current_release_dir(models_dir)
    if release is None:
        raise SystemExit(f"{models_dir} holds no release; empty it.")
    return Manifest.load(release / MANIFEST_FILE).recommenders["als"].facts


class Server:
    """One server with one worker, and a connection to it."""

    def __init__(self, address: tuple[str, int], worker: int) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=START_TIMEOUT_S)
        self._worker = worker

    def ask(self, users: Sequence[str]) -> None:
        """Request a list for each user; anything but a list of ten by als is a failure."""
        self._connection.close()  # the server may have: a connection idle for seconds is not kept
        for user in users:
            self._connection.request(
                "GET", f"/recommend?user_id={user}&limit=10", headers={"Authorization": f"Bearer {KEY}"}
            )
            response = self._connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise SystemExit(f"{response.status}: {body[:500]!r}")
        answer = json.loads(body)
        if answer["method_used"] != "als" or answer["degraded"] or len(answer["startups"]) != 10:
            raise SystemExit(f"not the answer to measure: {answer}")

    def cpu_us(self, n_requests: int, visitors: Sequence[str]) -> float:
        """Microseconds of the worker's CPU a request."""
        users = [visitors[n % len(visitors)] for n in range(n_requests)]
        before = self._cpu_s()
        self.ask(users)
        return (self._cpu_s() - before) / n_requests * 1e6

    def requests_for(self, seconds: float, visitors: Sequence[str]) -> int:
        """How many requests take about so many seconds of CPU."""
        return max(int(seconds * 1e6 / max(self.cpu_us(WARM_UP, visitors), 1.0)), WARM_UP // 2)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self._worker}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


@contextmanager
def _serve(side: str, models_dir: Path, redis_url: str, options: argparse.Namespace) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address: tuple[str, int] = free.getsockname()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (SERVICE_ROOT, ROOT, ROOT / "benchmarks"))),
        "REDIS_URL": redis_url,
        "RECSYS_MODELS_DIR": str(models_dir),
        "INFERENCE_API_KEY": KEY,
        "INFERENCE_WORKERS": "1",
        "HOT_FROM": "1000",  # als answers, whatever else a release may hold
        "OPENBLAS_NUM_THREADS": "1",
    }
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed below, after the server
    process = subprocess.Popen(
        _command(side, address, options), cwd=SERVICE_ROOT, env=environment, stdout=log, stderr=log
    )
    server = None
    try:
        _wait_until_listening(process, address, log)
        server = Server(address, _worker_of(process))
        yield server
    finally:
        if server is not None:
            server.close()
        process.terminate()
        process.wait()
        log.close()


def _command(side: str, address: tuple[str, int], options: argparse.Namespace) -> list[str]:
    bind, app = "{}:{}".format(*address), f"recommend_servers:{side}"
    if options.server == "gunicorn":
        return [options.python, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--bind", bind, f"{app}()"]
    return [
        *(options.python, "-m", "granian", "--interface", "wsgi", "--factory", "--workers", "1"),
        *("--blocking-threads", "4", "--host", address[0], "--port", str(address[1]), app),
    ]


def _wait_until_listening(process: subprocess.Popen[bytes], address: tuple[str, int], log: Any) -> None:
    """Until a health check is answered: granian listens before its worker can answer."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection(*address, timeout=START_TIMEOUT_S)
        try:
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.2)
        finally:
            connection.close()
    log.seek(0)
    raise SystemExit(f"the server did not come up:\n{log.read()[-3000:]}")


def _worker_of(process: subprocess.Popen[bytes]) -> int:
    """The one child that answers."""
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [int(pid) for task in tasks for pid in task.read_text(encoding="utf-8").split()]
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8") for pid in children}
    workers = [pid for pid, command in commands.items() if not re.search("resource_tracker", command)]
    if len(workers) != 1:
        raise SystemExit(f"{len(workers)} workers where one was expected: {commands}")
    return workers[0]


def _print_result(result: dict[str, Any]) -> None:
    cpu, turns = result["cpu_us"], result["cpu_us_turns"]
    print(f"{result['items']:,} items, {result['server']}, als {result['als']}, {result['retrieval']}")
    for side in SIDES:
        print(f"  {side:9} {cpu[side]:10,.0f} us  ({min(turns[side]):,.0f} to {max(turns[side]):,.0f})")
    target = TARGETS.get(result["items"])
    aim = f" (aim: at most {target:.4f})" if target else ""
    print(
        f"  ours / plain {result['ours_over_plain']:.4f}{aim}, "
        f"ours / constant {result['ours_over_constant']:.2f}"
        f"{' (aim: at most 2)' if result['items'] <= 4_000 else ''}"
    )


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, nargs="+", default=[4_000, 100_000])
    parser.add_argument("--items-a-user", type=int, default=2, help="items for each user of the training")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="parameters of als")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--models", type=Path, help="keep the releases here")
    parser.add_argument("--server", choices=("gunicorn", "granian"), default="gunicorn")
    parser.add_argument("--python", default=sys.executable, help="of the servers, when granian is elsewhere")
    options = parser.parse_args()
    chosen = dict(pair.split("=", 1) for pair in options.set)
    options.parameters = {name: yaml.safe_load(value) for name, value in chosen.items()} or ALS
    return options


if __name__ == "__main__":
    raise SystemExit(main())
