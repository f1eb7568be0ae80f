"""What the backend's tests stand on: real rows, a real Redis emptied for each test, keys for the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from redis import Redis

from accounts.models import User
from accounts.services import create_api_key
from config.redis_client import redis_client
from startups.models import Startup
from testing import Api, Make


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
