"""POST /api/v1/interactions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from redis import Redis

from accounts.models import User
from interactions.models import UserInteraction
from recsys.datasets.weights import SIGNALS
from testing import Api, Make, error_of


@pytest.fixture
def act(make_user: Make, make_startup: Make) -> dict[str, Any]:
    """A sound act."""
    return {
        "event_id": str(uuid4()),
        "user_id": str(make_user().pk),
        "startup_id": str(make_startup().pk),
        "type": "like",
        "occurred_at": "2026-11-01T10:00:00+02:00",
        "context": {"surface": "list", "recommendation_id": "r-1"},
    }


@pytest.mark.parametrize("signal", SIGNALS)
def test_every_type_is_recorded(api: Api, act: dict[str, Any], signal: str) -> None:
    response = api.post("/interactions", {**act, "type": signal})

    assert response.status_code == 201
    assert response.json() == {"event_id": act["event_id"], "status": "created"}
    row = UserInteraction.objects.get(event_id=act["event_id"])
    assert (str(row.user_id), str(row.startup_id), row.type) == (act["user_id"], act["startup_id"], signal)
    assert row.occurred_at == datetime(2026, 11, 1, 8, tzinfo=UTC)
    assert row.context == act["context"]
    assert row.retracted_at is None
    assert abs(timezone.now() - row.received_at) < timedelta(minutes=1)


def test_without_event_id_and_time_both_are_made(api: Api, act: dict[str, Any]) -> None:
    del act["event_id"], act["occurred_at"]

    response = api.post("/interactions", act)

    row = UserInteraction.objects.get(event_id=UUID(response.json()["event_id"]))
    assert abs(timezone.now() - row.occurred_at) < timedelta(minutes=1)


def test_the_same_event_twice_is_one_row(api: Api, act: dict[str, Any]) -> None:
    first, second = api.post("/interactions", act), api.post("/interactions", act)

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["status"] == "duplicate"
    assert UserInteraction.objects.count() == 1


def test_a_repeat_without_its_time_is_a_duplicate(api: Api, act: dict[str, Any]) -> None:
    del act["occurred_at"]
    api.post("/interactions", act)

    assert api.post("/interactions", act).json()["status"] == "duplicate"


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b'{"x": 1e23}', b'{"x": 1e23}'),
        (b'{"x": 1e23}', b'{"x": 100000000000000000000000}'),
        (b'{"x": 0.1, "y": [1.0]}', b'{"y": [1], "x": 1e-1}'),
        (b'{"x": -0.0}', b'{"x": 0}'),
    ],
    ids=["large", "large_written_out", "order_and_form", "zero"],
)
def test_a_context_of_equal_json_is_the_same_act(
    api: Api, act: dict[str, Any], first: bytes, again: bytes
) -> None:
    sent = [json.dumps({**act, "context": None}).encode().replace(b"null", text) for text in (first, again)]

    assert [api("POST", "/interactions", body).status_code for body in sent] == [201, 200]
    (result,) = api("POST", "/interactions", b"[" + sent[0] + b"]").json()["results"]
    assert result["status"] == "duplicate"


def test_true_is_not_one(api: Api, act: dict[str, Any]) -> None:
    api.post("/interactions", {**act, "context": {"x": 1}})

    response = api.post("/interactions", {**act, "context": {"x": True}})

    assert error_of(response) == (409, "event_id_conflict")


def test_a_zone_a_day_away_is_read_as_its_moment(api: Api, act: dict[str, Any]) -> None:
    response = api.post("/interactions", {**act, "occurred_at": "2026-11-02T09:59:00+23:59"})

    assert response.status_code == 201
    assert UserInteraction.objects.get().occurred_at == datetime(2026, 11, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "change",
    [{"type": "dislike"}, {"occurred_at": "2026-11-02T10:00:00Z"}, {"context": {}}],
    ids=["type", "time", "context"],
)
def test_an_event_id_with_another_content_is_a_conflict(
    api: Api, act: dict[str, Any], change: dict[str, Any]
) -> None:
    api.post("/interactions", act)

    response = api.post("/interactions", {**act, **change})

    assert error_of(response) == (409, "event_id_conflict")
    assert UserInteraction.objects.get().type == "like"


@pytest.mark.parametrize(
    ("change", "code", "mend"),
    [
        ({"type": "admire"}, "unknown_type", "view, click, like"),
        ({"type": "Like"}, "unknown_type", "use one of"),
        ({"user_id": str(uuid4())}, "unknown_user", "PUT /users/"),
        ({"startup_id": str(uuid4())}, "unknown_startup", "PUT /startups/"),
        ({"occurred_at": "2999-01-01T00:00:00Z"}, "future_time", "5 minutes"),
        ({"occurred_at": "9999-12-31T23:59:59-14:00"}, "malformed_time", "1970 to 9998"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "malformed_time", "1970 to 9998"),
        ({"occurred_at": "1970-01-01T00:00:00+14:00"}, "malformed_time", "before 1970"),
        ({"occurred_at": "yesterday"}, "malformed_time", "occurred_at"),
        ({"occurred_at": "2026-11-01T10:00:00"}, "malformed_time", "timezone"),
        ({"occurred_at": 1795474496}, "malformed_time", "ISO 8601 with a zone"),
        ({"occurred_at": "1795474496"}, "malformed_time", "ISO 8601 with a zone"),
        ({"occurred_at": " 1795474496000.5 "}, "malformed_time", "ISO 8601 with a zone"),
        ({"occurred_at": "2026-11-01"}, "malformed_time", "timezone"),
        ({"user_id": "somebody"}, "invalid_request", "user_id"),
        ({"startup_id": None}, "invalid_request", "startup_id"),
        ({"startup": "x"}, "invalid_request", "startup"),
        ({"context": {"note": "a\x00b"}}, "invalid_request", "U+0000"),
        ({"context": {"note": "a" * 5000}}, "invalid_request", "4,096"),
        ({"context": []}, "invalid_request", "context"),
    ],
)
def test_what_is_wrong_is_named_with_its_mend(
    api: Api, act: dict[str, Any], change: dict[str, Any], code: str, mend: str
) -> None:
    response = api.post("/interactions", {**act, **change})

    assert error_of(response) == (422, code)
    assert mend in response.json()["message"]
    assert not UserInteraction.objects.exists()


def test_a_backslash_before_u0000_is_a_text_like_any(api: Api, act: dict[str, Any]) -> None:
    response = api.post("/interactions", {**act, "context": {"note": "\\u0000"}})

    assert response.status_code == 201
    assert UserInteraction.objects.get().context == {"note": "\\u0000"}


def test_a_clock_four_minutes_ahead_is_believed(api: Api, act: dict[str, Any]) -> None:
    ahead = timezone.now() + timedelta(minutes=4)

    assert api.post("/interactions", {**act, "occurred_at": ahead.isoformat()}).status_code == 201


@pytest.mark.parametrize(
    "wrap", [lambda events: events, lambda events: {"events": events}], ids=["list", "object"]
)
def test_in_a_batch_a_bad_event_spoils_no_other(api: Api, act: dict[str, Any], wrap: Make) -> None:
    others = [{**act, "event_id": str(uuid4())} for _ in range(2)]
    api.post("/interactions", others[0])
    batch = [
        act,
        act,
        {**act, "type": "view"},
        others[0],
        {**others[1], "type": "admire"},
        {**others[1], "user_id": str(uuid4())},
        "not an event",
        {**others[1], "occurred_at": "soon"},
        others[1],
    ]

    response = api.post("/interactions", wrap(batch))

    assert response.status_code == 200
    body = response.json()
    assert [(each["index"], each["status"], each["error"]) for each in body["results"]] == [
        (0, "created", None),
        (1, "duplicate", None),
        (2, "conflict", "event_id_conflict"),
        (3, "duplicate", None),
        (4, "rejected", "unknown_type"),
        (5, "rejected", "unknown_user"),
        (6, "rejected", "invalid_request"),
        (7, "rejected", "malformed_time"),
        (8, "created", None),
    ]
    assert {name: body[name] for name in ("created", "duplicate", "conflict", "rejected")} == {
        "created": 2,
        "duplicate": 2,
        "conflict": 1,
        "rejected": 4,
    }
    assert all(each["message"] for each in body["results"] if each["error"])
    assert UserInteraction.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_thousand_users_cost_as_many_queries_as_one(api: Api, act: dict[str, Any], redis: Redis) -> None:
    users = User.objects.bulk_create(User(username=str(n)) for n in range(1000))

    def queries(n_events: int) -> int:
        batch = [{**act, "event_id": str(uuid4()), "user_id": str(user.pk)} for user in users[:n_events]]
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert api.post("/interactions", batch).json()["created"] == n_events
        return len(captured)

    api.get("/startups")  # the key's last use is written once a minute
    assert queries(1000) == queries(1) <= 10
    assert len(redis.keys("recs:profile:*")) >= 1000


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"not json", 400, "invalid_json"),
        (b'{"type": NaN}', 400, "invalid_json"),
        (b'{"type": Infinity}', 400, "invalid_json"),
        (b'"\\ud800"', 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b"\xff\xfe", 400, "invalid_json"),
        (b"17", 422, "invalid_batch"),
        (b'{"events": {}}', 422, "invalid_batch"),
        (b"[]", 422, "empty_batch"),
        (b"[" + b",".join([b"{}"] * 1001) + b"]", 422, "batch_too_large"),
        (b" " * (4 * 1024 * 1024 + 1), 413, "body_too_large"),
        (b'{"context": {"x": 1e999}}', 422, "invalid_request"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_body_that_cannot_be_read_is_refused(api: Api, body: bytes, status: int, code: str) -> None:
    assert error_of(api("POST", "/interactions", body)) == (status, code)


def test_a_person_acts_for_themselves(person: tuple[Any, Api], act: dict[str, Any]) -> None:
    user, api = person
    del act["user_id"]

    assert api.post("/interactions", act).status_code == 201
    assert UserInteraction.objects.get().user_id == user.pk


def test_a_person_cannot_act_for_another(person: tuple[Any, Api], act: dict[str, Any]) -> None:
    _, api = person

    assert error_of(api.post("/interactions", act)) == (403, "forbidden")
    (result,) = api.post("/interactions", [act]).json()["results"]
    assert (result["status"], result["error"]) == ("rejected", "forbidden")
    assert not UserInteraction.objects.exists()


def test_a_service_must_say_for_whom(api: Api, act: dict[str, Any]) -> None:
    del act["user_id"]

    assert error_of(api.post("/interactions", act)) == (422, "invalid_request")
