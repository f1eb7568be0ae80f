"""The event log in the admin: found, added, taken back; never counted, scanned or changed."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from redis import Redis

from accounts.models import User
from config import big_tables
from config.big_tables import BigTableQuerySet, EstimatingPaginator
from interactions.models import UserInteraction
from interactions.services import NewEvent, record_events
from recsys.serving.live_profile import LiveProfileStore
from startups.models import Startup
from testing import Make

LIST = "admin:interactions_userinteraction_changelist"
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def staff(admin_user: User) -> Client:
    """An operator."""
    client = Client()
    client.force_login(admin_user)
    return client


@pytest.fixture
def log(make_user: Make) -> list[UserInteraction]:
    """300 acts of 10 users on 20 startups over 30 days."""
    users = [make_user(username=f"ada{n}") for n in range(10)]
    startups = Startup.objects.bulk_create(Startup(name=f"Acme {n}") for n in range(20))
    record_events(
        [
            NewEvent(users[n % 10].pk, startups[n % 20].pk, "view", occurred_at=NOON - n * timedelta(hours=2))
            for n in range(300)
        ]
    )
    return list(UserInteraction.objects.order_by("-occurred_at"))


def listed(staff: Client, **query: Any) -> list[UserInteraction]:
    response = staff.get(reverse(LIST), query)
    assert response.status_code == 200, response.headers
    return list(response.context["cl"].result_list)


def test_the_list_shows_the_latest_first_in_a_fixed_number_of_queries(
    staff: Client, log: list[UserInteraction], make_user: Make, make_startup: Make
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert listed(staff)
        return len(captured)

    assert listed(staff) == log[:50]
    before = queries()
    record_events([NewEvent(make_user().pk, make_startup().pk, "like") for _ in range(100)])
    assert queries() == before <= 8


def test_no_query_of_the_list_counts_or_scans_the_table(
    staff: Client, log: list[UserInteraction], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With sequential scans made dear, a plan that still has one has no index to go by."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE interactions_userinteraction")
        cursor.execute("SET LOCAL enable_seqscan = off")
    act = log[0]
    for query in (
        {},
        {"p": "3"},
        {"occurred_at__year": "2026"},
        {"occurred_at__year": "2026", "occurred_at__month": "10"},
        {"user__id__exact": str(act.user_id)},
        {"startup__id__exact": str(act.startup_id)},
        {"retracted": "yes"},
        {"q": str(act.event_id)},
        {"q": str(act.user_id)},
        {"q": "ada3"},
    ):
        with CaptureQueriesContext(connection) as captured:
            listed(staff, **query)
        for each in captured.captured_queries:
            sql = each["sql"]
            if sql.startswith("SELECT") and '"interactions_userinteraction"' in sql:
                assert "Seq Scan on interactions_userinteraction" not in plan_of(sql), (query, sql)
                assert "COUNT(*)" not in sql or f"LIMIT {big_tables.COUNT_AT_MOST}" in sql, (query, sql)


def plan_of(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + sql.replace("%", "%%"))
        return "\n".join(row[0] for row in cursor)


def test_few_rows_are_counted_and_many_estimated(
    log: list[UserInteraction], monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = UserInteraction.objects.order_by("pk")
    assert EstimatingPaginator(everything, 50).count == 300

    monkeypatch.setattr(big_tables, "COUNT_AT_MOST", 100)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE interactions_userinteraction")
    with CaptureQueriesContext(connection) as captured:
        assert EstimatingPaginator(everything, 50).count == 300
        assert EstimatingPaginator(everything.filter(type="view"), 50).count == 100
        assert EstimatingPaginator(everything.filter(type="like"), 50).count == 0
    assert sum("reltuples" in each["sql"] for each in captured.captured_queries) == 1
    assert all("LIMIT 100" in each["sql"] for each in captured.captured_queries if "COUNT" in each["sql"])


def test_a_page_too_far_is_refused_not_searched(
    staff: Client, log: list[UserInteraction], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(big_tables, "PAGES_AT_MOST", 2)

    assert listed(staff, p="2") == log[50:100]
    assert staff.get(reverse(LIST), {"p": "3"}).status_code == 302


def test_the_date_hierarchy_goes_by_the_ends_of_the_index(log: list[UserInteraction]) -> None:
    acts = BigTableQuerySet(UserInteraction)
    with CaptureQueriesContext(connection) as captured:
        days = acts.datetimes("occurred_at", "day")
        months = acts.datetimes("occurred_at", "month", order="DESC")
        years = acts.datetimes("occurred_at", "year")

    assert len(captured) == 3
    assert (days[0], days[-1], len(days)) == (
        datetime(2026, 10, 7, tzinfo=UTC),
        datetime(2026, 11, 1, tzinfo=UTC),
        26,
    )
    assert months == [datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)]
    assert years == [datetime(2026, 1, 1, tzinfo=UTC)]
    assert acts.none().datetimes("occurred_at", "day") == []


def test_the_date_hierarchy_narrows_the_list(staff: Client, log: list[UserInteraction]) -> None:
    html = staff.get(reverse(LIST), {"occurred_at__year": "2026"}).content.decode()
    assert "occurred_at__month=10" in html
    assert "occurred_at__month=11" in html
    assert "occurred_at__month=9" not in html

    day = listed(staff, occurred_at__year="2026", occurred_at__month="10", occurred_at__day="20")
    assert {act.occurred_at.date().isoformat() for act in day} == {"2026-10-20"}


@pytest.mark.parametrize("by", ["event_id", "user_id", "startup_id"])
def test_search_finds_by_any_id(staff: Client, log: list[UserInteraction], by: str) -> None:
    wanted = getattr(log[7], by)

    assert listed(staff, q=str(wanted)) == [act for act in log if getattr(act, by) == wanted]


def test_search_finds_by_the_start_of_a_name(staff: Client, log: list[UserInteraction]) -> None:
    assert listed(staff, q="ada3") == [act for act in log if act.user.username == "ada3"]
    assert listed(staff, q="acme 19") == [act for act in log if act.startup.name == "Acme 19"]
    assert listed(staff, q="nobody") == []


def test_filters_choose(staff: Client, log: list[UserInteraction]) -> None:
    UserInteraction.objects.filter(pk=log[3].pk).update(retracted_at=NOON)

    assert listed(staff, retracted="yes") == [log[3]]
    assert log[3] not in listed(staff, retracted="no")
    assert listed(staff, type__exact="like") == []
    assert {act.user_id for act in listed(staff, user__id__exact=str(log[0].user_id))} == {log[0].user_id}


@pytest.mark.django_db(transaction=True)
def test_an_act_added_and_taken_back_is_in_the_profile_at_once(
    staff: Client, make_user: Make, make_startup: Make, redis: Redis
) -> None:
    user, startup = make_user(), make_startup()
    form = {
        "user": str(user.pk),
        "startup": str(startup.pk),
        "type": "apply",
        "occurred_at_0": "2026-11-01",
        "occurred_at_1": "10:00:00",
        "context": "{}",
    }

    response = staff.post(reverse("admin:interactions_userinteraction_add"), form)

    assert response.status_code == 302, response.context["errors"]
    act = UserInteraction.objects.get()
    profiles = LiveProfileStore(redis)
    (cell,) = profiles.fetch(str(user.pk)).cells
    assert (cell.startup_id, cell.weight) == (str(startup.pk), 3.0)

    staff.post(reverse(LIST), {"action": "retract_selected", "_selected_action": [act.pk]})
    act.refresh_from_db()
    assert act.retracted_at is not None
    assert profiles.fetch(str(user.pk)).interaction_count == 0


def test_the_button_on_an_act_takes_it_back(staff: Client, log: list[UserInteraction]) -> None:
    address = reverse("admin:interactions_userinteraction_change", args=[log[0].pk])
    html = staff.get(address).content.decode()
    button = re.search(r'name="([^"]*retract[^"]*)"', html)
    assert button

    assert staff.post(address, {button[1]: "1"}).status_code == 302

    log[0].refresh_from_db()
    assert log[0].retracted_at is not None


def test_what_is_in_the_log_cannot_be_changed_or_deleted(staff: Client, log: list[UserInteraction]) -> None:
    act = log[0]
    address = reverse("admin:interactions_userinteraction_change", args=[act.pk])

    staff.post(address, {"type": "apply", "user": str(log[1].user_id), "context": json.dumps({"x": 1})})

    assert UserInteraction.objects.get(pk=act.pk).type == "view"
    assert staff.post(reverse("admin:interactions_userinteraction_delete", args=[act.pk])).status_code == 403
    model_admin = admin.site._registry[UserInteraction]
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_staff=True, is_active=True)
    assert set(model_admin.get_actions(request)) == {"retract_selected"}
