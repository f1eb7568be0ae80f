"""The live catalogue follows every way of writing a startup."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from uuid import uuid4

import pytest
from django.db import connection
from redis import Redis

from recsys.serving.live_catalogue import LiveCatalogue, LiveCatalogueStore, LiveStartup
from startups import live_catalogue
from startups.models import Startup
from testing import Api, Make

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stored(redis: Redis) -> Callable[[], LiveCatalogue]:
    """What Redis holds."""
    return LiveCatalogueStore(redis).fetch


def test_a_new_startup_is_there_whole(make_startup: Make, make_user: Make, stored: Make) -> None:
    owner = make_user()

    startup = make_startup(name="Acme", tags=["b2b"], team_size=7, owner=owner)

    startup.refresh_from_db()
    assert stored().startups[str(startup.pk)] == LiveStartup(
        id=str(startup.pk),
        name="Acme",
        tags=("b2b",),
        team_size=7,
        owner_id=str(owner.pk),
        created_at=startup.created_at.timestamp(),
        is_active=True,
    )
    assert stored().owners == {str(startup.pk): str(owner.pk)}


def test_the_api_updates_it_and_moves_its_version(api: Api, stored: Make) -> None:
    startup_id = uuid4()
    api.put(f"/startups/{startup_id}", {"name": "Acme"})
    before = stored()
    assert before.startups[str(startup_id)].name == "Acme"

    api.put("/startups", [{"id": str(startup_id), "is_active": False}])

    assert stored().inactive == {str(startup_id)}
    assert stored().version > before.version


def test_a_deleted_startup_is_never_offered_again(make_startup: Make, stored: Make) -> None:
    startup = make_startup()
    startup_id = str(startup.pk)

    startup.delete()

    assert startup_id not in stored().startups
    assert startup_id in stored().inactive


def test_of_two_writers_the_one_that_stores_last_does_not_bring_the_older_back(
    make_startup: Make, stored: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    startup = make_startup(name="First")
    read, done = threading.Event(), threading.Event()

    class PausingStore(LiveCatalogueStore):
        """Waits between reading and writing, in the slow thread only."""

        def put(self, startups: Sequence[LiveStartup]) -> None:
            if threading.current_thread() is slow:
                read.set()
                done.wait(timeout=2)  # the other writer must not be done before: it waits for the lock
            super().put(startups)

    def rename(name: str) -> None:
        try:
            changed = Startup.objects.get(pk=startup.pk)
            changed.name = name
            changed.save()
        finally:
            connection.close()

    monkeypatch.setattr(live_catalogue, "LiveCatalogueStore", PausingStore)
    slow = threading.Thread(target=rename, args=("Slow",))
    fast = threading.Thread(target=lambda: (rename("Fast"), done.set()))
    slow.start()
    assert read.wait(timeout=30)
    fast.start()
    for thread in (slow, fast):
        thread.join(timeout=30)

    assert stored().startups[str(startup.pk)].name == "Fast"


def test_a_sync_after_redis_was_wiped_knows_what_is_there_and_what_was_deleted(
    make_startup: Make, redis: Redis, stored: Make
) -> None:
    kept, deleted = make_startup(), make_startup()
    deleted_id = str(deleted.pk)
    deleted.delete()
    redis.flushdb()

    live_catalogue.sync_live_catalogue()

    assert stored().existing == {str(kept.pk)}
    assert stored().is_gone(deleted_id)
    assert not stored().is_gone(str(kept.pk))
