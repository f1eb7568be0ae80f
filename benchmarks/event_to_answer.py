"""How long after an act is acknowledged the next answer knows of it, through both services.

python benchmarks/event_to_answer.py                                   (a minute or two on 2 cores)
python benchmarks/event_to_answer.py --events 1000 --users 1000 --startups 2000

Sets up a site of its own: PostgreSQL, Valkey, a seeded world, als trained on it, Django and Flask
under gunicorn with one worker each. Then users like (or, every second time, dislike) the first startup
of their list. The clock starts when Django has acknowledged the act and stops when a list without
that startup has arrived; lists are asked for one after the other until then. The aim is 50 ms at
the 99th percentile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
from machine import describe_machine
from one_worker import serve

from embedded_services import throw_away_services

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 120.0
GIVE_UP_S = 10.0  # an act that is not seen by then is a failure, not a latency
ACTS_BEFORE = 10  # of each user; from the first measured act on als answers
EVENTS_A_USER = 10
AIM_MS = 50.0


@dataclass(frozen=True)
class Measured:
    """One act: how long the POST took, how long after it the list had changed, how many lists that took."""

    post_ms: float
    changed_ms: float
    n_lists: int


def main() -> int:
    """Measure and print percentiles and one line of JSON."""
    options = _parse_options()
    with _site(options) as (backend, inference, startup_ids):
        measured: list[Measured] = []
        while len(measured) < options.events:
            measured += _follow_user(backend, inference, startup_ids)
            print(f"{len(measured)}/{options.events}", file=sys.stderr)
    result: dict[str, Any] = {"events": len(measured)}
    for name in ("changed_ms", "post_ms"):
        values = np.array([getattr(one, name) for one in measured])
        result[name] = {f"p{p}": round(float(np.percentile(values, p)), 2) for p in (50, 95, 99, 100)}
    result["at_the_first_list"] = sum(one.n_lists == 1 for one in measured) / len(measured)
    changed = result["changed_ms"]
    print(
        f"{len(measured)} acts, {options.startups} startups: changed list after acknowledgement "
        f"p50 {changed['p50']:.1f} ms, p99 {changed['p99']:.1f} ms (aim: at most {AIM_MS:.0f}); "
        f"POST p50 {result['post_ms']['p50']:.1f} ms, p99 {result['post_ms']['p99']:.1f} ms; "
        f"seen by the first list asked for: {result['at_the_first_list']:.1%}"
    )
    print(describe_machine("django", "flask", "gunicorn", "psycopg", "redis"))
    print(json.dumps(result))
    return 0


def _follow_user(backend: httpx.Client, inference: httpx.Client, startup_ids: list[str]) -> list[Measured]:
    """A new user with some acts, then measured ones."""
    user_id = str(uuid4())
    backend.put(f"/users/{user_id}", json={"interests": []}).raise_for_status()
    chosen = np.random.default_rng(int(user_id[:8], 16)).choice(startup_ids, ACTS_BEFORE, replace=False)
    events = [_event(user_id, str(startup), "like") for startup in chosen]
    backend.post("/interactions", json=events).raise_for_status()
    return [_measure(backend, inference, user_id, number) for number in range(EVENTS_A_USER)]


def _measure(backend: httpx.Client, inference: httpx.Client, user_id: str, number: int) -> Measured:
    first = _list_of(inference, user_id)[0]
    event = _event(user_id, first, "dislike" if number % 2 else "like")
    started_s = time.perf_counter()
    backend.post("/interactions", json=event).raise_for_status()
    acknowledged_s = time.perf_counter()
    n_lists = 1
    while first in _list_of(inference, user_id):
        n_lists += 1
        if time.perf_counter() - acknowledged_s > GIVE_UP_S:
            raise SystemExit(f"the list of {user_id} did not change in {GIVE_UP_S} s")
    changed_s = time.perf_counter()
    return Measured((acknowledged_s - started_s) * 1e3, (changed_s - acknowledged_s) * 1e3, n_lists)


def _list_of(inference: httpx.Client, user_id: str) -> list[str]:
    response = inference.get("/recommend", params={"user_id": user_id, "limit": 10})
    response.raise_for_status()
    return [startup["id"] for startup in response.json()["startups"]]


def _event(user_id: str, startup_id: str, kind: str) -> dict[str, str]:
    return {
        "event_id": str(uuid4()),
        "user_id": user_id,
        "startup_id": startup_id,
        "type": kind,
        "occurred_at": datetime.now(UTC).isoformat(),
    }


@contextmanager
def _site(options: argparse.Namespace) -> Iterator[tuple[httpx.Client, httpx.Client, list[str]]]:
    """Clients of a running backend and inference service, and the ids of the startups."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recs-benchmark-")))
        services = stack.enter_context(throw_away_services())
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "recommendation_service"))),
            "DATABASE_URL": services.database_url,
            "REDIS_URL": services.redis_url,
            "RECSYS_DATA_DIR": str(folder / "data"),
            "RECSYS_MODELS_DIR": str(folder / "models"),
            "RECSYS_LOGS_DIR": str(folder / "logs"),
            "INFERENCE_API_KEY": f"benchmark-{uuid4().hex}",
            "OPENBLAS_NUM_THREADS": "1",
        }
        backend, service = ROOT / "backend", ROOT / "recommendation_service"
        seed = ("--users", str(options.users), "--startups", str(options.startups), "--seed", "3")
        _run(environment, backend, "manage.py", "migrate", "--verbosity", "0")
        _run(environment, backend, "manage.py", "seed_demo", *seed)
        _run(environment, backend, "manage.py", "generate_als_dataset", "--output-dir", str(folder / "data"))
        _run(environment, ROOT, "-m", "recsys.cli", "train", "--data", str(folder / "data"))
        key = _run(environment, backend, "manage.py", "create_api_key", "benchmark").strip()
        urls = [
            stack.enter_context(serve(app, where, environment, folder / f"{where.name}.log"))
            for where, app in ((backend, "config.wsgi"), (service, "inference_api.wsgi:app"))
        ]
        clients = [
            stack.enter_context(
                httpx.Client(
                    base_url=url,
                    headers={"Authorization": f"Bearer {secret}"},
                    timeout=START_TIMEOUT_S,
                    transport=httpx.HTTPTransport(retries=10),
                )
            )
            for url, secret in zip(
                (f"{urls[0]}/api/v1", urls[1]), (key, environment["INFERENCE_API_KEY"]), strict=True
            )
        ]
        clients[1].get("/health/ready").raise_for_status()
        mapping = (folder / "models" / "als_v1_item_mapping.json").read_text(encoding="utf-8")
        yield clients[0], clients[1], sorted(json.loads(mapping))


def _run(environment: Mapping[str, str], folder: Path, *arguments: str) -> str:
    print(" ".join(arguments[:2]), file=sys.stderr)
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=dict(environment), stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--startups", type=int, default=500)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
