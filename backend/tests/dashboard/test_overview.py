"""The overview: what it shows, what it says when there is nothing, and that it scans nothing."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from pytest_django import DjangoAssertNumQueries, Settings

from dashboard.activity import count_activity
from dashboard.answers import Minutes
from dashboard.data_summary import summarize_data
from dashboard.models import AnsweredPeriod
from dashboard.next_run import due_at, next_training
from dashboard.overview_charts import SPANS
from interactions.models import UserInteraction
from recommendations.models import TrainingRun
from recommendations.schedule import NAME, TASK
from testing import Make

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_is_served(fresh_health: None, settings: Settings, tmp_path: Path) -> None:
    """No answer of another test is shown, and no release of the machine."""
    settings.MODELS_DIR = tmp_path


def html_of(viewer: Client, **query: str) -> str:
    response = viewer.get(reverse("dashboard:overview"), query)
    assert response.status_code == 200
    return response.content.decode()


def chart_data(html: str, chart_id: str) -> dict[str, Any]:
    found = re.search(rf'<script id="{chart_id}-data" type="application/json">(.*?)</script>', html)
    assert found, f"no chart {chart_id}"
    return json.loads(found[1])


def test_an_empty_system_says_why_there_is_nothing(viewer: Client) -> None:
    html = html_of(viewer)

    assert "data-chart" not in html
    for words in (
        "No act is counted yet",
        "There are no users yet, or the event log was not read yet",
        "Nobody asked for recommendations in this span",
        "Events were never counted",
        "Counters were never read",
        "No training was ever asked for",
        "Train one: ./train_all_models.sh",
    ):
        assert words in html


def test_events_people_and_tiers_are_drawn_from_the_rows(
    viewer: Client, make_user: Make, make_startup: Make, settings: Settings
) -> None:
    settings.COLD_BELOW, settings.HOT_FROM = 1, 2
    warm, hot = make_user(), make_user()
    first, second = make_startup(), make_startup()
    yesterday = timezone.now() - timedelta(days=1)
    for user, startup in ((warm, first), (hot, first), (hot, second)):
        UserInteraction.objects.create(user=user, startup=startup, type="like", occurred_at=yesterday)
    UserInteraction.objects.create(user=hot, startup=second, type="dislike")
    count_activity()
    summarize_data()

    html = html_of(viewer)

    events = chart_data(html, "events")
    assert (events["stacked"], events["yTitle"]) == (True, "events a day")
    of_type = {series["name"]: series["values"] for series in events["series"]}
    assert (of_type["like"], of_type["dislike"], of_type["view"]) == ([3, 0], [0, 1], [0, 0])
    assert chart_data(html, "active-users")["series"][0]["values"] == [2, 1]
    tiers = chart_data(html, "tiers")
    # The viewer is a user without acts.
    assert dict(zip(tiers["labels"], tiers["series"][0]["values"], strict=True)) == {
        "cold: fewer than 1 startups": 1,
        "warm: 1 to 1 startups": 1,
        "hot: 2 or more startups": 1,
    }


def test_every_chart_has_title_unit_definition_and_a_table(viewer: Client) -> None:
    AnsweredPeriod.objects.create(
        minutes=Minutes.HOUR,
        starts_at=timezone.now().replace(minute=0, second=0, microsecond=0),
        answers={"als": 90, "content": 10},
        degraded={"content": 10},
        latency={"0.001": 0, "0.002": 50, "0.005": 100, "+Inf": 100},
    )

    html = html_of(viewer)

    answers, degraded, latency = (chart_data(html, each) for each in ("answers", "degraded", "latency"))
    assert {series["name"]: series["values"][-1] for series in answers["series"]} == {
        "als": 90,
        "content": 10,
    }
    assert degraded["series"][0]["values"][-1] == 10.0
    assert [series["name"] for series in latency["series"]] == ["p50", "p95", "p99"]
    assert latency["series"][0]["values"][-1] == pytest.approx(2.0)
    assert latency["series"][0]["values"][0] is None  # nobody asked: a gap, not zero
    assert len(answers["labels"]) == 48
    for chart_id in ("answers", "degraded", "latency"):
        section = html[html.index(f'aria-labelledby="{chart_id}-title"') :]
        section = section[: section.index("</section>")]
        assert f'id="{chart_id}-definition"' in section
        assert 'role="img"' in section
        assert 'class="dash-unit"' in section
        assert section.count("<tr>") == 49


@pytest.mark.parametrize("name", SPANS)
def test_every_span_is_divided_into_its_steps(viewer: Client, name: str) -> None:
    now = timezone.now()
    span = SPANS[name]
    for n, minutes in ((0, span.minutes), (span.n_steps - 1, span.minutes), (span.n_steps + 1, span.minutes)):
        AnsweredPeriod.objects.create(
            minutes=minutes, starts_at=span.starts(now)[-1] - n * span.step, answers={"als": n + 1}
        )

    answers = chart_data(html_of(viewer, span=name), "answers")

    values = answers["series"][0]["values"]
    assert len(values) == len(answers["labels"]) == span.n_steps
    assert (values[-1], values[0], sum(values)) == (1, span.n_steps, span.n_steps + 1)


def test_a_span_that_is_none_is_the_usual_one(viewer: Client) -> None:
    assert 'aria-current="true">2 days' in html_of(viewer, span="<script>")


def test_the_last_and_the_next_run_are_told(viewer: Client) -> None:
    run = TrainingRun.objects.create(status="failed")

    html = html_of(viewer)

    assert "Failed" in html
    assert reverse("dashboard:run", args=[run.pk]) in html
    planned = next_training()
    assert planned is not None
    assert f"{NAME}: Sunday {planned[1]:%Y-%m-%d} 03:00 UTC" in html


def test_the_served_release_is_told_with_its_age(viewer: Client, tmp_path: Path) -> None:
    version = f"{timezone.now() - timedelta(days=3):%Y%m%dT%H%M%SZ}-3f9a"
    (tmp_path / "releases" / version).mkdir(parents=True)
    (tmp_path / "current").symlink_to(f"releases/{version}")

    html = html_of(viewer)

    assert "3 days" in html
    assert version in html


def test_the_number_of_queries_does_not_grow_with_the_log(
    viewer: Client,
    make_user: Make,
    make_startup: Make,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    html_of(viewer)  # content types and permissions are remembered from here on
    startup = make_startup()
    for n in range(60):
        at = timezone.now() - timedelta(days=n)
        UserInteraction.objects.create(user=make_user(), startup=startup, type="view", occurred_at=at)
    count_activity()
    summarize_data()
    TrainingRun.objects.bulk_create(TrainingRun() for _ in range(20))
    with django_assert_num_queries(15) as queries:
        html_of(viewer)
    assert not any("interactions_userinteraction" in query["sql"] for query in queries.captured_queries)


def test_a_crontab_is_due_at_its_next_time() -> None:
    at_three = CrontabSchedule.objects.create(minute="0", hour="3", timezone="UTC")
    now = timezone.now()
    task = PeriodicTask.objects.create(name="daily", task=TASK, crontab=at_three, last_run_at=now)

    due = due_at(task, now)

    assert (due.hour, due.minute) == (3, 0)
    assert timedelta(0) < due - now <= timedelta(days=1)


def test_one_missed_while_beat_was_down_is_due_now() -> None:
    hourly = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.HOURS)
    now = timezone.now()
    task = PeriodicTask(name="hourly", task=TASK, interval=hourly, last_run_at=now - timedelta(hours=5))

    assert abs(due_at(task, now) - now) < timedelta(seconds=2)
    task.last_run_at = now - timedelta(minutes=45)
    assert abs(due_at(task, now) - now - timedelta(minutes=15)) < timedelta(seconds=2)


def test_without_an_enabled_training_there_is_no_next_run(viewer: Client) -> None:
    PeriodicTask.objects.filter(task=TASK).update(enabled=False)

    assert next_training() is None
    assert "No training is enabled in the schedule" in html_of(viewer)
