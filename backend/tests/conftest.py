"""What the backend's tests stand on: real rows, a real Redis emptied for each test, keys for the API."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import Settings
from redis import Redis
from running_site import ROOT, serve, wait_until_up

from accounts.models import User
from accounts.services import create_api_key
from config.redis_client import redis_client
from interactions.demo import seed_demo
from recommendations.inference import inference_client
from recsys.datasets.synthetic.world import build_dataset, make_world
from recsys.training.pipeline import TrainingPlan, train_and_publish
from startups.models import Startup
from testing import Api, Make

WORLD = {"n_users": 80, "n_startups": 60, "seed": 3, "preset": "dense"}
WORLD_NOW = datetime(2026, 11, 1, tzinfo=UTC)
SMALL_MODELS = {
    "als": {"factors": 8, "iterations": 3},
    "content": {"dimensions": 16},
    "two_tower": {"dimensions": 8, "epochs": 2},
}


@pytest.fixture
def redis() -> Iterator[Redis]:
    """The run's own Redis, empty."""
    client = redis_client()
    client.flushdb()
    yield client
    client.flushdb()


@pytest.fixture
def make_user(db: None) -> Make:
    """Make a user; any field can be given."""

    def make(**fields: Any) -> User:
        return User.objects.create(**{"username": uuid4().hex, **fields})

    return make


@pytest.fixture
def make_startup(db: None) -> Make:
    """Make a startup; any field can be given."""

    def make(**fields: Any) -> Startup:
        return Startup.objects.create(**{"name": "Acme", **fields})

    return make


@pytest.fixture
def make_api(db: None) -> Make:
    """A service with a new key that has these scopes."""

    def make(*scopes: str) -> Api:
        _, text = create_api_key(name="test", scopes=scopes)
        return Api(Client(raise_request_exception=False), {"Authorization": f"Bearer {text}"})

    return make


@pytest.fixture
def api(make_api: Make) -> Api:
    """A service that may read and write."""
    return make_api("read", "write")


@pytest.fixture
def anonymous() -> Api:
    """A caller without a key or a session."""
    return Api(Client(raise_request_exception=False), {})


@pytest.fixture
def person(make_user: Make) -> tuple[User, Api]:
    """A user with a session, and the calls they make with their CSRF token."""
    user = make_user()
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(user)
    token = "t" * 32
    client.cookies["csrftoken"] = token
    return user, Api(client, {"X-CSRFToken": token})


@pytest.fixture(scope="session")
def inference_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The inference service under gunicorn, serving models of the demo world; reads the run's Redis."""
    folder = tmp_path_factory.mktemp("inference")
    world = make_world(**WORLD, now_s=WORLD_NOW.timestamp())
    names = ("popularity", "content", "als", "two_tower", "ensemble")
    plan = TrainingPlan.default(recommenders=names, overrides=SMALL_MODELS)
    train_and_publish(build_dataset(world), folder / "models", plan, logs_dir=folder / "logs")
    environment = {**os.environ, "RECSYS_MODELS_DIR": str(folder / "models")}
    with ExitStack() as stack:
        log = folder / "flask.log"
        url = serve(stack, environment, ROOT / "recommendation_service", "inference_api.wsgi:app", log)
        wait_until_up(f"{url}/health/ready", log)
        yield url


@pytest.fixture
def inference(inference_url: str, settings: Settings) -> Iterator[str]:
    """The inference service, as this test's Django asks it; its address."""
    settings.INFERENCE_URL = inference_url
    inference_client.cache_clear()
    yield inference_url
    inference_client().close()
    inference_client.cache_clear()


@pytest.fixture
def world(inference: str, redis: Redis, db: None) -> None:
    """The demo world as the served models learned it, in the database and in Redis."""
    seed_demo(**WORLD, now=WORLD_NOW)
