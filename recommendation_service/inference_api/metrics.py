"""What Prometheus reads: answers, latencies, and which release is served.

With several workers PROMETHEUS_MULTIPROC_DIR must be set before this module is imported;
gunicorn.conf.py does.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from flask import Flask, Response, g, request
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from recsys.artifacts.release import Release

logger = logging.getLogger(__name__)

BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

REQUESTS = Counter("recs_requests_total", "Requests answered.", ["endpoint", "status"])
SECONDS = Histogram("recs_request_seconds", "Time to answer.", ["endpoint"], buckets=BUCKETS_S)
ANSWERS = Counter("recs_answers_total", "Answers by who made them.", ["endpoint", "method_used", "degraded"])
RELEASE_INFO = Gauge(
    "recs_release_info", "Workers that serve a release.", ["version"], multiprocess_mode="livesum"
)
RELEASE_CREATED = Gauge(
    "recs_release_created_timestamp_seconds",
    "When the served release was made; time() less this is its age.",
    multiprocess_mode="livemin",
)
RELEASE_FAILING = Gauge(
    "recs_release_load_failing", "1 while a published release cannot be loaded.", multiprocess_mode="livemax"
)
RELEASE_LOADS = Counter("recs_release_loads_total", "Releases loaded, or not.", ["outcome"])


def install_metrics(app: Flask) -> None:
    """Time and count every request."""

    @app.before_request
    def start_clock() -> None:
        g.started_s = time.perf_counter()

    @app.after_request
    def observe(response: Response) -> Response:
        endpoint = request.endpoint or "unknown"
        REQUESTS.labels(endpoint, response.status_code).inc()
        SECONDS.labels(endpoint).observe(time.perf_counter() - g.started_s)
        return response


class Countable(Protocol):
    """An answer that says who made it and what stood in the way."""

    @property
    def method_used(self) -> str: ...

    @property
    def degraded(self) -> str | None: ...

    def to_json(self) -> dict[str, Any]: ...


def count_answer(endpoint: str, answer: Countable) -> None:
    """Count an answer by who made it and whether something stood in the way."""
    ANSWERS.labels(endpoint, answer.method_used, "yes" if answer.degraded else "no").inc()


class ReleaseMetrics:
    """Told by the release watcher what is served and what failed."""

    def __init__(self) -> None:
        self._version: str | None = None

    def on_loaded(self, release: Release | None) -> None:
        """Another release is served, or none any more."""
        if self._version is not None:
            RELEASE_INFO.labels(self._version).set(0)
        self._version = None
        if release is None:
            return
        created_at_s = None if release.manifest is None else _timestamp(release.manifest.created_at)
        self._version = release.version
        RELEASE_INFO.labels(release.version).set(1)
        RELEASE_FAILING.set(0)
        RELEASE_LOADS.labels("loaded").inc()
        if created_at_s is not None:
            RELEASE_CREATED.set(created_at_s)

    def on_failure(self, failure: str) -> None:
        """A release could not be loaded; the one before is still served."""
        RELEASE_FAILING.set(1)
        RELEASE_LOADS.labels("failed").inc()


def _timestamp(created_at: str) -> float | None:
    """UTC seconds; None for what is no time: it is not worth a release that answers well."""
    try:
        return datetime.fromisoformat(created_at).timestamp()
    except ValueError:
        logger.warning("release manifest holds no time created_at=%r mend=publish again", created_at)
        return None


class _WorkersCollector(MultiProcessCollector):
    """Leaves out a file that a worker has created and not yet sized; read, it would fail all others."""

    def collect(self) -> Iterable[Metric]:
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        sized = [str(path) for path in folder.glob("*.db") if _size(path) > 0]
        return self.merge(sized, accumulate=True)  # type: ignore[no-any-return, no-untyped-call]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # of a worker that is gone
        return 0


def render_metrics() -> Response:
    """All metrics, of all workers where there are several."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return Response(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
    registry = CollectorRegistry()
    _WorkersCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
