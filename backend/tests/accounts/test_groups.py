"""Viewer, Operator and Administrator: what each may in the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts.groups import ADMINISTRATOR, OPERATOR, VIEWER
from testing import Make

pytestmark = pytest.mark.django_db

RUNS = "dashboard:runs"
NEW_RUN = "dashboard:retrain"
NEW_KEY = "admin:accounts_apikey_add"
WEIGHTS = "interactions.change_signalweights"
SCHEDULE = "django_celery_beat.change_periodictask"


@pytest.mark.parametrize(
    ("name", "sees", "operates", "administers"),
    [
        (VIEWER, True, False, False),
        (OPERATOR, True, True, False),
        (ADMINISTRATOR, True, True, True),
    ],
)
def test_each_group_may_what_its_name_says(
    make_user: Make, name: str, sees: bool, operates: bool, administers: bool
) -> None:
    user = make_user(is_staff=True)
    user.groups.add(Group.objects.get(name=name))
    client = Client()
    client.force_login(user)

    assert (client.get(reverse(RUNS)).status_code == 200) == sees
    # A form with a fault in it, so that nothing starts.
    assert (client.post(reverse(NEW_RUN), {"kind": "nothing"}).status_code == 200) == operates
    assert (client.get(reverse(NEW_KEY)).status_code == 200) == administers
    assert user.has_perm("recommendations.operate") == operates
    assert user.has_perm(WEIGHTS) == user.has_perm(SCHEDULE) == administers


def test_a_viewer_may_nothing_but_view() -> None:
    viewer = Group.objects.get(name=VIEWER)

    verbs = {permission.codename.partition("_")[0] for permission in viewer.permissions.all()}
    assert verbs == {"view"}


def test_what_an_operator_changed_in_a_group_stays_and_a_missing_one_comes_back() -> None:
    viewer = Group.objects.get(name=VIEWER)
    viewer.permissions.clear()
    Group.objects.get(name=OPERATOR).delete()
    Permission.objects.filter(codename="operate").delete()

    call_command("migrate", verbosity=0)

    assert not viewer.permissions.exists()
    assert Group.objects.get(name=OPERATOR).permissions.filter(codename="operate").exists()
