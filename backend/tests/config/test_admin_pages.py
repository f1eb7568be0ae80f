"""Every page of the admin opens, in unfold's dress, with links that lead somewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import ClockedSchedule, IntervalSchedule, SolarSchedule
from unfold.admin import ModelAdmin as UnfoldModelAdmin

from accounts.models import User
from accounts.services import create_api_key
from interactions.models import LostLiveWrite, SignalWeights, UserInteraction
from recommendations.models import ReleaseChange, TrainingRun
from testing import Make

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
HAND_MADE = {"interactions.SignalWeights"}  # its list is its form
IN_DASHBOARD = {"recommendations.TrainingRun"}  # its addresses lead to pages of the dashboard
NEVER_ADDED = {*HAND_MADE, "interactions.LostLiveWrite", "recommendations.ReleaseChange"}


@pytest.fixture
def staff(make_user: Make, make_startup: Make) -> Client:
    """An operator, in an admin that has a row of everything."""
    operator = make_user(username="operator", is_staff=True, is_superuser=True)
    create_api_key(name="web", scopes=["read"], created_by=operator)
    UserInteraction.objects.create(user=operator, startup=make_startup(owner=operator), type="like")
    SignalWeights().save()
    LostLiveWrite.objects.create(kind="profile", row_id=operator.pk)
    TrainingRun.objects.create(started_by=operator, metrics={"als": {"ndcg": 0.1}}, log_tail="<end>")
    ReleaseChange.objects.create(action="promoted", version="20261122T030000Z-3f9a", by=operator)
    IntervalSchedule.objects.create(every=1, period="days")
    SolarSchedule.objects.create(event="sunrise", latitude=0, longitude=0)
    ClockedSchedule.objects.create(clocked_time="2026-11-01T00:00:00Z")
    client = Client()
    client.force_login(operator)
    return client


def page(model: type[Model], name: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_list_form_and_row_open(staff: Client, model: type[Model]) -> None:
    model_admin = admin.site._registry[model]
    assert isinstance(model_admin, UnfoldModelAdmin)

    follow = model._meta.label in IN_DASHBOARD
    if model._meta.label not in HAND_MADE:
        response = staff.get(page(model, "changelist"), follow=follow)
        assert response.status_code == 200
    row = model._default_manager.first()
    if row is not None:
        assert staff.get(page(model, "change", row.pk), follow=follow).status_code == 200
        assert staff.get(page(model, "history", row.pk)).status_code == 200
    may_add = model._meta.label not in NEVER_ADDED
    assert staff.get(page(model, "add"), follow=follow).status_code == (200 if may_add else 403)


def test_everything_of_ours_has_a_row_in_these_tests(staff: Client) -> None:
    assert all(model._default_manager.exists() for model in MODELS if model._meta.label != "auth.Group")


def test_the_sidebar_leads_to_every_model(staff: Client) -> None:
    front = staff.get(reverse("admin:index"), follow=True)

    assert front.redirect_chain == [(reverse("dashboard:overview"), 302)]
    assert front.status_code == 200
    links = set(re.findall(r'href="(/admin/[^"]+)"', front.content.decode()))
    lists = {page(model, "changelist") for model in MODELS if model._meta.label not in IN_DASHBOARD}
    assert lists | {reverse("dashboard:runs")} <= links


def test_pages_load_nothing_from_elsewhere(staff: Client) -> None:
    for address in (
        reverse("dashboard:overview"),
        page(UserInteraction, "changelist"),
        page(UserInteraction, "add"),
    ):
        html = staff.get(address).content.decode()
        sources = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', html)
        assert sources
        assert [source for source in sources if re.match(r"(https?:)?//", source)] == []


def test_people_who_are_not_staff_are_sent_to_the_login(person: tuple[User, Any]) -> None:
    _, api = person

    response = api.client.get(reverse("admin:index"))

    assert response.status_code == 302
    assert response.url.startswith(reverse("admin:login"))


def test_who_logs_in_without_having_asked_for_a_page_gets_the_first_one(make_user: Make) -> None:
    user = make_user(username="operator", is_staff=True)
    user.set_password("a long enough secret")
    user.save()

    response = Client().post(
        reverse("admin:login"), {"username": "operator", "password": "a long enough secret"}
    )

    assert (response.status_code, response.url) == (302, reverse("admin:index"))
