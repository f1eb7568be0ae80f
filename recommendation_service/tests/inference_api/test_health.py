from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from apiflask import APIFlask
from flask.testing import FlaskClient

from recsys.artifacts.release import Release


def test_live_says_alive(client: FlaskClient) -> None:
    assert client.get("/health/live").json == {"status": "alive"}


def test_ready_tells_what_is_served(client: FlaskClient, models_dir: Path) -> None:
    response = client.get("/health/ready")
    assert response.status_code == 200
    assert response.json == {
        "status": "ready",
        "model_version": (models_dir / "current").readlink().name,
        "recommenders": ["als", "content", "ensemble", "popularity", "two_tower"],
        "release_failure": None,
        "live_store": "synced",
        "cold_below": 5,
        "hot_from": 20,
    }


def test_ready_tells_of_a_release_that_cannot_be_loaded_while_the_old_one_answers(
    make_app: Callable[..., APIFlask],
    synced: object,
    models_dir: Path,
    publish_again: Callable[[], Release],
) -> None:
    app = make_app()
    client = app.test_client()
    before = client.get("/health/ready").json["model_version"]
    publish_again()
    (models_dir / "current" / "als_v1_item_factors.npy").unlink()
    app.extensions["release_watcher"].check()
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json["model_version"]) == (200, before)
    assert ready.json["release_failure"].startswith("Model loading failed: ")
    assert client.get("/recommend?user_id=anna").json["model_version"] == before


def test_ready_tells_how_the_live_store_is(make_app: Callable[..., APIFlask], stoppable_valkey) -> None:
    client = make_app(redis_url=stoppable_valkey.url).test_client()
    assert client.get("/health/ready").json["live_store"] == "not synced"
    stoppable_valkey.stop()
    response = client.get("/health/ready")
    assert (response.status_code, response.json["live_store"]) == (200, "unavailable")
    assert client.get("/recommend?user_id=u04").status_code == 200
