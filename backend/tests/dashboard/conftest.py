"""People who look at the dashboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from dashboard.health import inference_probe, redis_probe
from testing import Make


@pytest.fixture
def viewer(make_user: Make) -> Client:
    """Staff with the permission to view trainings, and no other."""
    user = make_user(username="viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_trainingrun"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def fresh_health() -> Iterator[None]:
    """What was asked of Redis and the inference service before is forgotten."""
    for probe in (redis_probe, inference_probe):
        probe.forget()
    yield
    for probe in (redis_probe, inference_probe):
        probe.forget()


@pytest.fixture
def operator(make_user: Make) -> Client:
    """Staff who may also train and change what is served."""
    user = make_user(username="operator", is_staff=True)
    names = ("view_trainingrun", "operate")
    permissions = Permission.objects.filter(codename__in=names, content_type__app_label="recommendations")
    assert len(permissions) == len(names)
    user.user_permissions.set(permissions)
    client = Client()
    client.force_login(user)
    return client
