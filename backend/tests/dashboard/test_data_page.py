"""The data page: what it shows, and trying out and saving weights."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries
from redis import Redis

from dashboard import weights_preview
from dashboard.activity import count_activity
from dashboard.data_summary import summarize_data
from dashboard.weights_preview import preview_weights
from interactions.models import SignalWeights, UserInteraction
from recsys.datasets.weights import DEFAULT_WEIGHTS
from testing import Make

pytestmark = pytest.mark.django_db

PAGE = "/admin/data/"


@pytest.fixture
def small_log(make_user: Make, make_startup: Make) -> None:
    """Three users; cells of 0.5, 2, 2.5 and -1 under the usual weights."""
    first, second, third = make_user(), make_user(), make_user()
    one, other = make_startup(), make_startup()
    for user, startup, kind in (
        (first, one, "view"),
        (first, other, "like"),
        (second, one, "like"),
        (second, one, "view"),
        (third, other, "like"),
        (third, other, "dislike"),
    ):
        UserInteraction.objects.create(user=user, startup=startup, type=kind)


@pytest.fixture
def editor(make_user: Make) -> Client:
    """A viewer who may change the weights."""
    user = make_user(username="editor", is_staff=True)
    codes = ("view_trainingrun", "change_signalweights", "view_signalweights")
    user.user_permissions.add(*Permission.objects.filter(codename__in=codes))
    client = Client()
    client.force_login(user)
    return client


def form_of(client: Client, **changes: object) -> dict[str, object]:
    """What the browser would send."""
    html = client.get(PAGE).content.decode()
    found = re.search(r'name="version_seen" value="(\d+)"', html)
    assert found
    return {**DEFAULT_WEIGHTS, "version_seen": found[1], **changes}


def test_an_empty_log_says_why_there_is_nothing(viewer: Client) -> None:
    html = viewer.get(PAGE).content.decode()

    assert "The event log was not read yet" in html
    assert html.count("There are no acts yet") == 4
    assert "data-chart" not in html

    summarize_data()
    html = viewer.get(PAGE).content.decode()
    assert "Read from the event log" in html
    assert "data-chart" not in html


@pytest.mark.usefixtures("small_log")
def test_figures_and_charts_come_from_the_summary(viewer: Client) -> None:
    summarize_data()
    count_activity()

    html = viewer.get(PAGE).content.decode()

    # 4 cells of 3 users x 2 startups; 1 dislike among 4 explicit acts.
    for words in ("of 4 users", "66.667 %", "25.0 %", "1 dislikes, 1 cells with one", "4 cells"):
        assert words in html
    for chart in ("long-tail", "startups-a-user", "users-a-startup", "dislikes"):
        assert f'id="{chart}-data"' in html
        assert f'id="{chart}-definition"' in html


@pytest.mark.usefixtures("small_log")
def test_the_page_reads_no_event(viewer: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    summarize_data()
    count_activity()
    viewer.get(PAGE)
    with django_assert_num_queries(7) as queries:
        viewer.get(PAGE)
    assert not any("interactions_userinteraction" in query["sql"] for query in queries.captured_queries)


@pytest.mark.usefixtures("small_log")
def test_a_preview_counts_the_cells_that_change() -> None:
    preview = preview_weights(DEFAULT_WEIGHTS, {**DEFAULT_WEIGHTS, "view": 1.0})

    assert sorted(preview.before.tolist()) == [-1.0, 0.5, 2.0, 2.5]
    assert sorted(preview.after.tolist()) == [-1.0, 1.0, 2.0, 3.0]
    assert (preview.n_users, preview.n_acts, preview.n_cells, preview.n_changed) == (3, 6, 4, 2)
    assert preview.rows[0] == ("positive cells", "3", "3")
    assert preview.rows[1] == ("negative cells (active dislikes)", "1", "1")


@pytest.mark.usefixtures("small_log")
def test_the_bins_hold_every_cell_before_and_after() -> None:
    preview = preview_weights(DEFAULT_WEIGHTS, {**DEFAULT_WEIGHTS, "like": 1000.0, "dislike": -7.0})

    for series in preview.chart.series:
        assert sum(value or 0 for value in series.values) == 4
        assert series.values[0] == 1


def test_people_who_opted_out_are_in_no_preview(make_user: Make, make_startup: Make) -> None:
    UserInteraction.objects.create(user=make_user(opted_out=True), startup=make_startup(), type="like")

    preview = preview_weights(DEFAULT_WEIGHTS, DEFAULT_WEIGHTS)

    assert preview.n_cells == preview.n_changed == 0
    assert preview.chart.is_empty


def test_the_sample_is_bounded_and_the_same_each_time(
    make_user: Make, make_startup: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    startup = make_startup()
    users = [make_user() for _ in range(40)]
    UserInteraction.objects.bulk_create(
        UserInteraction(user=user, startup=startup, type="like") for user in users for _ in range(3)
    )
    monkeypatch.setattr(weights_preview, "USERS_AT_MOST", 20)
    monkeypatch.setattr(weights_preview, "USERS_A_QUERY", 5)
    first, second = (preview_weights(DEFAULT_WEIGHTS, DEFAULT_WEIGHTS) for _ in range(2))
    assert 0 < first.n_users == second.n_users <= 20

    monkeypatch.setattr(weights_preview, "ACTS_AT_MOST", 10)
    assert preview_weights(DEFAULT_WEIGHTS, DEFAULT_WEIGHTS).n_users == 5


def test_ids_that_end_in_zeros_stay_different_startups(make_user: Make, make_startup: Make) -> None:
    user = make_user()
    for ending in ("0100", "0000"):
        startup = make_startup(pk=UUID(f"00000000-0000-4000-8000-00000001{ending}"))
        UserInteraction.objects.create(user=user, startup=startup, type="view")

    assert np.array_equal(preview_weights(DEFAULT_WEIGHTS, DEFAULT_WEIGHTS).before, [0.5, 0.5])


@pytest.mark.usefixtures("small_log")
def test_trying_weights_out_saves_nothing(viewer: Client) -> None:
    response = viewer.post(PAGE, form_of(viewer, view="1", do="preview"))

    html = response.content.decode()
    assert response.status_code == 200
    assert "2 of 4 cells (50.0 %) change" in html
    assert "sample of 3 users with 6 acts" in html
    data = re.search(r'<script id="cells-data" type="application/json">(.*?)</script>', html)
    assert data
    assert json.loads(data[1])["labels"][0] == "negative"
    assert not SignalWeights.objects.exists()


def test_saving_changes_the_row_and_says_who_did_it(editor: Client, redis: Redis) -> None:
    response = editor.post(PAGE, form_of(editor, like="2.5", view="0.25", do="save"), follow=True)

    assert "The weights are saved" in response.content.decode()
    row = SignalWeights.objects.get()
    assert (row.like, row.view, row.click) == (2.5, 0.25, 1.0)
    entry = LogEntry.objects.get()
    assert entry.user.get_username() == "editor"
    assert entry.get_change_message() == "Changed view 0.5 -> 0.25, like 2 -> 2.5."
    history = editor.get(reverse("admin:interactions_signalweights_history", args=[row.pk]))
    assert "like 2 -&gt; 2.5" in history.content.decode()


def test_saving_wants_the_permission(viewer: Client) -> None:
    html = viewer.get(PAGE).content.decode()
    assert 'value="save"' not in html

    assert viewer.post(PAGE, form_of(viewer, like="9", do="save")).status_code == 403
    assert not SignalWeights.objects.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"like": "-1"}, "The weight of like is -1.0"),
        ({"dislike": "1"}, "The weight of dislike is 1.0"),
        ({"view": "0"}, "The weight of view is 0.0"),
        ({"view": "much"}, "Enter a number"),
        ({"view": ""}, "This field is required"),
        ({"view": "nan"}, "Enter a number"),
        ({"version_seen": ""}, "This field is required"),
    ],
)
@pytest.mark.parametrize("do", ["preview", "save"])
def test_weights_that_cannot_work_are_refused_by_name(
    editor: Client, changes: Mapping[str, Any], words: str, do: str
) -> None:
    response = editor.post(PAGE, {**form_of(editor), **changes, "do": do})

    assert response.status_code == 200
    assert words in response.content.decode()
    assert not SignalWeights.objects.exists()


def test_somebody_elses_change_is_not_overwritten(editor: Client) -> None:
    SignalWeights().save()
    form = form_of(editor, like="9", do="save")
    SignalWeights.objects.update(click=1.5)

    response = editor.post(PAGE, form, follow=True)

    assert "Somebody changed the weights meanwhile" in response.content.decode()
    assert SignalWeights.objects.get().like == 2.0
    assert not LogEntry.objects.exists()


def test_saving_the_present_weights_is_no_change(editor: Client) -> None:
    response = editor.post(PAGE, form_of(editor, do="save"), follow=True)

    assert "nothing was saved" in response.content.decode()
    assert not LogEntry.objects.exists()
