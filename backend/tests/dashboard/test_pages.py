"""Who sees the dashboard, and that its pages stand in unfold's frame."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from testing import Make

pytestmark = pytest.mark.usefixtures("fresh_health")

PAGES = ("overview", "data", "models", "runs", "explorer")


@pytest.mark.parametrize("name", PAGES)
def test_strangers_are_sent_to_the_login(client: Client, name: str, db: None) -> None:
    response = client.get(reverse(f"dashboard:{name}"))

    assert response.status_code == 302
    assert response.url.startswith(reverse("admin:login"))


@pytest.mark.parametrize("name", PAGES)
def test_staff_without_the_permission_are_refused(client: Client, make_user: Make, name: str) -> None:
    client.force_login(make_user(is_staff=True))

    assert client.get(reverse(f"dashboard:{name}")).status_code == 403


@pytest.mark.parametrize("name", PAGES)
def test_viewers_see_every_page_of_an_empty_system(viewer: Client, name: str) -> None:
    assert viewer.get(reverse(f"dashboard:{name}")).status_code == 200


def test_people_who_are_not_staff_do_not_get_in_by_the_permission(client: Client, make_user: Make) -> None:
    user = make_user()
    user.user_permissions.add(Permission.objects.get(codename="view_trainingrun"))
    client.force_login(user)

    assert client.get(reverse("dashboard:overview")).status_code == 302


def test_the_admins_front_page_is_the_overview_for_those_who_may_see_it(viewer: Client) -> None:
    assert viewer.get(reverse("admin:index")).url == reverse("dashboard:overview")


def test_staff_without_the_permission_get_the_admins_own_index(client: Client, make_user: Make) -> None:
    client.force_login(make_user(is_staff=True))

    response = client.get(reverse("admin:index"))

    assert response.status_code == 200
    assert reverse("dashboard:overview") not in response.content.decode()


def test_pages_load_nothing_from_elsewhere_and_hold_no_inline_handlers(viewer: Client) -> None:
    for name in PAGES:
        html = viewer.get(reverse(f"dashboard:{name}")).content.decode()
        sources = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', html)
        assert sources
        assert [source for source in sources if re.match(r"(https?:)?//", source)] == []
        content = html[html.index('<main class="dash">') :]
        assert not re.search(r"\son[a-z]+=", content)
