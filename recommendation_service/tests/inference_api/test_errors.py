from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from inference_api.app import MAX_BODY_BYTES
from inference_api.errors import STATUS_OF_ERROR
from recsys.errors import RecsysError


def family(error: type[RecsysError]) -> Iterator[type[RecsysError]]:
    yield error
    for child in error.__subclasses__():
        yield from family(child)


def test_every_error_of_ours_has_a_status() -> None:
    served = {error for error in family(RecsysError) if not error.__module__.startswith("recommendations.")}
    assert served == set(STATUS_OF_ERROR)  # the backend's own never reach this service


@pytest.mark.parametrize("kind", STATUS_OF_ERROR)
def test_every_error_of_ours_answers_in_the_one_shape(make_app: Callable[..., APIFlask], kind: type) -> None:
    app = make_app()

    @app.get("/fail")
    def fail() -> None:
        raise kind("The thing is broken; mend it.", thing=7)

    response = app.test_client().get("/fail")
    assert response.status_code == STATUS_OF_ERROR[kind]
    assert response.json == {
        "error": kind.code,
        "message": "The thing is broken; mend it.",
        "detail": {"thing": 7},
    }


def test_an_unexpected_error_tells_the_request_id_and_nothing_of_the_inside(
    make_app: Callable[..., APIFlask], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()

    @app.get("/fail")
    def fail() -> None:
        raise ZeroDivisionError("secret")

    response = app.test_client().get("/fail", headers={"X-Request-ID": "abc-1"})
    assert response.status_code == 500
    assert response.json["error"] == "internal_error"
    assert response.json["detail"] == {"request_id": "abc-1"}
    assert "secret" not in response.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/popular", 405, "method_not_allowed"),
        ("DELETE", "/health/live", 405, "method_not_allowed"),
    ],
)
def test_flasks_own_errors_have_the_shape_too(
    client: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    response = client.open(path, method=method)
    assert response.status_code == status
    assert (response.json["error"], response.json["detail"]) == (code, {})
    assert response.json["message"]
    if status == 405:
        assert "GET" in response.headers["Allow"]


def test_a_huge_body_is_refused(client: FlaskClient) -> None:
    response = client.get("/recommend?user_id=anna", data=b"x" * (MAX_BODY_BYTES + 1))
    assert (response.status_code, response.json["error"]) == (413, "body_too_large")


@pytest.mark.parametrize("given", ["abc-1", "A.b_c:9-z", "x" * 64])
def test_a_sane_request_id_comes_back(client: FlaskClient, given: str) -> None:
    for path in ("/health/live", "/nowhere", "/recommend"):
        assert client.get(path, headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "<script>", "ä"])
def test_any_other_is_replaced(client: FlaskClient, given: str) -> None:
    made = client.get("/health/live", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert made != given
    assert len(made) == 32
