"""Of two who write at once the newer profile stays, and no act is lost."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import connection, transaction
from redis import Redis

from interactions import live_profiles
from interactions.live_profiles import build_live_profiles
from interactions.models import UserInteraction
from interactions.services import NewEvent, record_events
from recsys.serving.live_profile import LiveProfile, LiveProfileStore
from startups.models import Startup
from testing import Make

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def weights_of(profile: LiveProfile | None) -> dict[str, float]:
    assert profile is not None
    return {cell.startup_id: cell.weight for cell in profile.cells}


@pytest.mark.parametrize("late_writer", [0, 1], ids=["older_last", "newer_last"])
def test_whichever_writer_comes_last_the_newer_profile_stays(
    make_user: Make, make_startup: Make, redis: Redis, stored: Make, late_writer: int
) -> None:
    user = make_user()
    record_events([NewEvent(user.pk, make_startup().pk, "like")])
    older = build_live_profiles([user.pk])
    record_events([NewEvent(user.pk, make_startup().pk, "like")])
    newer = build_live_profiles([user.pk])

    store = LiveProfileStore(redis)
    for profiles in [(newer, older), (older, newer)][late_writer]:
        store.store(profiles)

    assert stored(user) == newer[0]


def test_of_two_commits_the_one_that_stores_last_does_not_bring_the_older_back(
    make_user: Make, make_startup: Make, stored: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, first, second = make_user(), make_startup(), make_startup()
    built, overtaken = threading.Event(), threading.Event()

    class PausingStore(LiveProfileStore):
        """Waits between building and writing, in the slow thread only."""

        def store(self, profiles: Sequence[LiveProfile], *, force: bool = False) -> int:
            if threading.current_thread() is slow:
                built.set()
                overtaken.wait(timeout=30)
            return super().store(profiles, force=force)

    def act_slowly() -> None:
        try:
            record_events([NewEvent(user.pk, first.pk, "like")])
        finally:
            connection.close()

    monkeypatch.setattr(live_profiles, "LiveProfileStore", PausingStore)
    slow = threading.Thread(target=act_slowly)
    slow.start()
    assert built.wait(timeout=30)
    record_events([NewEvent(user.pk, second.pk, "like")])
    overtaken.set()
    slow.join(timeout=30)

    assert set(weights_of(stored(user))) == {str(first.pk), str(second.pk)}


def test_commits_at_the_same_time_leave_all_acts_in_the_profile(
    make_user: Make, make_startup: Make, stored: Make
) -> None:
    user, startups = make_user(), [make_startup() for _ in range(40)]
    start, failures = threading.Barrier(8), []

    def act(own: list[Startup]) -> None:
        try:
            start.wait(timeout=30)
            for startup in own:
                record_events([NewEvent(user.pk, startup.pk, "like")])
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=act, args=(startups[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert not failures
    assert stored(user).interaction_count == 40
    assert stored(user) == build_live_profiles([user.pk])[0]


def test_a_lower_event_id_that_commits_later_is_not_lost(
    make_user: Make, make_startup: Make, stored: Make
) -> None:
    user, slow, fast = make_user(), make_startup(), make_startup()
    inserted, committed = threading.Event(), threading.Event()

    def act_slowly() -> None:
        try:
            with transaction.atomic():
                record_events([NewEvent(user.pk, slow.pk, "like")])
                inserted.set()
                committed.wait(timeout=30)
        finally:
            connection.close()

    thread = threading.Thread(target=act_slowly)
    thread.start()
    assert inserted.wait(timeout=30)
    record_events([NewEvent(user.pk, fast.pk, "like")])
    committed.set()
    thread.join(timeout=30)

    assert set(weights_of(stored(user))) == {str(slow.pk), str(fast.pk)}


def test_the_same_event_posted_at_once_is_one_row(make_user: Make, make_startup: Make, redis: Redis) -> None:
    event = NewEvent(make_user().pk, make_startup().pk, "like", event_id=uuid4(), occurred_at=NOON)
    start, statuses = threading.Barrier(6), []

    def act() -> None:
        try:
            start.wait(timeout=30)
            statuses.extend(str(result.status) for result in record_events([event]))
        finally:
            connection.close()

    threads = [threading.Thread(target=act) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert sorted(statuses) == ["created", *["duplicate"] * 5]
    assert UserInteraction.objects.count() == 1


def test_the_same_acts_sent_at_once_in_other_orders_never_deadlock(
    make_user: Make, make_startup: Make, redis: Redis
) -> None:
    """Each sender holds its first act while the other one asks for it."""
    user, startup = make_user(), make_startup()
    one, other = (NewEvent(user.pk, startup.pk, "view", event_id=uuid4()) for _ in range(2))
    has_begun = [threading.Event(), threading.Event()]
    statuses: list[str] = []

    def send(number: int, first: NewEvent, second: NewEvent) -> None:
        try:
            with transaction.atomic():
                results = record_events([first])
                has_begun[number].set()
                has_begun[1 - number].wait(timeout=1)  # ends early only where both get this far
                results += record_events([second])
            statuses.extend(result.status for result in results)
        finally:
            connection.close()

    senders = [
        threading.Thread(target=send, args=(0, one, other)),
        threading.Thread(target=send, args=(1, other, one)),
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(timeout=30)

    assert sorted(statuses) == ["created", "created", "duplicate", "duplicate"]
