"""POST /recommend: the same questions and answers as GET, for what no address holds."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from inference_api.app import MAX_BODY_BYTES


def ids(response: TestResponse) -> list[str]:
    assert response.status_code == 200, response.text
    return [startup["id"] for startup in response.json["startups"]]


def test_it_answers_as_get_does(client: FlaskClient) -> None:
    by_address = client.get("/recommend?user_id=anna&limit=7&industry=fintech&diversity=0.3&exclude=s14,s16")
    asked = {
        "user_id": "anna", "limit": 7, "industry": ["fintech"], "diversity": 0.3, "exclude": ["s14", "s16"],
    }  # fmt: skip
    by_body = client.post("/recommend", json=asked)
    assert by_body.json["startups"] == by_address.json["startups"]
    assert list(by_body.json) == list(by_address.json)
    assert {"s14", "s16"}.isdisjoint(ids(by_body))


def test_a_thousand_excludes_of_the_longest_ids_are_left_out(client: FlaskClient) -> None:
    everything = ids(client.post("/recommend", json={"user_id": "anna", "limit": 100}))
    # As wide as an id can be written: an escaped pair for each of its 64 characters.
    excluded = [*everything[:30], *(f"{n:04}" + "\N{ROCKET}" * 60 for n in range(970))]
    body = json.dumps({"user_id": "anna", "limit": 100, "exclude": excluded})
    assert 64 * 1024 < len(body) < MAX_BODY_BYTES
    response = client.post("/recommend", data=body, content_type="application/json")
    assert ids(response) == everything[30:]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"exclude": ["s00"] * 1001}, "exclude"),
        ({"exclude": "s00,s02"}, "exclude"),
        ({"exclude": [1]}, "exclude.0"),
        ({"industry": ["fintech"] * 101}, "industry"),
        ({"limit": 101}, "limit"),
        ({"limit": None}, "limit"),
        ({"diversity": 1.5}, "diversity"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": None}, "user_id"),
        ({"user_id": ["anna"]}, "user_id"),
        ({"method": "magic"}, "method"),
        ({"seen": 7}, "seen"),
        ({"created_after": 1700000000}, "created_after"),
        ({"limti": 3}, "limti"),
    ],
)
def test_a_field_that_cannot_be_is_refused_by_name(
    client: FlaskClient, changed: dict[str, Any], field: str
) -> None:
    response = client.post("/recommend", json={"user_id": "anna", **changed})
    assert (response.status_code, response.json["error"]) == (422, "invalid_request")
    assert [each["field"] for each in response.json["detail"]["fields"]] == [field]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b'{"user_id": "anna"', b"[" * 100_000, b'{"limit": ' + b"1" * 5000 + b"}"],
    ids=["nothing", "cut", "no text", "cut later", "nested", "long number"],
)
def test_what_is_not_json_is_a_bad_request(client: FlaskClient, body: bytes) -> None:
    response = client.post("/recommend", data=body, content_type="application/json")
    assert (response.status_code, response.json["error"]) == (400, "bad_request")


@pytest.mark.parametrize("body", [b"null", b"[]", b'"anna"', b"7", b"{}"])
def test_json_that_is_no_question_is_refused(client: FlaskClient, body: bytes) -> None:
    response = client.post("/recommend", data=body, content_type="application/json")
    assert (response.status_code, response.json["error"]) == (422, "invalid_request")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "-0.1"])
def test_a_diversity_that_is_no_share_is_refused(client: FlaskClient, number: str) -> None:
    body = f'{{"user_id": "anna", "diversity": {number}}}'
    assert client.post("/recommend", data=body, content_type="application/json").status_code == 422


def test_a_huge_body_is_refused_and_one_without_its_length_read_no_further(client: FlaskClient) -> None:
    body = b'{"user_id": "' + b"x" * MAX_BODY_BYTES + b'"}'
    told = client.post("/recommend", data=body, content_type="application/json")
    assert (told.status_code, told.json["error"]) == (413, "body_too_large")
    stream = io.BytesIO(body)
    streamed = client.post(
        "/recommend",
        input_stream=stream,
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert (streamed.status_code, streamed.json["error"]) == (400, "bad_request")  # cut at the limit
    assert stream.tell() == MAX_BODY_BYTES


def test_a_key_is_asked_for_where_there_is_one(guarded: FlaskClient) -> None:
    assert guarded.post("/recommend", json={"user_id": "anna"}).status_code == 401
