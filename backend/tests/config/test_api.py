"""What holds for the whole API: its error shape, its request ids, its docs page without a network."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from config.api_errors import STATUS_OF_ERROR
from config.request_id import UtcFormatter
from recsys import errors
from testing import Api, error_of


def test_every_error_of_the_core_has_a_status() -> None:
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    assert {kind for kind in kinds if issubclass(kind, errors.RecsysError)} == set(STATUS_OF_ERROR)


def test_an_address_that_is_not_there(anonymous: Api) -> None:
    assert error_of(anonymous.get("/nothing")) == (404, "not_found")
    assert error_of(anonymous.get("/")) == (404, "not_found")


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("path", ["/api", "/api/v1"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_root_without_its_slash(settings: Any, method: str, path: str, debug: bool) -> None:
    settings.DEBUG = debug

    assert error_of(Client().generic(method, path, b"{}")) == (404, "not_found")


def test_a_method_that_is_not_known(anonymous: Api) -> None:
    response = anonymous("PATCH", "/startups")

    assert error_of(response) == (405, "method_not_allowed")
    assert set(response["Allow"].split(", ")) == {"GET", "PUT"}


def test_a_fault_of_ours_tells_the_request_id_and_nothing_else(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("startups.api.page_of_startups", fail)

    response = api.get("/startups")

    assert error_of(response) == (500, "internal_error")
    assert response.json()["detail"] == {"request_id": response["X-Request-ID"]}
    assert b"secret" not in response.content
    assert any(record.exc_info and "secret" in str(record.exc_info[1]) for record in caplog.records)


@pytest.mark.django_db(transaction=True)
def test_a_lost_database_is_unavailable_not_a_fault(api: Api) -> None:
    with connection.cursor() as cursor, psycopg.connect(**connection.get_connection_params()) as other:
        cursor.execute("SELECT pg_backend_pid()")
        other.execute("SELECT pg_terminate_backend(%s)", cursor.fetchone())

    try:
        response = api.get("/startups")
    finally:
        connection.close()

    assert error_of(response) == (503, "database_unavailable")
    assert api.get("/startups").status_code == 200


@pytest.mark.parametrize("given", ["abc-123", "a" * 64, "trace:1.2_3"])
def test_a_sane_request_id_is_kept(anonymous: Api, given: str) -> None:
    response = Client().get("/health/live", headers={"X-Request-ID": given})

    assert response["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "a" * 65, "two words", "a\tb", "é", '"><script>'])
def test_a_request_id_that_is_not_sane_is_replaced(anonymous: Api, given: str) -> None:
    response = Client().get("/health/live", headers={"X-Request-ID": given})

    assert re.fullmatch(r"[0-9a-f]{32}", response["X-Request-ID"])


def fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError("secret")


def test_log_lines_carry_the_request_id(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    (handler,) = (each for each in logging.getLogger().handlers if isinstance(each.formatter, UtcFormatter))
    lines = io.StringIO()
    stream = handler.setStream(lines)
    try:
        monkeypatch.setattr("startups.api.page_of_startups", fail)
        api.client.get("/api/v1/startups", headers={"X-Request-ID": "find-me", **api.headers})
        logging.getLogger("elsewhere").warning("outside")
    finally:
        handler.setStream(stream)

    failed, *traceback, answered, outside = lines.getvalue().splitlines()
    assert " request=find-me request failed" in failed
    assert "ZeroDivisionError: secret" in traceback
    assert " request=find-me Internal Server Error: /api/v1/startups" in answered
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING elsewhere request=- outside", outside)


def test_the_docs_page_loads_nothing_from_elsewhere(db: None) -> None:
    client = Client()

    page = client.get("/api/v1/docs").content.decode()
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(sources) >= 3
    for source in sources:
        assert source.startswith("/static/"), source
        response = client.get(source)
        assert response.status_code == 200, source
        response.close()
    settings = re.search(
        r'<script type="application/json" id="swagger-settings">(.*?)</script>', page, re.DOTALL
    )
    assert settings
    assert json.loads(settings[1])["validatorUrl"] is None
    assert json.loads(settings[1])["url"] == "/api/v1/openapi.json"


def test_the_openapi_document_describes_every_endpoint(db: None) -> None:
    document = Client().get("/api/v1/openapi.json").json()

    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == {
        ("/api/v1/interactions", "post"),
        ("/api/v1/interactions/{event_id}", "delete"),
        ("/api/v1/users", "put"),
        ("/api/v1/users/{user_id}", "put"),
        ("/api/v1/users/{user_id}", "get"),
        ("/api/v1/users/{user_id}/interests", "put"),
        ("/api/v1/users/{user_id}/recommendations", "get"),
        ("/api/v1/startups", "put"),
        ("/api/v1/startups", "get"),
        ("/api/v1/startups/{startup_id}", "put"),
        ("/api/v1/startups/{startup_id}", "get"),
    }
    body = document["paths"]["/api/v1/interactions"]["post"]["requestBody"]
    assert "event_id" in json.dumps(body)
