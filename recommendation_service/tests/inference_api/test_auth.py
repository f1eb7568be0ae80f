from __future__ import annotations

from collections.abc import Callable

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from recsys.serving.live_profile import LiveProfileStore

FIRST, SECOND = "first-service-key-0123456789", "second-service-key-0123456789"
GUARDED = (
    "/recommend?user_id=anna",
    "/similar?startup_id=s00",
    "/popular",
    "/audience?startup_id=s00",
    "/explain?user_id=anna&startup_id=s01",
    "/metrics",
)
OPEN = ("/health/live", "/health/ready", "/openapi.json", "/docs/")


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {FIRST}"},
        {"Authorization": f"bearer  {SECOND}"},
        {"X-API-Key": SECOND},
    ],
)
def test_any_configured_key_opens(guarded: FlaskClient, path: str, headers: dict[str, str]) -> None:
    assert guarded.get(path, headers=headers).status_code == 200


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "unauthenticated"),
        ({"Authorization": "Bearer "}, "unauthenticated"),
        ({"Authorization": f"Basic {FIRST}"}, "unauthenticated"),
        ({"X-API-Key": ""}, "unauthenticated"),
        ({"X-API-Key": FIRST[:-1]}, "invalid_api_key"),
        ({"X-API-Key": f"{FIRST},{SECOND}"}, "invalid_api_key"),
        ({"Authorization": "Bearer \u00fcber-key"}, "invalid_api_key"),
    ],
)
def test_no_key_or_a_wrong_one_is_refused(
    guarded: FlaskClient, path: str, headers: dict[str, str], code: str
) -> None:
    response = guarded.get(path, headers=headers)
    assert (response.status_code, response.json["error"]) == (401, code)
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert FIRST not in response.text


@pytest.mark.parametrize("path", OPEN)
def test_probes_and_docs_need_no_key(guarded: FlaskClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_an_unknown_address_is_404_with_or_without_a_key(guarded: FlaskClient) -> None:
    assert guarded.get("/nowhere").status_code == 404


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", ""])
def test_without_a_configured_key_this_machine_is_answered(client: FlaskClient, address: str) -> None:
    response = client.get("/popular", environ_overrides={"REMOTE_ADDR": address})
    assert response.status_code == 200


@pytest.mark.parametrize("address", ["10.0.0.7", "192.168.1.2", "::ffff:10.0.0.7", "2001:db8::1"])
def test_without_a_configured_key_nobody_else_is(client: FlaskClient, address: str) -> None:
    response = client.get("/popular", environ_overrides={"REMOTE_ADDR": address})
    assert (response.status_code, response.json["error"]) == (401, "unauthenticated")
    assert "INFERENCE_API_KEY" in response.json["message"]


def test_starting_without_a_key_warns(
    make_app: Callable[..., APIFlask], synced: LiveProfileStore, caplog: pytest.LogCaptureFixture
) -> None:
    make_app()
    assert "no INFERENCE_API_KEY is set" in caplog.text
    caplog.clear()
    make_app(api_keys=(FIRST,))
    assert "INFERENCE_API_KEY" not in caplog.text


def test_every_address_but_the_open_ones_is_guarded(make_app: Callable[..., APIFlask]) -> None:
    app = make_app(api_keys=(FIRST,))
    open_rules = set()
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<path:path>", "swagger-ui.css")
        method = min((rule.methods or set()) - {"HEAD", "OPTIONS"})
        with app.test_client().open(path, method=method) as response:
            if response.status_code != 401:
                open_rules.add(rule.rule)
    assert open_rules == {"/health/live", "/health/ready", "/openapi.json", "/docs/", "/docs/<path:path>"}
