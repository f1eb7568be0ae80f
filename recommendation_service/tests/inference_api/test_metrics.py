from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from recsys.artifacts.release import Release


def read(client: FlaskClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample: (name, labels) -> value."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(s.name, frozenset(s.labels.items())): s.value for f in families for s in f.samples}


def sample(metrics: dict, name: str, **labels: str) -> float:
    return metrics.get((name, frozenset(labels.items())), 0.0)


def test_answers_are_counted_by_method_and_whether_degraded(client: FlaskClient, redis_client) -> None:
    before = read(client)
    client.get("/recommend?user_id=anna")
    client.get("/recommend?user_id=nobody")
    redis_client.flushall()
    client.get("/recommend?user_id=nobody")
    after = read(client)

    def added(**labels: str) -> float:
        return sample(after, "recs_answers_total", **labels) - sample(before, "recs_answers_total", **labels)

    assert added(endpoint="recommend", method_used="als", degraded="no") == 1
    assert added(endpoint="recommend", method_used="content", degraded="no") == 1
    assert added(endpoint="recommend", method_used="content", degraded="yes") == 1


def test_requests_are_counted_and_timed_by_endpoint_and_status(client: FlaskClient) -> None:
    before = read(client)
    client.get("/recommend?user_id=anna")
    client.get("/recommend")
    client.get("/nowhere/at/all")
    after = read(client)

    def added(name: str, **labels: str) -> float:
        return sample(after, name, **labels) - sample(before, name, **labels)

    assert added("recs_requests_total", endpoint="lists.recommend", status="200") == 1
    assert added("recs_requests_total", endpoint="lists.recommend", status="422") == 1
    assert added("recs_requests_total", endpoint="unknown", status="404") == 1
    assert added("recs_request_seconds_count", endpoint="lists.recommend") == 2
    assert added("recs_request_seconds_bucket", endpoint="lists.recommend", le="+Inf") == 2


def test_the_served_release_and_its_failures_show(
    make_app: Callable[..., APIFlask], models_dir: Path, publish_again: Callable[[], Release], synced: object
) -> None:
    app = make_app()
    client, watcher = app.test_client(), app.extensions["release_watcher"]
    first = watcher.release
    before = read(client)
    assert sample(before, "recs_release_info", version=first.version) == 1
    assert sample(before, "recs_release_load_failing") == 0
    created = datetime.fromisoformat(first.manifest.created_at).timestamp()
    assert sample(before, "recs_release_created_timestamp_seconds") == pytest.approx(created)

    second = publish_again()
    (models_dir / "current" / "manifest.json").unlink()
    watcher.check()
    broken = read(client)
    assert sample(broken, "recs_release_load_failing") == 1
    assert sample(broken, "recs_release_info", version=first.version) == 1
    failed = sample(broken, "recs_release_loads_total", outcome="failed")
    assert failed - sample(before, "recs_release_loads_total", outcome="failed") == 1

    third = publish_again()
    watcher.check()
    mended = read(client)
    assert sample(mended, "recs_release_load_failing") == 0
    assert sample(mended, "recs_release_info", version=third.version) == 1
    assert sample(mended, "recs_release_info", version=first.version) == 0
    assert sample(mended, "recs_release_info", version=second.version) == 0
