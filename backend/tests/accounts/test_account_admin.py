"""Users and API keys in the admin."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse
from redis import Redis

from accounts.models import ApiKey, User
from accounts.services import create_api_key
from interactions.models import UserInteraction
from recsys.serving.live_profile import LiveProfileStore
from testing import Api, Make, error_of


@pytest.fixture
def staff(admin_user: User) -> Client:
    """An operator."""
    client = Client()
    client.force_login(admin_user)
    return client


def test_a_key_made_here_works_and_is_shown_once(staff: Client, admin_user: User) -> None:
    response = staff.post(
        reverse("admin:accounts_apikey_add"), {"name": "web", "scopes": ["read"]}, follow=True
    )

    (text,) = set(re.findall(r"sr_[\w-]{50,}", response.content.decode()))
    key = ApiKey.objects.get()
    assert (key.name, key.scopes, key.created_by) == ("web", ["read"], admin_user)
    assert Api(Client(), {"X-API-Key": text}).get("/startups").status_code == 200
    again = staff.get(reverse("admin:accounts_apikey_change", args=[key.pk])).content.decode()
    assert key.prefix in again
    assert text not in again
    assert key.key_hash not in again


def test_a_key_needs_a_scope(staff: Client) -> None:
    response = staff.post(reverse("admin:accounts_apikey_add"), {"name": "web"})

    assert list(response.context["adminform"].form.errors) == ["scopes"]
    assert not ApiKey.objects.exists()


def test_a_key_is_revoked_not_changed_or_deleted(staff: Client) -> None:
    key, text = create_api_key(name="web", scopes=["read"])
    change = reverse("admin:accounts_apikey_change", args=[key.pk])

    staff.post(change, {"name": "web", "scopes": ["admin"]})
    key.refresh_from_db()
    assert key.scopes == ["read"]
    assert staff.post(reverse("admin:accounts_apikey_delete", args=[key.pk])).status_code == 403

    staff.post(
        reverse("admin:accounts_apikey_changelist"), {"action": "revoke", "_selected_action": [key.pk]}
    )
    assert error_of(Api(Client(), {"X-API-Key": text}).get("/startups")) == (401, "invalid_api_key")
    assert "revoked" in staff.get(change.replace(f"{key.pk}/change/", "")).content.decode()


def test_users_are_found_by_the_start_of_the_name_or_the_id(staff: Client, make_user: Make) -> None:
    ada, _bob = make_user(username="ada"), make_user(username="bob-ada")

    def found(text: str) -> list[User]:
        return list(
            staff.get(reverse("admin:accounts_user_changelist"), {"q": text}).context["cl"].result_list
        )

    assert found("ad") == [ada, *User.objects.filter(username="admin")]
    assert found(str(ada.pk)) == [ada]


@pytest.mark.django_db(transaction=True)
def test_interests_saved_here_are_in_the_profile(staff: Client, make_user: Make, redis: Redis) -> None:
    user = make_user(username="ada")
    change = reverse("admin:accounts_user_change", args=[user.pk])

    response = staff.post(
        change, {"username": "ada", "interests": "AI,Space", "opted_out": "on", "is_active": "on"}
    )

    assert response.status_code == 302, response.context["errors"]
    profile = LiveProfileStore(redis).fetch(str(user.pk))
    assert (profile.interests, profile.opted_out) == (("AI", "Space"), True)


def test_before_a_user_is_deleted_their_acts_are_counted_not_listed(
    staff: Client, make_user: Make, make_startup: Make, django_assert_max_num_queries: Make
) -> None:
    user = make_user(username="ada")
    UserInteraction.objects.bulk_create(
        UserInteraction(user=user, startup=make_startup(), type="view") for _ in range(120)
    )
    delete = reverse("admin:accounts_user_delete", args=[user.pk])

    with django_assert_max_num_queries(10):
        page = staff.get(delete).content.decode()
    assert "120 interactions" in page
    assert "view 0" not in page

    assert staff.post(delete, {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=user.pk).exists()
    assert not UserInteraction.objects.exists()
