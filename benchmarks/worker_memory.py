"""What four workers of the answering service take in memory at a million startups.

    python benchmarks/worker_memory.py
    python benchmarks/worker_memory.py --items 100000 --workers 2

Publishes a synthetic als release (skewed factors, a catalogue, histories), starts gunicorn on it with a
synced live store, asks `/recommend` a few hundred times a worker, and adds up the proportional set size
(PSS) of all processes from /proc: memory that several share counts once. Printed beside one copy of the
release's arrays (without the texts of the catalogue), and as what each worker takes beyond it.
Needs about 3 GB of disk and 4 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import numpy as np
from machine import describe_machine
from scipy.sparse import csr_matrix

from embedded_services.launcher import throw_away_services
from recsys.artifacts.publish import Trained, publish_release
from recsys.artifacts.stored_catalogue import ARRAY_FILES
from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.recommenders.als import ITEM_FACTORS_FILE, USER_FACTORS_FILE, ALSRecommender
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveCell, LiveProfile, LiveProfileStore
from recsys.serving.redis_client import connect

SERVICE_ROOT = Path(__file__).resolve().parents[1] / "recommendation_service"
ACTS_A_USER = 20
ACTS_OF_AN_ASKER = 30
ASKERS = 200
INDUSTRIES = ("Fintech", "Robotics", "Health", "Space", "Energy", "Media", "Food", "Security")
SHARE_OWNED, SHARE_INACTIVE = 0.05, 0.02
START_S = 300.0
# Bytes of texts, read for the startups of a list only: counted as arrays they would flatter the figure.
TEXTS = {ARRAY_FILES["entries"], ARRAY_FILES["names"]}
MB = 1e6


def main() -> None:
    """Measure and print one JSON line."""
    options = _parse_options()
    with tempfile.TemporaryDirectory(prefix="worker-memory-") as folder, _valkey() as redis_url:
        models_dir = Path(folder) / "models"
        dataset = _dataset(options.users, options.items, np.random.default_rng(options.seed))
        started_s = time.perf_counter()
        _publish(models_dir, dataset, options.factors, options.seed)
        publish_s = time.perf_counter() - started_s
        _sync(redis_url, dataset, np.random.default_rng(options.seed + 1))
        del dataset
        arrays = [path for path in (models_dir / "current").glob("*.npy") if path.name not in TEXTS]
        arrays_mb = sum(path.stat().st_size for path in arrays) / MB
        with _gunicorn(models_dir, redis_url, options.workers) as (url, log):
            load_s = [float(seconds) for seconds in re.findall(r"release loaded .* seconds=(\S+)", log())]
            after_start = _pss_mb(log())
            _ask(url, options.workers * options.requests)
            after_requests = _pss_mb(log())
    total_mb = sum(after_requests.values())
    line = {
        "items": options.items,
        "factors": options.factors,
        "workers": options.workers,
        "arrays_mb": round(arrays_mb, 1),
        "pss_mb": round(total_mb, 1),
        "pss_after_start_mb": round(sum(after_start.values()), 1),
        "ratio": round(total_mb / arrays_mb, 3),
        "beyond_one_copy_mb_a_worker": round((total_mb - arrays_mb) / options.workers, 1),
        "limit_mb": round(1.15 * arrays_mb + 60 * options.workers, 1),
        "publish_seconds": round(publish_s, 1),
        "load_seconds": load_s,
        "pss_mb_a_process": {name: round(mb, 1) for name, mb in after_requests.items()},
        "machine": describe_machine("numpy", "scipy", "gunicorn"),
    }
    sys.stdout.write(f"{json.dumps(line)}\n")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--requests", type=int, default=300, help="a worker")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _dataset(n_users: int, n_items: int, rng: np.random.Generator) -> Dataset:
    """Acts that fall on few startups mostly, and a catalogue with a text a startup."""
    indptr = np.arange(n_users + 1) * ACTS_A_USER
    indices = (n_items * rng.random(indptr[-1]) ** 3).astype(np.int32)
    matrix = csr_matrix((np.full(indptr[-1], 2.0, np.float32), indices, indptr), (n_users, n_items))
    matrix.sum_duplicates()
    owners = rng.random(n_items) < SHARE_OWNED
    items = tuple(
        CatalogueItem(
            id=_uuid(rng),
            name=f"Firm {number}",
            short_description=f"Firm {number} makes what others of its kind make, for whoever needs it.",
            tags=("b2b", INDUSTRIES[number % 5].lower()),
            industry=INDUSTRIES[number % 8],
            country="France" if number % 3 else "Germany",
            stage="Seed" if number % 2 else "Growth",
            owner_id=_uuid(rng) if owned else None,
            created_at=1.6e9 + number,
        )
        for number, owned in enumerate(owners)
    )
    users = IdMap(_uuid(rng) for _ in range(n_users))
    return Dataset(matrix, users, IdMap(item.id for item in items), catalogue=Catalogue(items))


def _uuid(rng: np.random.Generator) -> str:
    return str(UUID(bytes=rng.bytes(16)))


def _publish(models_dir: Path, dataset: Dataset, factors: int, seed: int) -> None:
    """A release of als with vectors whose lengths are as unequal as those of popular and rare items."""
    rng = np.random.default_rng(seed)
    config = ALSConfig.default(factors=factors)
    with tempfile.TemporaryDirectory() as folder:
        lengths = rng.lognormal(0.0, 1.0, dataset.n_items).astype(np.float32)
        items = rng.standard_normal((dataset.n_items, factors), dtype=np.float32)
        items *= lengths[:, None] / np.sqrt(factors, dtype=np.float32)
        np.save(Path(folder) / ITEM_FACTORS_FILE, items)
        np.save(
            Path(folder) / USER_FACTORS_FILE,
            rng.standard_normal((dataset.n_users, factors), dtype=np.float32),
        )
        del items
        als = ALSRecommender.from_files(Path(folder), config)
        trained = Trained(als, asdict(config), 0.0, 0.0, score_range={"mean": 0.5, "std": 0.3})
        publish_release(models_dir, dataset, [trained])


@contextmanager
def _valkey() -> Iterator[str]:
    with throw_away_services(["valkey"]) as services:
        yield services.redis_url


def _sync(redis_url: str, dataset: Dataset, rng: np.random.Generator) -> None:
    """What Django would have written: who exists, who is inactive or owned, and the askers' acts."""
    client = connect(redis_url, timeout_s=60.0)
    ids = dataset.item_mapping.ids
    inactive = np.flatnonzero(rng.random(len(ids)) < SHARE_INACTIVE)
    owners = {item.id: item.owner_id for item in dataset.catalogue.items if item.owner_id is not None}
    LiveCatalogueStore(client).replace(
        [], existing=ids, inactive=[ids[index] for index in inactive], owners=owners
    )
    profiles = LiveProfileStore(client)
    profiles.store([_profile(f"asker{number}", ids, rng) for number in range(ASKERS)])
    profiles.mark_ready()
    client.close()


def _profile(user_id: str, ids: Sequence[str], rng: np.random.Generator) -> LiveProfile:
    acted_on = np.unique((len(ids) * rng.random(ACTS_OF_AN_ASKER) ** 3).astype(np.int64))
    now_s = time.time()
    cells = tuple(LiveCell(ids[index], 2.0, now_s - place, 4) for place, index in enumerate(acted_on))
    return LiveProfile(user_id, 1, len(cells), cells, (), False, 1)


@contextmanager
def _gunicorn(models_dir: Path, redis_url: str, workers: int) -> Iterator[tuple[str, Log]]:
    environment = {
        **os.environ,
        "REDIS_URL": redis_url,
        "RECSYS_MODELS_DIR": str(models_dir),
        "INFERENCE_BIND": "127.0.0.1:0",
        "INFERENCE_WORKERS": str(workers),
    }
    log = Log(models_dir.parent / "gunicorn.log")
    with log.path.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--timeout", str(int(START_S))],
            cwd=SERVICE_ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(lambda: log().count("release loaded") == workers, server, log)
        found = re.search(r"Listening at: (http://\S+)", log())
        if found is None:
            raise SystemExit(f"gunicorn told no address:\n{log()}")
        yield found.group(1), log
    finally:
        server.terminate()
        server.wait()


class Log:
    """What gunicorn has said so far."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> str:
        return self.path.read_text()


def _wait(is_so, server: subprocess.Popen[bytes], log: Log) -> None:
    deadline_s = time.monotonic() + START_S
    while not is_so():
        if server.poll() is not None or time.monotonic() > deadline_s:
            raise SystemExit(f"gunicorn did not start:\n{log()}")
        time.sleep(0.5)


def _ask(url: str, n_requests: int) -> None:
    """Four at a time, each on a connection of its own, so that all workers are asked."""

    address = urlsplit(url)

    def ask(number: int) -> None:
        connection = HTTPConnection(address.hostname or "", address.port, timeout=START_S)
        with closing(connection):
            connection.request("GET", f"/recommend?user_id=asker{number % ASKERS}")
            answer = json.load(connection.getresponse())
        if (answer.get("method_used"), len(answer.get("startups", ()))) != ("als", 10):
            raise SystemExit(f"an answer is not what was asked for: {answer}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(n_requests)))


def _pss_mb(log: str) -> dict[str, float]:
    """The proportional set size of the master and of each worker."""
    master = re.findall(r"\[(\d+)\] \[INFO\] Listening at", log)
    workers = re.findall(r"Booting worker with pid: (\d+)", log)
    names = {"master": master[0], **{f"worker {n}": pid for n, pid in enumerate(workers, 1)}}
    return {name: _pss_of(pid) for name, pid in names.items()}


def _pss_of(pid: str) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found.group(1)) * 1024 / MB if found else 0.0


if __name__ == "__main__":
    main()
