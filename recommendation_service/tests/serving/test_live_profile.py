"""Live profiles on a real Valkey: what is written is read, and the newest version stays."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.errors import UnavailableError
from recsys.serving.live_profile import MAX_LIVE_CELLS, LiveCell, LiveProfile, LiveProfileStore
from recsys.serving.redis_client import connect

ANNA = LiveProfile(
    user_id="anna",
    version=7,
    interaction_count=2,
    cells=(LiveCell("acme", 2.5, 1_700_000_000.25, 4), LiveCell("bolt", -1.0, 1_600_000_000.0, 8)),
    interests=("fintech", 'the "deep" sea', "émigré"),
    opted_out=False,
    last_event_id=31,
)


def test_a_profile_comes_back_as_it_was_stored(redis_client: redis.Redis) -> None:
    store = LiveProfileStore(redis_client)
    assert store.store([ANNA]) == 1
    assert store.fetch("anna") == ANNA


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    user_id=st.text(min_size=1, max_size=64).filter(str.isprintable),
    interests=st.lists(st.text(max_size=30), max_size=3),
    version=st.integers(0, 2**53),
)
def test_any_text_survives_the_round_trip_and_an_older_version_is_still_refused(
    redis_client: redis.Redis, user_id: str, interests: list[str], version: int
) -> None:
    store = LiveProfileStore(redis_client)
    profile = replace(ANNA, user_id=user_id, interests=tuple(interests), version=version)
    store.store([profile], force=True)
    assert store.store([replace(profile, version=version - 1, last_event_id=0)]) == 0
    assert store.fetch(user_id) == profile


def test_an_older_version_is_dropped_an_equal_or_newer_one_overwrites(redis_client: redis.Redis) -> None:
    store = LiveProfileStore(redis_client)
    store.store([ANNA])
    older, equal, newer = (replace(ANNA, version=v, last_event_id=100 + v) for v in (6, 7, 8))
    assert [store.store([profile]) for profile in (older, equal, newer, equal)] == [0, 1, 1, 0]
    assert store.fetch("anna") == newer


def test_versions_compare_as_numbers_not_as_text(redis_client: redis.Redis) -> None:
    store = LiveProfileStore(redis_client)
    store.store([replace(ANNA, version=10)])
    assert store.store([replace(ANNA, version=9)]) == 0


def test_force_overwrites_a_newer_version(redis_client: redis.Redis) -> None:
    store = LiveProfileStore(redis_client)
    store.store([ANNA])
    assert store.store([replace(ANNA, version=1)], force=True) == 1
    assert store.fetch("anna") == replace(ANNA, version=1)


def test_one_call_counts_only_what_it_wrote(redis_client: redis.Redis) -> None:
    store = LiveProfileStore(redis_client)
    store.store([ANNA])
    batch = [replace(ANNA, version=6), *(replace(ANNA, user_id=f"user{n}") for n in range(20))]
    assert store.store(batch) == 20
    assert store.store([]) == 0


def test_of_all_but_the_latest_cells_only_the_startups_are_kept(redis_client: redis.Redis) -> None:
    cells = tuple(LiveCell(f"s{n}", 1.0, 2e9 - n, 1) for n in range(MAX_LIVE_CELLS + 20))
    store = LiveProfileStore(redis_client)
    store.store([replace(ANNA, cells=cells, interaction_count=len(cells))])
    fetched = store.fetch("anna")
    assert fetched is not None
    assert fetched.cells == cells[:MAX_LIVE_CELLS]
    assert fetched.older == tuple(cell.startup_id for cell in cells[MAX_LIVE_CELLS:])
    assert fetched.interaction_count == MAX_LIVE_CELLS + 20


def write_versions(redis_url: str, versions: list[int]) -> None:
    client = connect(redis_url, timeout_s=10)
    store = LiveProfileStore(client)
    for version in versions:
        store.store([replace(ANNA, version=version, last_event_id=version)])
    client.close()


def test_concurrent_writers_always_leave_the_newest(redis_url: str, redis_client: redis.Redis) -> None:
    """Three processes of four threads each write 600 versions in different orders."""
    versions = list(range(1, 601))
    orders = [versions[::-1], versions[300:] + versions[:300], versions]
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=write_versions, args=(redis_url, order)) for order in orders]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda order: write_versions(redis_url, order), [*orders, versions[::7]]))
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    stored = LiveProfileStore(redis_client).fetch("anna")
    assert stored == replace(ANNA, version=600, last_event_id=600)


def test_no_reader_ever_sees_a_version_go_back(redis_url: str, redis_client: redis.Redis) -> None:
    store = LiveProfileStore(redis_client)
    store.store([replace(ANNA, version=0)])
    shuffled = [(n * 211) % 499 for n in range(499)]
    with ThreadPoolExecutor(3) as threads:
        writers = [threads.submit(write_versions, redis_url, order) for order in (shuffled, shuffled[::-1])]
        seen = []
        while not all(writer.done() for writer in writers):
            profile = store.fetch("anna")
            assert profile is not None
            seen.append(profile.version)
        for writer in writers:
            writer.result()
    assert seen == sorted(seen)


def test_the_mark_tells_a_wiped_redis_from_a_new_user(redis_client: redis.Redis) -> None:
    store = LiveProfileStore(redis_client)
    assert store.fetch_with_mark("nobody") == (None, None)
    store.mark_ready()
    store.store([ANNA])
    assert store.is_ready()
    profile, mark = store.fetch_with_mark("nobody")
    assert profile is None
    assert mark is not None
    assert store.fetch_with_mark("anna") == (ANNA, mark)
    redis_client.flushall()
    assert not store.is_ready()
    assert store.fetch_with_mark("anna") == (None, None)


def test_the_mark_is_another_one_when_it_is_set_again_and_only_a_set_one_is_renewed(
    redis_client: redis.Redis,
) -> None:
    store = LiveProfileStore(redis_client)
    store.renew_mark()
    assert not store.is_ready()
    marks = set()
    for mark in (store.mark_ready, store.renew_mark, store.mark_ready):
        mark()
        marks.add(store.fetch_with_mark("anna")[1])
    assert len(marks) == 3


def test_clear_forgets_profiles_and_mark_and_nothing_else(redis_client: redis.Redis) -> None:
    store = LiveProfileStore(redis_client)
    store.store([replace(ANNA, user_id=f"user{n}") for n in range(2500)])
    store.mark_ready()
    redis_client.set("celery", "a task")
    store.clear()
    assert redis_client.keys("*") == ["celery"]


def test_delete_forgets_only_the_users_named(redis_client: redis.Redis) -> None:
    store = LiveProfileStore(redis_client)
    store.store([ANNA, replace(ANNA, user_id="ben")])
    store.delete(["anna", "somebody never stored"])
    assert store.fetch("anna") is None
    assert store.fetch("ben") is not None


@pytest.mark.parametrize(
    "text", ["", "not json", "[]", "{}", '{"schema":2,"version":9}', '{"schema":1,"version":9}']
)
def test_a_value_that_is_not_a_profile_is_told_and_can_be_overwritten(
    redis_client: redis.Redis, text: str
) -> None:
    redis_client.set("recs:profile:anna", text)
    store = LiveProfileStore(redis_client)
    with pytest.raises(UnavailableError, match="sync_live_profiles"):
        store.fetch("anna")
    store.store([replace(ANNA, version=9)])
    assert store.fetch("anna") == replace(ANNA, version=9)


def test_a_profile_of_somebody_else_is_never_read_as_ones_own(redis_client: redis.Redis) -> None:
    store = LiveProfileStore(redis_client)
    store.store([ANNA])
    redis_client.copy("recs:profile:anna", "recs:profile:ben")
    with pytest.raises(UnavailableError, match="another user"):
        store.fetch("ben")


def test_a_key_that_holds_no_text_is_told_and_can_be_overwritten(redis_client: redis.Redis) -> None:
    store = LiveProfileStore(redis_client)
    store.mark_ready()
    redis_client.rpush("recs:profile:anna", "a", "list")
    with pytest.raises(UnavailableError, match="Redis list"):
        store.fetch_with_mark("anna")
    assert store.fetch_with_mark("ben")[0] is None
    assert store.store([ANNA]) == 1
    assert store.fetch_with_mark("anna")[0] == ANNA


def test_a_stopped_server_is_told_as_unavailable_and_found_again_when_it_is_back(
    stoppable_valkey, connect_to: Callable[..., redis.Redis]
) -> None:
    store = LiveProfileStore(connect_to(stoppable_valkey.url))
    store.store([ANNA])
    stoppable_valkey.stop()
    for call in (
        lambda: store.fetch("anna"),
        lambda: store.fetch_with_mark("anna"),
        lambda: store.store([ANNA]),
        lambda: store.delete(["anna"]),
        store.is_ready,
        store.mark_ready,
        store.clear,
    ):
        with pytest.raises(UnavailableError, match="REDIS_URL"):
            call()
    stoppable_valkey.start()
    assert store.store([ANNA]) == 1
    assert store.fetch("anna") == ANNA


def test_a_server_that_hangs_is_given_up_on_after_the_timeout(
    stoppable_valkey, connect_to: Callable[..., redis.Redis]
) -> None:
    store = LiveProfileStore(connect_to(stoppable_valkey.url, timeout_s=0.05))
    store.store([ANNA])
    other = connect_to(stoppable_valkey.url)
    other.execute_command("CLIENT", "PAUSE", "5000", "ALL")
    with pytest.raises(UnavailableError, match="Timeout"):
        store.fetch("anna")


def test_a_profile_without_older_startups_is_read_as_before(redis_client: redis.Redis) -> None:
    store = LiveProfileStore(redis_client)
    store.store([replace(ANNA, interaction_count=9)])
    assert "older" not in (redis_client.get("recs:profile:anna") or "")
    fetched = store.fetch("anna")
    assert fetched is not None
    assert fetched.older == ()
    assert not fetched.is_whole
