"""What swapping releases under load does to answers: failures, mixed lists, and how long it takes.

python benchmarks/hot_swap.py                                            (two to three minutes on 2 cores)
python benchmarks/hot_swap.py --rate 200 --seconds 60 --every 5 --items 4000

Three releases that differ (als with other factors and seeds) lie in one models folder. The inference
service runs as in production: gunicorn, its own configuration, its default number of workers. Load comes from
processes of their own at a fixed rate, whatever the answers take; meanwhile another release is
promoted every few seconds, verified first as the button in the admin does. Every list is compared with the
one its `model_version` gives where that release is the only one there is. The limits: no failure, no
list of another making, and two seconds until every worker serves the new release.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
from machine import describe_machine
from recommend_world import World, publish_world, store_visitors

from embedded_services import throw_away_services
from inference_api import Settings, create_app
from recsys.artifacts.layout import POINTER, RELEASES, served_version
from recsys.artifacts.promote import promote
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveProfileStore
from recsys.serving.redis_client import connect

SERVICE = Path(__file__).resolve().parents[1] / "recommendation_service"
RELEASES_MADE = 3
N_USERS = 2_000
PROCESSES, THREADS = 2, 8  # of the load; each thread keeps a connection
SWAP_WINDOW_S = 2.0  # requests sent so soon after a swap are told apart
SWAP_LIMIT_S = 2.0
START_TIMEOUT_S = 60.0
REQUEST_TIMEOUT_S = 10.0

Lists = Mapping[str, Mapping[str, object]]  # version -> user -> what the answer must hold


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: seconds since the epoch, and what came of it; `version` is empty when it failed."""

    sent_at: float
    done_at: float
    user: str
    version: str
    answer: object


def main() -> int:
    """Measure, print, and fail where a limit is broken."""
    options = _parse_options()
    print(describe_machine("numpy", "scipy", "gunicorn", "flask"))
    with tempfile.TemporaryDirectory() as folder, throw_away_services(["valkey"]) as services:
        models_dir = Path(folder) / "models"
        versions = _publish(models_dir, options.items)
        client = connect(services.redis_url, timeout_s=10.0)
        users = store_visitors(World(options.items), LiveProfileStore(client), LiveCatalogueStore(client))
        expected = _lists_alone(models_dir, versions, users, services.redis_url)
        _check_that_they_differ(expected, users)
        with _service(models_dir, services.redis_url, Path(folder) / "service.log") as (port, workers):
            swaps, asked = _measure(options, models_dir, versions, users, port)
    return _report(options, workers, expected, swaps, asked)


def _publish(models_dir: Path, n_items: int) -> list[str]:
    """Releases that differ; their versions."""
    return [
        publish_world(
            models_dir, n_items, N_USERS, {"factors": 64 + 16 * n, "iterations": 3, "seed": n}
        ).version
        for n in range(RELEASES_MADE)
    ]


def _lists_alone(models_dir: Path, versions: Sequence[str], users: Sequence[str], redis_url: str) -> Lists:
    """Every user's list by each release, from a service that has only that one."""
    lists = {}
    for version in versions:
        alone = models_dir.parent / f"alone-{version}"
        (alone / RELEASES).mkdir(parents=True)
        (alone / RELEASES / version).symlink_to(models_dir / RELEASES / version)
        (alone / POINTER).symlink_to(Path(RELEASES) / version)
        app = create_app(Settings(redis_url=redis_url, models_dir=alone))
        ask = app.test_client()
        answers = {user: ask.get(f"/recommend?user_id={quote(user)}").json for user in users}
        app.extensions["release_watcher"].stop()
        wrong = [user for user, answer in answers.items() if answer["model_version"] != version]
        if wrong:
            raise SystemExit(f"{wrong[0]} was not answered by {version}: {answers[wrong[0]]}")
        lists[version] = {user: _content(answer) for user, answer in answers.items()}
    return lists


def _check_that_they_differ(expected: Lists, users: Sequence[str]) -> None:
    """Lists that are alike would hide a mix-up."""
    alike = sum(len({json.dumps(expected[v][user]) for v in expected}) < len(expected) for user in users)
    if alike:
        raise SystemExit(
            f"{alike} of {len(users)} users have the same list by two releases; change their recipes."
        )


def _content(answer: Mapping[str, object]) -> object:
    """All that a release decides; `recommendation_id` is drawn anew for each answer."""
    return [answer["startups"], answer["method_used"], answer["degraded"]]


@contextmanager
def _service(models_dir: Path, redis_url: str, log: Path) -> Iterator[tuple[int, int]]:
    """gunicorn with the service's own configuration; its port and its number of workers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    ours = {
        "REDIS_URL": redis_url,
        "RECSYS_MODELS_DIR": str(models_dir),
        "INFERENCE_BIND": f"127.0.0.1:{port}",
    }
    environment = {k: v for k, v in os.environ.items() if not k.startswith("INFERENCE_")} | ours
    with log.open("w") as output:
        command = [sys.executable, "-m", "gunicorn", "inference_api.wsgi:app"]
        process = subprocess.Popen(command, cwd=SERVICE, env=environment, stdout=output, stderr=output)
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/health/ready", log)
            yield port, log.read_text().count("Booting worker")
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_until_ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=5.0, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise SystemExit(f"The service did not start:\n{log.read_text()[-2000:]}")


def _measure(
    options: argparse.Namespace, models_dir: Path, versions: Sequence[str], users: Sequence[str], port: int
) -> tuple[list[tuple[float, str]], list[Asked]]:
    """Swap while the load runs; when the pointer had moved to what, and every request."""
    context = multiprocessing.get_context("spawn")
    ended, all_there = context.Queue(), context.Barrier(PROCESSES + 1, timeout=START_TIMEOUT_S)
    a_thread_s = PROCESSES * THREADS / options.rate
    loads = [
        context.Process(
            target=_load, args=(port, users, all_there, options.seconds, a_thread_s, number, ended)
        )
        for number in range(PROCESSES)
    ]
    for load in loads:
        load.start()
    swaps = []
    try:
        all_there.wait()
        start_at = time.time()
        for n in range(1, int(options.seconds / options.every)):
            time.sleep(max(start_at + n * options.every - time.time(), 0))
            version = versions[(versions.index(served_version(models_dir)) + 1) % len(versions)]
            promote(models_dir, version)
            swaps.append((time.time(), version))
        give_up_s = options.seconds + 60.0
        asked = [Asked(*fields) for _ in loads for fields in ended.get(timeout=give_up_s)]
    finally:
        for load in loads:
            load.join(timeout=10.0)
            load.kill()
    return swaps, sorted(asked, key=lambda each: each.sent_at)


def _load(
    port: int,
    users: Sequence[str],
    all_there: Barrier,
    seconds: float,
    every_s: float,
    number: int,
    ended: Queue,
) -> None:
    """One process of the load: threads that each send at their own fixed times."""
    asked: list[tuple] = []
    all_there.wait()
    start_at = time.time()
    threads = [
        threading.Thread(
            target=_ask_at_fixed_times,
            args=(port, users, start_at + every_s * (thread + number / PROCESSES) / THREADS, every_s),
            kwargs={"until": start_at + seconds, "seed": number * THREADS + thread, "asked": asked},
        )
        for thread in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended.put(asked)


def _ask_at_fixed_times(
    port: int, users: Sequence[str], first_at: float, every_s: float, *, until: float, seed: int, asked: list
) -> None:
    """A request that is late is sent at once; how many were sent tells the rate that was reached."""
    rng = np.random.default_rng(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_TIMEOUT_S)
    next_at = first_at
    while next_at < until and time.time() < until:
        time.sleep(max(next_at - time.time(), 0))
        user = users[rng.integers(len(users))]
        sent_at = time.time()
        version, answer = _ask(connection, user)
        asked.append((sent_at, time.time(), user, version, answer))
        next_at += every_s
    connection.close()


def _ask(connection: http.client.HTTPConnection, user: str) -> tuple[str, object]:
    """The version and what it gave; an empty version and what went wrong."""
    try:
        connection.request("GET", f"/recommend?user_id={quote(user)}")
        response = connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            return "", f"{response.status} {body[:200]!r}"
        answer = json.loads(body)
        return answer["model_version"], _content(answer)
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        connection.close()  # the next request opens it again
        return "", repr(error)


def _report(
    options: argparse.Namespace,
    workers: int,
    expected: Lists,
    swaps: list[tuple[float, str]],
    asked: list[Asked],
) -> int:
    failed = [each for each in asked if not each.version]
    answered = [each for each in asked if each.version]
    mixed = [each for each in answered if expected[each.version][each.user] != each.answer]
    ends = [*(at for at, _ in swaps[1:]), math.inf]
    late = [_seconds_until_all_serve(swap, end, answered) for swap, end in zip(swaps, ends, strict=True)]
    near = [_ms(each) for each in answered if any(0 <= each.sent_at - at < SWAP_WINDOW_S for at, _ in swaps)]
    calm = [
        _ms(each) for each in answered if not any(0 <= each.sent_at - at < SWAP_WINDOW_S for at, _ in swaps)
    ]
    seconds = asked[-1].done_at - asked[0].sent_at
    facts = {
        "workers": workers,
        "items": options.items,
        "requests": len(asked),
        "rate_aimed": options.rate,
        "rate_reached": round(len(asked) / seconds, 1),
        "swaps": len(swaps),
        "failures": len(failed),
        "lists_of_another_making": len(mixed),
        "versions_answered": len({each.version for each in answered}),
        f"p50_p99_max_ms_within_{SWAP_WINDOW_S:g}_s_of_a_swap": _percentiles(near),
        "p50_p99_max_ms_else": _percentiles(calm),
        "seconds_until_every_worker_served_it_max": round(max(late), 3),
        "seconds_until_every_worker_served_it_median": round(float(np.median(late)), 3),
    }
    for name, fact in facts.items():
        print(f"{name.replace('_', ' '):50} {fact}")
    print(json.dumps(facts))
    for each in (*failed[:3], *mixed[:3]):
        print(f"at {each.sent_at:.3f} {each.user} {each.version or 'failed'}: {str(each.answer)[:300]}")
    return int(bool(failed or mixed) or max(late) > SWAP_LIMIT_S)


def _seconds_until_all_serve(swap: tuple[float, str], next_at: float, answered: Sequence[Asked]) -> float:
    """From the moved pointer to the last request, sent before the next swap, that another answered."""
    at, version = swap
    others = (
        each.sent_at - at for each in answered if at <= each.sent_at < next_at and each.version != version
    )
    return max(others, default=0.0)


def _ms(each: Asked) -> float:
    return (each.done_at - each.sent_at) * 1e3


def _percentiles(values: Sequence[float]) -> list[float]:
    return [round(float(value), 1) for value in (*np.percentile(values, [50, 99]), max(values))]


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between swaps")
    parser.add_argument("--items", type=int, default=4_000, help="startups of each release")
    options = parser.parse_args()
    if not (0 < options.rate <= 2_000 and options.every <= options.seconds / 2 <= 300):
        parser.error("give a rate of at most 2,000, at most 600 seconds, and at least two swaps in them")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
