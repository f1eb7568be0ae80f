"""A Redis that is away never fails a write; made for real: a server of our own that is stopped."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from config.redis_client import redis_client
from embedded_services import ensure_services, stop_services
from embedded_services.launcher import throw_away_services
from interactions import live_state
from interactions.bulk import refresh_live_state
from interactions.live_state import heal_live_state
from interactions.lost_writes import lost_in_this_process, remember_lost
from interactions.models import LostLiveWrite, UserInteraction
from recsys.errors import UnavailableError
from recsys.progress import ignore_progress
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
    lost_in_this_process.clear()


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
    user_id = user.pk
    answer = api.post("/interactions", {**act, "type": "apply"})
    assert answer.status_code == 201
    assert api.delete(f"/interactions/{answer.json()['event_id']}").status_code == 200
    assert api.put(f"/users/{user.pk}/interests", {"interests": ["AI"]}).status_code == 200
    assert api.put(f"/startups/{startup.pk}", {"is_active": False}).status_code == 200
    user.delete()

    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert sum("stale until Redis is back" in message for message in warnings) == 5
    assert not UserInteraction.objects.exists()
    lost = LostLiveWrite.objects.order_by("pk").values_list("kind", "row_id")
    assert list(lost) == [
        *[("profile", user_id)] * 3,
        ("startup", startup.pk),
        ("profile", user_id),
    ]


@dataclass
class Outage:
    """A Redis of the test's own that goes away with what it holds, and comes back with it."""

    home: Path

    def start(self) -> str:
        redis_client.cache_clear()
        return ensure_services(self.home, lambda _: None, names=("valkey",)).redis_url

    def stop(self) -> None:
        stop_services(self.home, ("valkey",), lambda _: None)


@pytest.fixture
def outage(settings: Settings) -> Iterator[Outage]:
    folder = Path(tempfile.mkdtemp(prefix="recs-"))
    folder.chmod(0o755)  # as root the server runs as nobody
    outage = Outage(folder)
    settings.REDIS_URL = outage.start()
    yield outage
    outage.stop()
    shutil.rmtree(folder)
    redis_client.cache_clear()
    lost_in_this_process.clear()


def test_what_was_written_while_redis_was_away_is_made_good_after_a_restart_of_everything(
    api: Api, make_user: Make, make_startup: Make, outage: Outage
) -> None:
    user, gone, startup = make_user(), make_user(), make_startup()
    call_command("sync_live_profiles", stdout=StringIO())
    _, mark = LiveProfileStore(redis_client()).fetch_with_mark(str(user.pk))
    outage.stop()
    act = {"user_id": str(user.pk), "startup_id": str(startup.pk), "type": "like"}
    for _ in range(2):
        assert api.post("/interactions", act).status_code == 201
    assert api.put(f"/startups/{startup.pk}", {"is_active": False}).status_code == 200
    gone_id = str(gone.pk)
    gone.delete()
    with pytest.raises(UnavailableError):
        heal_live_state()
    lost_in_this_process.clear()  # as in another process

    outage.start()
    store = LiveProfileStore(redis_client())
    assert store.fetch(str(user.pk)).interaction_count == 0
    assert store.fetch(gone_id) is not None

    assert heal_live_state() == 4
    profile, renewed = store.fetch_with_mark(str(user.pk))
    assert profile.interaction_count == 1
    assert renewed not in (None, mark)
    assert store.fetch(gone_id) is None
    assert LiveCatalogueStore(redis_client()).fetch().inactive == {str(startup.pk)}
    assert not LostLiveWrite.objects.exists()
    assert heal_live_state() == 0


def test_the_next_write_of_the_process_that_lost_some_makes_them_good(
    api: Api, make_user: Make, make_startup: Make, outage: Outage
) -> None:
    unlucky, next_one, startup = make_user(), make_user(), make_startup()
    act = {"startup_id": str(startup.pk), "type": "like"}
    outage.stop()
    api.post("/interactions", {**act, "user_id": str(unlucky.pk)})
    outage.start()

    api.post("/interactions", {**act, "user_id": str(next_one.pk)})

    store = LiveProfileStore(redis_client())
    assert store.fetch(str(unlucky.pk)).interaction_count == 1
    assert not LostLiveWrite.objects.exists()
    assert not lost_in_this_process.is_set()


def test_all_profiles_lost_at_once_are_made_good_by_a_sync(
    make_user: Make, make_startup: Make, outage: Outage
) -> None:
    user = make_user()
    UserInteraction.objects.bulk_create([UserInteraction(user=user, startup=make_startup(), type="like")])
    outage.stop()
    assert refresh_live_state([user.pk], [], ignore_progress) is False
    outage.start()

    assert heal_live_state() == len(LostLiveWrite.Kind)
    profile, mark = LiveProfileStore(redis_client()).fetch_with_mark(str(user.pk))
    assert profile.interaction_count == 1
    assert mark is not None
    assert not LostLiveWrite.objects.exists()


def test_a_write_lost_while_others_are_made_good_is_not_forgotten(
    make_user: Make, redis: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = make_user().pk
    LostLiveWrite.objects.create(kind="profile", row_id=user_id)

    def write_and_lose_another(user_ids: list) -> None:
        monkeypatch.undo()
        live_state.rewrite_live_profiles(user_ids)
        remember_lost(LostLiveWrite.Kind.PROFILE, [user_id], UnavailableError("away"))

    monkeypatch.setattr(live_state, "rewrite_live_profiles", write_and_lose_another)
    assert live_state._heal_batch() == 1
    assert LostLiveWrite.objects.count() == 1
    assert heal_live_state() == 1
    lost_in_this_process.clear()


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
        profile, mark = LiveProfileStore(redis_client()).fetch_with_mark(str(user.pk))
        assert profile.interaction_count == 1
        assert mark is not None
        assert not LostLiveWrite.objects.exists()
        assert LiveCatalogueStore(redis_client()).fetch().inactive == {str(startup.pk)}
        redis_client.cache_clear()
