"""A Redis that is away never fails a write; made for real: a server of our own that is stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from config.redis_client import redis_client
from embedded_services.launcher import throw_away_services
from interactions.models import UserInteraction
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveProfileStore
from testing import Api, Make

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stop_redis(settings: Settings) -> Iterator[Callable[[], None]]:
    """The backend writes to a Redis of the test's own; call to stop it."""
    with ExitStack() as running:
        settings.REDIS_URL = running.enter_context(throw_away_services(["valkey"])).redis_url
        redis_client.cache_clear()
        yield running.close
    redis_client.cache_clear()


def test_a_post_succeeds_and_the_log_says_what_to_do(
    api: Api,
    make_user: Make,
    make_startup: Make,
    stop_redis: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    user, startup = make_user(), make_startup()
    act = {"user_id": str(user.pk), "startup_id": str(startup.pk), "type": "like"}
    assert api.post("/interactions", act).status_code == 201
    assert LiveProfileStore(redis_client()).fetch(str(user.pk)).interaction_count == 1

    stop_redis()
    answer = api.post("/interactions", {**act, "type": "apply"})
    assert answer.status_code == 201
    assert api.delete(f"/interactions/{answer.json()['event_id']}").status_code == 200
    assert api.put(f"/users/{user.pk}/interests", {"interests": ["AI"]}).status_code == 200
    assert api.put(f"/startups/{startup.pk}", {"is_active": False}).status_code == 200
    user.delete()

    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert sum("mend=sync_live_profiles" in message for message in warnings) == 4
    assert sum("not deleted" in message for message in warnings) == 1
    assert not UserInteraction.objects.exists()


def test_not_ready_without_redis(client: object, stop_redis: Callable[[], None]) -> None:
    assert client.get("/health/ready").json() == {
        "status": "ok",
        "checks": {"database": "ok", "redis": "ok"},
    }

    stop_redis()

    response = client.get("/health/ready")
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "checks": {"database": "ok", "redis": "unavailable"}}
    assert client.get("/health/live").status_code == 200


def test_sync_says_that_redis_is_away_and_mends_when_it_is_back(
    make_user: Make, make_startup: Make, stop_redis: Callable[[], None], settings: Settings
) -> None:
    user, startup = make_user(), make_startup(is_active=False)
    stop_redis()
    UserInteraction.objects.create(user=user, startup=startup, type="like")

    with pytest.raises(CommandError, match="Redis"):
        call_command("sync_live_profiles", stdout=StringIO())

    with throw_away_services(["valkey"]) as services:
        settings.REDIS_URL = services.redis_url
        redis_client.cache_clear()
        call_command("sync_live_profiles", stdout=StringIO())
        profile, is_ready = LiveProfileStore(redis_client()).fetch_with_mark(str(user.pk))
        assert (profile.interaction_count, is_ready) == (1, True)
        assert LiveCatalogueStore(redis_client()).fetch().inactive == {str(startup.pk)}
        redis_client.cache_clear()
