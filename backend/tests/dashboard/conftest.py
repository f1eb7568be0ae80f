"""People who look at the dashboard."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import Settings

from dashboard.health import inference_probe, redis_probe
from recommendations.inference import inference_client
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
def fresh_health(settings: Settings) -> Iterator[None]:
    """What was asked before is forgotten, and no inference service of the machine is asked."""
    inference_client.cache_clear()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.INFERENCE_URL = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        for probe in (redis_probe, inference_probe):
            probe.forget()
        yield
    inference_client().close()
    inference_client.cache_clear()
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
