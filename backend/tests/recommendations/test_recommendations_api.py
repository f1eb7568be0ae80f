"""GET /api/v1/users/{id}/recommendations, and the client that asks the inference service."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import Settings

from recommendations import inference
from recommendations.inference import inference_client
from testing import Api, Make, error_of


@dataclass
class Service:
    """An HTTP server that answers what a test tells it to, and keeps what it was asked."""

    status: int = 200
    body: bytes = b"{}"
    asked: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)

    def answer(self, status: int, body: Any) -> None:
        """From now on."""
        self.status, self.body = status, body if isinstance(body, bytes) else json.dumps(body).encode()


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    """The inference service, as far as HTTP goes."""
    told = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.asked.append((self.path, body, dict(self.headers)))
            with suppress(ConnectionError):  # who waits no longer has hung up
                self.send_response(told.status)
                self.send_header("Content-Length", str(len(told.body)))
                self.end_headers()
                self.wfile.write(told.body)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    settings.INFERENCE_URL = f"http://127.0.0.1:{server.server_port}"
    settings.INFERENCE_API_KEY = "service-key"
    inference_client.cache_clear()
    yield told
    inference_client().close()
    inference_client.cache_clear()
    server.shutdown()
    thread.join()
    server.server_close()


def an_answer(user_id: object, *startup_ids: object) -> dict[str, Any]:
    ranked = [
        {
            "id": str(each),
            "rank": n,
            "score": 1 / (n + 1),
            "source": "als",
            "reason": "Because you liked Acme",
        }
        for n, each in enumerate(startup_ids, start=1)
    ]
    return {
        "user_id": str(user_id),
        "startups": ranked,
        "method_used": "als",
        "interaction_count": 7,
        "model_version": "20261122T030000Z-3f9a",
        "recommendation_id": "r-1",
        "degraded": None,
    }


def test_the_answer_carries_the_startups_details(
    api: Api, service: Service, make_user: Make, make_startup: Make
) -> None:
    user, first, second = make_user(), make_startup(name="First", city="Oslo"), make_startup(name="Second")
    service.answer(200, an_answer(user.pk, second.pk, first.pk))

    response = api.get(f"/users/{user.pk}/recommendations")

    assert response.status_code == 200
    body = response.json()
    assert [(each["rank"], each["startup"]["name"]) for each in body["startups"]] == [
        (1, "Second"),
        (2, "First"),
    ]
    assert body["startups"][1]["startup"]["city"] == "Oslo"
    assert {name: value for name, value in body.items() if name != "startups"} == {
        name: value for name, value in an_answer(user.pk).items() if name != "startups"
    }


def test_options_the_key_and_the_request_id_go_along(api: Api, service: Service, make_user: Make) -> None:
    user = make_user()
    options = {
        "limit": 3,
        "exclude": [str(uuid4()), str(uuid4())],
        "industry": ["Fintech", "Health,Space"],
        "country": ["Peru"],
        "stage": ["Seed"],
        "created_after": "2026-11-22",
        "diversity": 0.3,
        "method": "als",
        "seen": "view:7,click:30",
    }
    service.answer(200, an_answer(user.pk))

    response = api.get(f"/users/{user.pk}/recommendations", **options)

    ((path, asked, headers),) = service.asked
    assert path == "/recommend"
    assert asked == {"user_id": str(user.pk), **options}
    assert headers["Authorization"] == "Bearer service-key"
    assert headers["X-Request-ID"] == response["X-Request-ID"]


def test_what_is_not_asked_is_left_to_the_service(api: Api, service: Service, make_user: Make) -> None:
    user = make_user()
    service.answer(200, an_answer(user.pk))

    api.get(f"/users/{user.pk}/recommendations")

    assert [asked for _, asked, _ in service.asked] == [{"user_id": str(user.pk)}]


def test_what_went_away_a_moment_ago_is_left_out(
    api: Api, service: Service, make_user: Make, make_startup: Make
) -> None:
    user, there, inactive = make_user(), make_startup(), make_startup(is_active=False)
    service.answer(200, an_answer(user.pk, uuid4(), inactive.pk, there.pk))

    body = api.get(f"/users/{user.pk}/recommendations").json()

    assert [each["id"] for each in body["startups"]] == [str(there.pk)]


def test_a_hundred_startups_cost_as_many_queries_as_one(
    api: Api, service: Service, make_user: Make, make_startup: Make, django_assert_num_queries: Make
) -> None:
    user = make_user()
    service.answer(200, an_answer(user.pk, *(make_startup().pk for _ in range(100))))
    api.get("/startups")  # the key's last use is written once a minute

    with django_assert_num_queries(3):  # the key, the user, the startups
        assert len(api.get(f"/users/{user.pk}/recommendations", limit=100).json()["startups"]) == 100


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 101},
        {"limits": 5},
        {"exclude": "acme"},
        {"diversity": 1.5},
        {"diversity": "nan"},
        {"industry": "a\x00b"},
    ],
)
def test_an_option_that_cannot_be_is_refused_here(
    api: Api, service: Service, make_user: Make, query: dict[str, Any]
) -> None:
    response = api.get(f"/users/{make_user().pk}/recommendations", **query)

    assert error_of(response) == (422, "invalid_request")
    assert not service.asked


def test_more_parameters_than_an_address_may_have_are_a_bad_request(
    api: Api, service: Service, make_user: Make
) -> None:
    excluded = [str(uuid4()) for _ in range(1001)]

    response = api.get(f"/users/{make_user().pk}/recommendations", exclude=excluded)

    assert error_of(response) == (400, "bad_request")
    assert not service.asked


def test_an_option_that_the_service_refuses_is_told(api: Api, service: Service, make_user: Make) -> None:
    refusal = {
        "error": "invalid_request",
        "message": "method 'svd' is not known; use als.",
        "detail": {"a": 1},
    }
    service.answer(422, refusal)

    response = api.get(f"/users/{make_user().pk}/recommendations", method="svd")

    assert error_of(response) == (422, "invalid_request")
    assert response.json() == refusal


@pytest.mark.parametrize(
    ("status", "body", "mend"),
    [
        (401, {"error": "unauthenticated", "message": "Send the key."}, "INFERENCE_API_KEY"),
        (
            503,
            {"error": "unavailable", "message": "Nothing is trained yet; train."},
            "Nothing is trained yet",
        ),
        (500, {"error": "internal_error", "message": "Something failed."}, "Something failed"),
        (200, b"<html>another service</html>", "INFERENCE_URL"),
        (404, b"<html>another service</html>", "INFERENCE_URL"),
        (200, [], "INFERENCE_URL"),
        (200, {"hello": "world"}, "INFERENCE_URL"),
    ],
)
def test_a_service_that_fails_is_unavailable_with_the_mend(
    api: Api, service: Service, make_user: Make, status: int, body: Any, mend: str
) -> None:
    service.answer(status, body)

    response = api.get(f"/users/{make_user().pk}/recommendations")

    assert error_of(response) == (503, "unavailable")
    assert mend in response.json()["message"]


def test_a_service_that_is_down_is_unavailable_with_the_mend(
    api: Api, make_user: Make, settings: Settings
) -> None:
    settings.INFERENCE_URL = "http://127.0.0.1:9"  # discard: nothing listens there
    inference_client.cache_clear()

    response = api.get(f"/users/{make_user().pk}/recommendations")

    inference_client().close()
    inference_client.cache_clear()
    assert error_of(response) == (503, "unavailable")
    assert "gunicorn inference_api.wsgi:app" in response.json()["message"]


def test_a_service_that_does_not_answer_in_time_is_unavailable(
    api: Api, service: Service, make_user: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "ANSWER_TIMEOUT_S", 1e-6)
    inference_client.cache_clear()

    assert error_of(api.get(f"/users/{make_user().pk}/recommendations")) == (503, "unavailable")


def test_an_unknown_user_is_not_found(api: Api, service: Service) -> None:
    assert error_of(api.get(f"/users/{uuid4()}/recommendations")) == (404, "not_found")
    assert not service.asked


def test_a_person_gets_only_their_own(person: tuple[Any, Api], service: Service, make_user: Make) -> None:
    user, api = person
    service.answer(200, an_answer(user.pk))

    assert api.get(f"/users/{user.pk}/recommendations").status_code == 200
    assert error_of(api.get(f"/users/{make_user().pk}/recommendations")) == (403, "forbidden")
