"""Startups in the admin."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from redis import Redis

from accounts.models import User
from recsys.serving.live_catalogue import LiveCatalogueStore
from startups.models import Startup
from testing import Make

LIST = "admin:startups_startup_changelist"


@pytest.fixture
def staff(admin_user: User) -> Client:
    """An operator."""
    client = Client()
    client.force_login(admin_user)
    return client


def test_startups_are_found_by_a_part_of_the_name_or_the_id(staff: Client, make_startup: Make) -> None:
    acme, _other = make_startup(name="Big Acme"), make_startup(name="Other")

    for text in ("acme", str(acme.pk)):
        assert list(staff.get(reverse(LIST), {"q": text}).context["cl"].result_list) == [acme]


@pytest.mark.django_db(transaction=True)
def test_stopping_and_resuming_reaches_the_live_catalogue(
    staff: Client, make_startup: Make, redis: Redis
) -> None:
    startups = [make_startup() for _ in range(3)]
    chosen = [startups[0].pk, startups[1].pk]
    catalogue = LiveCatalogueStore(redis)

    staff.post(reverse(LIST), {"action": "make_inactive", "_selected_action": chosen})
    assert catalogue.fetch().inactive == {str(pk) for pk in chosen}
    assert Startup.objects.filter(is_active=True).count() == 1

    staff.post(reverse(LIST), {"action": "make_active", "_selected_action": chosen[:1]})
    assert catalogue.fetch().inactive == {str(chosen[1])}


@pytest.mark.django_db(transaction=True)
def test_one_added_here_can_be_recommended_at_once(staff: Client, redis: Redis) -> None:
    form = {
        "name": "Acme",
        "tags": "b2b,logistics",
        "website": "acme.example",
        "is_active": "on",
        "created_at_0": "2026-11-01",
        "created_at_1": "10:00:00",
    }

    response = staff.post(reverse("admin:startups_startup_add"), form)

    assert response.status_code == 302, response.context["errors"]
    startup = Startup.objects.get()
    assert (startup.tags, startup.website) == (["b2b", "logistics"], "https://acme.example")
    assert LiveCatalogueStore(redis).fetch().startups[str(startup.pk)].tags == ("b2b", "logistics")


def test_startups_are_not_deleted(staff: Client, make_startup: Make) -> None:
    startup = make_startup()

    assert staff.post(reverse("admin:startups_startup_delete", args=[startup.pk])).status_code == 403
    assert Startup.objects.filter(pk=startup.pk).exists()
