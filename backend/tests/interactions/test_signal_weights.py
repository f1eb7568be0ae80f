"""The weights of the signals: one row, checked, and followed by the profiles."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse
from redis import Redis

from interactions.models import SignalWeights
from interactions.selectors import current_weights
from interactions.tasks import sync_profiles
from recsys.datasets.weights import DEFAULT_WEIGHTS
from recsys.errors import ConfigError
from testing import Make

FORM = {name: str(weight) for name, weight in DEFAULT_WEIGHTS.items()}


@pytest.fixture
def staff(admin_user: Any) -> Client:
    """An operator."""
    client = Client()
    client.force_login(admin_user)
    return client


def post(staff: Client, **changed: str) -> Any:
    SignalWeights.objects.get_or_create(pk=1)
    return staff.post(reverse("admin:interactions_signalweights_change", args=[1]), {**FORM, **changed})


def test_without_a_row_the_defaults_hold(db: None) -> None:
    assert current_weights() == DEFAULT_WEIGHTS


def test_the_list_is_the_form_of_the_one_row(staff: Client) -> None:
    response = staff.get(reverse("admin:interactions_signalweights_changelist"), follow=True)

    assert response.status_code == 200
    assert 'name="dislike"' in response.content.decode()
    assert SignalWeights.objects.get().by_type() == DEFAULT_WEIGHTS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[
            ("view", "0"),
            ("view", "-1"),
            ("dislike", "1"),
            ("dislike", "0"),
            ("apply", "nan"),
            ("apply", "inf"),
        ],
        *[("view", "1e39"), ("interest", "1000001"), ("dislike", "-1e39"), ("click", "1e-60")],
    ],
)
def test_a_weight_that_changes_the_meaning_is_refused_at_its_field(
    staff: Client, field: str, value: str
) -> None:
    response = post(staff, **{field: value})

    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == [field]
    assert current_weights() == DEFAULT_WEIGHTS


@pytest.mark.django_db(transaction=True)
def test_saved_weights_hold_and_the_worker_is_asked_to_renew_the_profiles(
    staff: Client, redis: Redis
) -> None:
    before = SignalWeights.objects.get_or_create(pk=1)[0].version

    assert post(staff, view="0.25").status_code == 302

    weights = SignalWeights.objects.get()
    assert (weights.view, weights.version) == (0.25, before + 1)
    assert current_weights()["view"] == 0.25
    (message,) = redis.lrange("default", 0, -1)
    assert json.loads(message)["headers"]["task"] == sync_profiles.name


@pytest.mark.django_db(transaction=True)
def test_the_worker_renews_every_profile(make_user: Make, redis: Redis) -> None:
    users = [make_user() for _ in range(3)]
    redis.flushdb()

    assert sync_profiles() == 3
    assert len(redis.keys("recs:profile:*")) == len(users)


def test_code_cannot_save_weights_that_cannot_work(db: None) -> None:
    with pytest.raises(ConfigError, match="view"):
        SignalWeights(view=0).save()
    with pytest.raises(ValidationError, match="dislike"):
        SignalWeights(dislike=2).full_clean()


def test_there_is_one_row(db: None) -> None:
    SignalWeights().save()
    with pytest.raises(IntegrityError):
        SignalWeights(pk=2).save()
