"""Training runs in the admin."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from redis import Redis

from accounts.models import User
from recommendations.models import TrainingRun

ADD = "admin:recommendations_trainingrun_add"


@pytest.fixture
def staff(admin_user: User) -> Client:
    """An operator."""
    client = Client()
    client.force_login(admin_user)
    return client


@pytest.mark.django_db(transaction=True)
def test_adding_a_run_starts_a_training(staff: Client, admin_user: User, redis: Redis) -> None:
    response = staff.post(reverse(ADD), {"kind": "als", "parameters": '{"als": {"factors": 64}}'})

    assert response.status_code == 302
    run = TrainingRun.objects.get()
    assert (run.kind, run.trigger, run.started_by) == ("als", TrainingRun.Trigger.MANUAL, admin_user)
    assert (run.status, run.parameters) == (TrainingRun.Status.QUEUED, {"als": {"factors": 64}})
    assert redis.llen("train") == 1


@pytest.mark.parametrize("parameters", ["{", "[1]", '{"als": 3}', '{"svd3": {}}', '{"als": {"factor": 3}}'])
def test_parameters_that_cannot_work_are_told_at_the_field(staff: Client, parameters: str) -> None:
    response = staff.post(reverse(ADD), {"kind": "all", "parameters": parameters})

    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == ["parameters"]
    assert not TrainingRun.objects.exists()


def test_a_run_is_for_reading(staff: Client) -> None:
    run = TrainingRun.objects.create(
        status=TrainingRun.Status.RUNNING,
        stage="fitting als",
        percent=42.0,
        seconds_left=90.0,
        log_tail="<script>alert(1)</script>",
    )
    address = reverse("admin:recommendations_trainingrun_change", args=[run.pk])

    html = staff.get(address).content.decode()

    assert "42 %: fitting als, 90 s left" in html
    assert "<script>alert(1)" not in html
    staff.post(address, {"status": "succeeded", "release": "forged"})
    run.refresh_from_db()
    assert (run.status, run.release) == (TrainingRun.Status.RUNNING, "")
    assert staff.post(reverse("admin:recommendations_trainingrun_delete", args=[run.pk])).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_pressing_twice_leads_to_the_run_that_is_queued_already(staff: Client, redis: Redis) -> None:
    staff.post(reverse(ADD), {"kind": "als", "parameters": "{}"})
    run = TrainingRun.objects.get()

    response = staff.post(reverse(ADD), {"kind": "als", "parameters": "{}"}, follow=True)

    assert TrainingRun.objects.count() == 1
    assert f"Run {run.pk} does the same and is queued" in response.content.decode()
    assert redis.llen("train") == 1
