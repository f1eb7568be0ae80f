"""The real application over a real release and a real Valkey."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from apiflask import APIFlask
from flask.testing import FlaskClient

from inference_api import Settings, create_app
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveCell, LiveProfile, LiveProfileStore

KEYS = ("first-service-key-0123456789", "second-service-key-0123456789")


@pytest.fixture
def synced(redis_client: redis.Redis) -> LiveProfileStore:
    """A synced live store in which anna liked six Fintech startups."""
    LiveCatalogueStore(redis_client).replace(
        [], existing=[f"s{n:02}" for n in range(44)], inactive=["s36"], owners={"s02": "u00"}
    )
    profiles = LiveProfileStore(redis_client)
    cells = tuple(LiveCell(f"s{n:02}", 2.0, 1.7e9, 4) for n in range(0, 12, 2))
    profiles.store([LiveProfile("anna", 1, 6, cells, (), False, 1)])
    profiles.mark_ready()
    return profiles


@pytest.fixture
def hot_user(synced: LiveProfileStore) -> str:
    """Somebody who liked fifteen Fintech startups and five of Robotics."""
    numbers = (*range(0, 30, 2), *range(1, 11, 2))
    cells = tuple(LiveCell(f"s{n:02}", 2.0, 1.7e9, 4) for n in numbers)
    synced.store([LiveProfile("hanna", 1, 20, cells, (), False, 1)])
    return "hanna"


@pytest.fixture
def settings(redis_url: str, models_dir: Path) -> Settings:
    return Settings(redis_url=redis_url, models_dir=models_dir)


@pytest.fixture
def make_app(settings: Settings) -> Iterator[Callable[..., APIFlask]]:
    """An application with some settings changed; its watcher is stopped afterwards."""
    apps: list[APIFlask] = []

    def make(**changed: object) -> APIFlask:
        apps.append(create_app(replace(settings, **changed)))  # type: ignore[arg-type]
        return apps[-1]

    yield make
    for app in apps:
        app.extensions["release_watcher"].stop()
        app.extensions["redis"].close()


@pytest.fixture
def client(make_app: Callable[..., APIFlask], synced: LiveProfileStore) -> FlaskClient:
    """Without a key, from this machine."""
    return make_app().test_client()


@pytest.fixture
def guarded(make_app: Callable[..., APIFlask], synced: LiveProfileStore) -> FlaskClient:
    """Of an application that asks for a key."""
    return make_app(api_keys=KEYS).test_client()
