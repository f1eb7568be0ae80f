"""Who may call the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import ApiKey, User
from accounts.services import create_api_key, revoke_api_keys
from testing import Api, Make, error_of


def with_key(text: str, header: str = "Authorization") -> Api:
    return Api(Client(), {header: f"Bearer {text}" if header == "Authorization" else text})


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_key_is_taken_from_either_header(db: None, header: str) -> None:
    _, text = create_api_key(name="web", scopes=["read"])

    assert with_key(text, header).get("/startups").status_code == 200


def test_the_database_keeps_no_key(db: None) -> None:
    key, text = create_api_key(name="web", scopes=["read"])

    stored = ApiKey.objects.values().get(pk=key.pk)
    assert text not in str(stored)
    assert text.split("_", 2)[2] not in str(stored)
    assert stored["prefix"] == text.split("_")[1]


def test_without_a_key_or_a_session_nothing_is_answered(anonymous: Api, db: None) -> None:
    response = anonymous.get("/startups")

    assert error_of(response) == (401, "unauthenticated")
    assert response["WWW-Authenticate"] == "Bearer"
    assert error_of(anonymous.post("/interactions", {})) == (401, "unauthenticated")


@pytest.mark.parametrize("text", ["x", "sr_", "sr_0_0", "sr_0", "a" * 5000, "Bearer", "ключ"])
def test_a_key_that_was_never_made_is_refused(db: None, text: str) -> None:
    assert error_of(with_key(text).get("/startups")) == (401, "invalid_api_key")


def test_a_right_prefix_with_a_wrong_secret_is_refused(db: None) -> None:
    _, text = create_api_key(name="web", scopes=["read"])

    assert error_of(with_key(text[:-1] + ("a" if text[-1] != "a" else "b")).get("/startups")) == (
        401,
        "invalid_api_key",
    )


def test_a_revoked_key_is_refused(db: None) -> None:
    _, text = create_api_key(name="web", scopes=["read"])
    assert revoke_api_keys(ApiKey.objects.all()) == 1

    response = with_key(text).get("/startups")

    assert error_of(response) == (401, "invalid_api_key")
    assert "revoked" in response.json()["message"]


def test_an_expired_key_is_refused(db: None) -> None:
    now = timezone.now()
    _, expired = create_api_key(name="web", scopes=["read"], expires_at=now - timedelta(seconds=1))
    _, valid = create_api_key(name="web", scopes=["read"], expires_at=now + timedelta(hours=1))

    response = with_key(expired).get("/startups")

    assert error_of(response) == (401, "invalid_api_key")
    assert "expired" in response.json()["message"]
    assert with_key(valid).get("/startups").status_code == 200


def test_a_scope_that_is_missing_is_named(make_api: Make) -> None:
    response = make_api("read").put(f"/users/{uuid4()}", {})

    assert error_of(response) == (403, "missing_scope")
    assert response.json()["detail"] == {"scope": "write"}
    assert make_api("admin").put(f"/users/{uuid4()}", {}).status_code == 201


def test_the_last_use_is_kept_to_the_minute(db: None, django_assert_num_queries: Make) -> None:
    key, text = create_api_key(name="web", scopes=["read"])
    service = with_key(text)
    service.get("/startups")
    key.refresh_from_db()
    assert abs(timezone.now() - key.last_used_at) < timedelta(minutes=1)

    with django_assert_num_queries(2):  # the key, the startups; no write
        service.get("/startups")


def test_a_session_needs_its_csrf_token_to_write(person: tuple[User, Api]) -> None:
    user, api = person
    forged = Api(api.client, {})

    assert error_of(forged.put(f"/users/{user.pk}/interests", {"interests": []})) == (403, "csrf_failed")
    assert forged.get(f"/users/{user.pk}").status_code == 200


def test_a_key_needs_no_csrf_token(db: None) -> None:
    _, text = create_api_key(name="web", scopes=["write"])
    service = Api(Client(enforce_csrf_checks=True), {"Authorization": f"Bearer {text}"})

    assert service.put(f"/users/{uuid4()}", {}).status_code == 201


def test_staff_are_people_too(person: tuple[Any, Api], make_user: Make) -> None:
    user, api = person
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)

    assert error_of(api.get(f"/users/{make_user().pk}")) == (403, "forbidden")
