"""What one pass over the event log tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from dashboard.data_summary import (
    Facts,
    log_bins,
    popularity_curve,
    stored_summary,
    summarize_data,
    summarize_data_when_due,
)
from dashboard.models import DataSummary
from interactions.models import UserInteraction
from interactions.services import retract_event
from testing import Make

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def small_log(make_user: Make, make_startup: Make) -> None:
    """Two users with acts and one without; three startups, one of them without acts."""
    often, seldom, _ = make_user(), make_user(), make_user()
    first, second, _ = make_startup(), make_startup(), make_startup()
    for _ in range(4):
        UserInteraction.objects.create(user=often, startup=first, type="view")
    UserInteraction.objects.create(user=often, startup=second, type="dislike")
    UserInteraction.objects.create(user=seldom, startup=first, type="like")
    taken_back = UserInteraction.objects.create(user=seldom, startup=second, type="like")
    retract_event(taken_back.event_id)


@pytest.mark.usefixtures("small_log")
def test_everything_is_counted_as_by_hand() -> None:
    summarize_data(now=NOW)

    row, facts = stored_summary() or (None, None)
    assert row is not None
    assert facts is not None
    assert row.computed_at == NOW
    assert (facts.n_users, facts.n_startups, facts.n_cells, facts.n_acts) == (3, 3, 3, 6)
    assert (facts.n_explicit, facts.n_dislikes, facts.n_disliked_cells) == (2, 1, 1)
    assert [list(each) for each in facts.startups_of_users] == [[1, 1], [2, 1]]
    assert [list(each) for each in facts.users_of_startups] == [[1, 1], [2, 1]]
    assert [list(each) for each in facts.acts_of_startups] == [[1, 1], [5, 1]]
    assert facts.density == 3 / (2 * 2)
    assert facts.n_cold_startups == 2  # the one with 1 act and the one without


@pytest.mark.usefixtures("small_log")
def test_a_second_pass_replaces_the_first(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    summarize_data(now=NOW)
    UserInteraction.objects.all().delete()

    with django_assert_num_queries(8):
        summarize_data(now=NOW)

    _, facts = stored_summary() or (None, None)
    assert facts is not None
    assert (facts.n_acts, facts.density, facts.n_cold_startups) == (0, None, 3)


@pytest.mark.usefixtures("small_log")
def test_passes_take_a_hundredth_of_the_time_at_most() -> None:
    first = summarize_data_when_due(now=NOW)
    assert first is not None
    DataSummary.objects.update(seconds=30.0)

    assert summarize_data_when_due(now=NOW + timedelta(seconds=2999)) is None
    assert summarize_data_when_due(now=NOW + timedelta(seconds=3001)) is not None


def facts_of(*startups_of_users: tuple[int, int], n_users: int) -> Facts:
    return Facts(n_users, 100, 0, 0, 0, 0, 0, startups_of_users, (), ())


def test_tiers_begin_at_their_thresholds_and_users_without_acts_are_cold() -> None:
    facts = facts_of((4, 10), (5, 20), (19, 30), (20, 40), (500, 1), n_users=150)

    assert facts.users_by_tier(cold_below=5, hot_from=20) == {"cold": 59, "warm": 50, "hot": 41}


def test_bins_double_and_hold_everything() -> None:
    assert log_bins([(1, 5), (2, 1), (3, 1), (4, 7), (1000, 2)]) == [
        ("1", 5),
        ("2-3", 2),
        ("4-7", 7),
        ("8-15", 0),
        ("16-31", 0),
        ("32-63", 0),
        ("64-127", 0),
        ("128-255", 0),
        ("256-511", 0),
        ("512-1,023", 2),
    ]
    assert log_bins([]) == []


def test_the_curve_gives_the_share_of_acts_on_the_most_popular_startups() -> None:
    """10 startups, one with 50 acts, four with 10, five with 2 of 100 acts."""
    curve = dict(popularity_curve([(2, 5), (10, 4), (50, 1)], 10))

    assert curve[0.1] == pytest.approx(0.5)
    assert curve[0.05] == pytest.approx(0.25)
    assert curve[0.2] == pytest.approx(0.6)
    assert curve[0.5] == pytest.approx(0.9)
    assert curve[1.0] == pytest.approx(1.0)


def test_startups_without_acts_are_the_end_of_the_tail() -> None:
    curve = dict(popularity_curve([(1, 1)], 100))

    assert curve[0.01] == pytest.approx(1.0)
    assert popularity_curve([], 100) == []
