"""The live catalogue on a real Valkey."""

from __future__ import annotations

from collections.abc import Callable, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from recsys.artifacts.release import open_current
from recsys.errors import UnavailableError
from recsys.serving.live_catalogue import (
    SCAN_ATTEMPTS,
    SCAN_BATCH,
    LiveCatalogue,
    LiveCatalogueStore,
    LiveStartup,
)
from recsys.serving.served import ServedCatalogue

ACME = LiveStartup(
    id="acme",
    name="Acme",
    short_description="Rockets",
    tags=("space", "hardware"),
    industry="Aerospace",
    country="France",
    team_size=12,
    owner_id="anna",
    created_at=1_700_000_000.5,
)
BOLT = LiveStartup(id="bolt", name="Bolt", is_active=False)


def test_nothing_written_is_version_0_and_empty(redis_client: redis.Redis) -> None:
    store = LiveCatalogueStore(redis_client)
    assert store.version() == 0
    assert store.fetch() == LiveCatalogue()


def test_startups_come_back_whole_with_owner_and_activity(redis_client: redis.Redis) -> None:
    store = LiveCatalogueStore(redis_client)
    store.put([ACME, BOLT])
    live = store.fetch()
    assert live.startups == {"acme": ACME, "bolt": BOLT}
    assert live.owners == {"acme": "anna"}
    assert live.inactive == {"bolt"}
    assert live.version == store.version() == 1


def test_a_later_put_takes_back_owner_and_inactivity(redis_client: redis.Redis) -> None:
    store = LiveCatalogueStore(redis_client)
    store.put([ACME, BOLT])
    store.put([replace(ACME, owner_id=None, is_active=False), replace(BOLT, is_active=True)])
    live = store.fetch()
    assert live.owners == {}
    assert live.inactive == {"acme"}


def test_a_removed_startup_is_gone_until_it_is_put_again(redis_client: redis.Redis) -> None:
    store = LiveCatalogueStore(redis_client)
    store.replace([ACME, BOLT], existing=["acme", "bolt"])
    store.remove(["acme", "bolt"])
    live = store.fetch()
    assert live.startups == {}
    assert (live.is_gone("acme"), live.is_gone("bolt")) == (True, True)
    store.put([ACME])
    assert not store.fetch().is_gone("acme")


def test_after_a_resync_only_what_exists_is_offered(redis_client: redis.Redis) -> None:
    store = LiveCatalogueStore(redis_client)
    store.put([ACME])
    store.remove(["restored"])
    redis_client.flushall()  # and with it who was deleted
    store.replace([], existing=["acme", "restored"])
    live = store.fetch()
    assert [live.is_gone(startup_id) for startup_id in ("acme", "restored", "deleted")] == [
        False, False, True,
    ]  # fmt: skip
    store.remove(["restored"])
    store.replace([], existing=["acme", "restored"])
    assert not store.fetch(live.mark).is_gone("restored")


def test_the_ids_of_all_startups_come_in_batches_and_are_all_there(redis_client: redis.Redis) -> None:
    ids = {f"s{n}" for n in range(2 * SCAN_BATCH + 7)}
    LiveCatalogueStore(redis_client).replace([], existing=ids)
    assert LiveCatalogueStore(redis_client).fetch().existing == ids


def test_ids_replaced_while_they_are_read_are_read_again(redis_client: redis.Redis) -> None:
    class Interrupted(LiveCatalogueStore):
        interruptions = 0

        def _scan_existing(self) -> Set[str]:
            found = super()._scan_existing()
            self.interruptions += 1
            if self.interruptions <= times:
                self.replace([], existing=[f"new{self.interruptions}"])
            return found

    LiveCatalogueStore(redis_client).replace([], existing=["old"])
    for times in (1, SCAN_ATTEMPTS):  # and when there is no end of it, all at once
        store = Interrupted(redis_client)
        assert store.fetch().existing == {f"new{times}"}


def test_startups_put_after_a_resync_are_there(redis_client: redis.Redis) -> None:
    store = LiveCatalogueStore(redis_client)
    store.replace([], existing=["acme"])
    before = store.fetch()
    store.put([replace(BOLT, is_active=True)])
    after = store.fetch(before.mark)
    assert after.existing is None  # not fetched again
    assert not after.is_gone("bolt")
    store.replace([], existing=["bolt"])
    assert store.fetch(after.mark).is_gone("acme")


def test_without_a_resync_nothing_counts_as_deleted(redis_client: redis.Redis) -> None:
    store = LiveCatalogueStore(redis_client)
    store.put([ACME])
    assert not store.fetch().is_gone("whoever")
    redis_client.set("recs:catalogue:ready", "1")  # as written before the ids were
    live = store.fetch()
    assert live.is_complete
    assert not live.is_gone("whoever")


def test_replace_leaves_nothing_of_what_was_there(redis_client: redis.Redis) -> None:
    store = LiveCatalogueStore(redis_client)
    store.put([ACME, BOLT])
    new = replace(ACME, id="core", name="Core", owner_id=None)
    owners = {f"s{n}": "ben" for n in range(2500)}
    store.replace([new], existing=["core"], inactive=[f"s{n}" for n in range(1500)], owners=owners)
    live = store.fetch()
    assert live.startups == {"core": new}
    assert live.owners == owners
    assert live.inactive == {f"s{n}" for n in range(1500)}


def test_every_change_moves_the_version(redis_client: redis.Redis) -> None:
    store = LiveCatalogueStore(redis_client)
    versions = [store.version()]
    for change in (
        lambda: store.put([ACME]),
        lambda: store.put([ACME]),
        lambda: store.remove(["acme"]),
        lambda: store.replace([ACME], existing=["acme"]),
        lambda: store.put([BOLT]),
        lambda: store.replace([ACME], existing=["acme"]),
    ):
        change()
        versions.append(store.version())
    assert versions == sorted(set(versions))


def test_no_version_comes_again_after_a_wipe_and_a_resync(redis_client: redis.Redis) -> None:
    store = LiveCatalogueStore(redis_client)
    store.replace([ACME], existing=["acme"])
    before = store.version()
    redis_client.flushall()
    store.replace([BOLT], existing=["bolt"])
    assert store.version() > before


def test_putting_or_removing_nothing_changes_nothing(redis_client: redis.Redis) -> None:
    store = LiveCatalogueStore(redis_client)
    store.put([])
    store.remove([])
    assert store.version() == 0


def test_a_reader_never_sees_half_a_change(
    redis_url: str, redis_client: redis.Redis, connect_to: Callable[..., redis.Redis]
) -> None:
    """Owner, activity and texts change together in every put and every replace."""
    store = LiveCatalogueStore(redis_client)
    on = replace(ACME, owner_id="anna", is_active=True)
    off = replace(ACME, owner_id=None, is_active=False)
    store.put([on])

    def flip() -> None:
        writer = LiveCatalogueStore(connect_to(redis_url))
        for _ in range(200):
            writer.put([off])
            writer.replace([on], existing=["acme"], owners={"acme": "anna"})

    with ThreadPoolExecutor(2) as threads:
        writers = [threads.submit(flip) for _ in range(2)]
        while not all(writer.done() for writer in writers):
            live = store.fetch()
            expected = live.startups["acme"].is_active
            assert ("acme" in live.owners) == expected
            assert ("acme" not in live.inactive) == expected
        for writer in writers:
            writer.result()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '"acme"',
        "[" * 100_000,
        '{"id":"acme"}',
        '{"id":"bolt","name":"A"}',
        '{"id":"acme","name":"A","created_at":"today"}',
        '{"id":"acme","name":"A","created_at":NaN}',
        '{"id":"acme","name":"A","created_at":1e999}',
        '{"id":"acme","name":"A","industry":5}',
        '{"id":"acme","name":"A","tags":[["fintech"]]}',
        '{"id":"acme","name":"A","owner_id":["anna"]}',
        '{"id":"acme","name":"A","is_active":"false"}',
    ],
)
def test_an_entry_that_is_not_a_startup_is_inactive_and_hides_no_other(
    redis_client: redis.Redis, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = LiveCatalogueStore(redis_client)
    store.put([BOLT])
    redis_client.hset("recs:catalogue:startups", "acme", text)
    live = store.fetch()
    assert live.startups == {"bolt": BOLT}
    assert live.is_gone("acme")
    assert "startup=acme mend=sync_live_profiles" in caplog.text


def test_a_field_only_a_newer_writer_knows_is_left_out(redis_client: redis.Redis) -> None:
    redis_client.hset("recs:catalogue:startups", "acme", '{"id":"acme","name":"Acme","colour":"red"}')
    live = LiveCatalogueStore(redis_client).fetch()
    assert live.startups == {"acme": LiveStartup(id="acme", name="Acme")}


class FailingStore(LiveCatalogueStore):
    """Tells that something changed, and never what."""

    asked = 0

    def version(self) -> int:
        return 5

    def fetch(self, known_mark: str | None = None) -> LiveCatalogue:
        self.asked += 1
        raise UnavailableError("timed out")


def test_what_cannot_be_fetched_is_not_asked_for_with_every_request(
    redis_client: redis.Redis, published_models: Path
) -> None:
    release = open_current(published_models)
    store = FailingStore(redis_client)
    catalogue = ServedCatalogue(store)
    for _ in range(5):
        with pytest.raises(UnavailableError, match="timed out"):
            catalogue.refresh(release)
    assert store.asked == 1


def test_a_stopped_server_is_told_as_unavailable(
    stoppable_valkey, connect_to: Callable[..., redis.Redis]
) -> None:
    store = LiveCatalogueStore(connect_to(stoppable_valkey.url))
    store.put([ACME])
    stoppable_valkey.stop()
    for call in (
        store.version,
        store.fetch,
        lambda: store.put([BOLT]),
        lambda: store.remove(["acme"]),
        lambda: store.replace([BOLT], existing=["bolt"]),
    ):
        with pytest.raises(UnavailableError, match="REDIS_URL"):
            call()
