"""Events and active users a day: right after every way in which the event log changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from threading import Event, Thread

import pytest
from django.db import connection, transaction
from pytest_django import DjangoAssertNumQueries

from dashboard.activity import count_activity
from dashboard.models import ActivityCount, DailyActivity, DeletedActs
from interactions.models import UserInteraction
from interactions.services import retract_event
from testing import Make

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TODAY, YESTERDAY = date(2026, 11, 24), date(2026, 11, 23)


@pytest.fixture
def act(make_user: Make, make_startup: Make) -> Make:
    """Record an act; by default now, and of one user on one startup."""
    startup, user = make_startup(), make_user()

    def record(kind: str = "view", *, at: datetime = NOW, **fields: object) -> UserInteraction:
        given = {"user": user, "startup": startup, "occurred_at": at, "received_at": at, **fields}
        return UserInteraction.objects.create(type=kind, **given)

    return record


def counted() -> dict[date, tuple[dict[str, int], int]]:
    """What the rows say, without the types nobody used."""
    return {
        row.day: ({name: n for name, n in row.events.items() if n}, row.active_users)
        for row in DailyActivity.objects.order_by("day")
    }


def later(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


def test_acts_and_people_are_counted_on_the_utc_day_of_the_act(act: Make, make_user: Make) -> None:
    act("view", at=datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC))
    act("view", at=datetime(2026, 11, 24, 0, 0, tzinfo=UTC))
    act("like"), act("like"), act("dislike", user=make_user())

    assert count_activity(now=NOW) == 2

    assert counted() == {YESTERDAY: ({"view": 1}, 1), TODAY: ({"view": 1, "like": 2, "dislike": 1}, 2)}


def test_only_days_touched_since_are_counted_again(act: Make) -> None:
    act(at=NOW - timedelta(days=1))
    act()
    count_activity(now=NOW)
    count_activity(now=later(1))  # the first count's ids are settled now
    DailyActivity.objects.filter(day=YESTERDAY).update(active_users=99)  # would be mended if counted
    act("like")

    assert count_activity(now=later(2)) == 1

    assert counted() == {YESTERDAY: ({"view": 1}, 99), TODAY: ({"view": 1, "like": 1}, 1)}


def test_an_import_of_old_acts_reaches_their_days(act: Make) -> None:
    act()
    count_activity(now=NOW)
    count_activity(now=later(1))
    act("apply", at=NOW - timedelta(days=400))

    count_activity(now=later(2))

    assert counted()[date(2025, 10, 20)] == ({"apply": 1}, 1)


def test_an_import_of_many_days_is_counted_in_one_pass(
    act: Make, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    act()
    count_activity(now=NOW)
    count_activity(now=later(1))
    for n in range(40):
        act("apply", at=NOW - timedelta(days=n))

    with django_assert_max_num_queries(14):
        assert count_activity(now=later(2)) == 40

    assert counted()[TODAY] == ({"view": 1, "apply": 1}, 1)
    assert len(counted()) == 40


def test_an_act_taken_back_counts_no_more(act: Make) -> None:
    kept, taken = act("like", at=NOW - timedelta(days=3)), act("view")
    count_activity(now=NOW)
    count_activity(now=later(1))

    retract_event(taken.event_id, now=later(2))
    count_activity(now=later(3))

    assert counted() == {kept.occurred_at.date(): ({"like": 1}, 1)}


def test_an_erased_persons_acts_count_no_more(act: Make, make_user: Make) -> None:
    leaver = make_user()
    act("view"), act("view", user=leaver), act("like", user=leaver, at=NOW - timedelta(days=9))
    count_activity(now=NOW)
    count_activity(now=later(1))

    leaver.delete()
    assert DeletedActs.objects.exists()
    count_activity(now=later(2))

    assert counted() == {TODAY: ({"view": 1}, 1)}
    assert not DeletedActs.objects.exists()


def test_a_transaction_that_commits_late_with_a_low_id_is_not_missed(act: Make) -> None:
    """It took its ids before rows that were counted, and commits after two counts."""
    inserted, finish = Event(), Event()

    def slow() -> None:
        with transaction.atomic():
            act("apply", at=NOW - timedelta(days=2))
            inserted.set()
            finish.wait(30)
        connection.close()

    thread = Thread(target=slow)
    thread.start()
    assert inserted.wait(30)
    act("view")
    for minutes in range(3):
        count_activity(now=later(minutes))
    assert list(counted()) == [TODAY]

    finish.set()
    thread.join(30)
    count_activity(now=later(3))

    assert counted()[date(2026, 11, 22)] == ({"apply": 1}, 1)


def test_whatever_no_rule_foresaw_is_mended_within_a_day(act: Make) -> None:
    act()
    count_activity(now=NOW)
    DailyActivity.objects.create(day=date(2020, 1, 1), events={"view": 7}, active_users=7)

    count_activity(now=later(10))
    assert date(2020, 1, 1) in counted()
    count_activity(now=NOW + timedelta(days=1))

    assert counted() == {TODAY: ({"view": 1}, 1)}


def test_two_counts_at_once_do_no_harm(act: Make) -> None:
    act()
    count_activity(now=NOW)
    held, finish = Event(), Event()

    def hold() -> None:
        with transaction.atomic():
            ActivityCount.objects.select_for_update().get()
            held.set()
            finish.wait(30)
        connection.close()

    thread = Thread(target=hold)
    thread.start()
    assert held.wait(30)
    assert count_activity(now=later(1)) is None
    finish.set()
    thread.join(30)
    assert counted() == {TODAY: ({"view": 1}, 1)}


def test_an_empty_log_has_no_days(db: None) -> None:
    assert count_activity(now=NOW) == 0
    assert counted() == {}


def test_the_number_of_queries_does_not_grow_with_the_acts_of_a_day(
    act: Make, make_user: Make, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    count_activity(now=NOW)
    for _ in range(30):
        act("view", user=make_user())
    with django_assert_num_queries(12):
        count_activity(now=later(1))
