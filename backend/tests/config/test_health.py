"""The probes."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

from testing import Make


@pytest.mark.parametrize("host", ["localhost", "10.0.0.7", "backend:8000"])
def test_a_probe_is_answered_whatever_name_it_calls(db: None, settings: Settings, host: str) -> None:
    settings.ALLOWED_HOSTS = ["example.org"]
    client = Client(headers={"host": host})

    for path in ("/health/live", "/health/ready"):
        response = client.get(path)
        assert (response.status_code, response.json()["status"]) == (200, "ok")
        assert response["Cache-Control"] == "no-store"
        assert response["X-Request-ID"]


def test_living_asks_nobody(db: None, django_assert_num_queries: Make) -> None:
    with django_assert_num_queries(0):
        assert Client().get("/health/live").status_code == 200
    with django_assert_num_queries(1):
        assert Client().get("/health/ready").status_code == 200
