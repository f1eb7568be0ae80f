"""The addresses beside a user's list, over the real application: shapes, bad input, what is told."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

FINTECH = [f"s{n:02}" for n in range(0, 40, 2)]


# --- POST /recommend/session ---


def test_a_visit_is_answered_in_the_shape_of_a_users_list(client: FlaskClient) -> None:
    body = {"startup_ids": [*FINTECH[:6], "no-startup"], "limit": 3}
    response = client.post("/recommend/session", json=body)
    assert response.status_code == 200
    answer = response.json
    assert list(answer) == [
        "user_id", "interaction_count", "startups", "method_used", "model_version",
        "recommendation_id", "degraded", "ignored",
    ]  # fmt: skip
    assert (answer["user_id"], answer["interaction_count"], answer["method_used"]) == (None, 6, "als")
    assert answer["ignored"] == ["no-startup"]
    assert [startup["rank"] for startup in answer["startups"]] == [1, 2, 3]
    assert answer["startups"][0]["reason"].startswith("Because you looked into Firm ")


def test_a_visit_can_be_steered_as_a_users_list(client: FlaskClient) -> None:
    body = {"startup_ids": FINTECH[:6], "industry": ["Robotics"], "exclude": ["s01"], "limit": 100}
    startups = client.post("/recommend/session", json=body).json["startups"]
    offered = {startup["id"] for startup in startups}
    assert offered
    assert all(int(startup_id[1:]) % 2 == 1 for startup_id in offered)
    assert "s01" not in offered


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "startup_ids"),
        ({"startup_ids": "s01"}, "startup_ids"),
        ({"startup_ids": ["s01"] * 501}, "startup_ids"),
        ({"startup_ids": [""]}, "0"),
        ({"startup_ids": ["x" * 65]}, "0"),
        ({"startup_ids": [1]}, "0"),
        ({"startup_ids": ["s01"], "limit": 0}, "limit"),
        ({"startup_ids": ["s01"], "types": {"s01": "stare"}}, "s01"),
        ({"startup_ids": ["s01"], "weights": {"s01": 1e9}}, "s01"),
        ({"startup_ids": ["s01"], "weights": {"s01": "much"}}, "s01"),
        ({"startup_ids": ["s01"], "interests": ["x" * 101]}, "0"),
        ({"startup_ids": ["s01"], "user_id": "anna"}, "user_id"),
    ],
)
def test_a_bad_visit_is_refused_naming_the_field(client: FlaskClient, body: object, field: str) -> None:
    response = client.post("/recommend/session", json=body)
    assert (response.status_code, response.json["error"]) == (422, "invalid_request")
    assert field in response.json["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"startup_ids": ["s01"], "types": {"s02": "like"}},
            "types names 's02', which is not in startup_ids",
        ),
        ({"startup_ids": ["s01"], "weights": {"s02": 1}}, "weights names 's02', which is not in startup_ids"),
        ({"startup_ids": ["s01"], "weights": {"s01": 0}}, "weights says 0.0 of 's01'"),
        ({"startup_ids": ["s01"], "method": "als", "weights": {"s01": -1}}, "als cannot answer"),
    ],
)
def test_a_visit_that_contradicts_itself_is_refused_with_its_mend(
    client: FlaskClient, body: object, message: str
) -> None:
    response = client.post("/recommend/session", json=body)
    assert (response.status_code, response.json["error"]) == (422, "invalid_request")
    assert message in response.json["message"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff", '{"startup_ids": [NaN]}'])
def test_what_is_no_json_object_is_refused(client: FlaskClient, text: str) -> None:
    response = client.post("/recommend/session", data=text, content_type="application/json")
    assert response.status_code in (400, 422)
    assert set(response.json) == {"error", "message", "detail"}


def test_the_largest_visit_that_is_allowed_fits_the_body_limit(client: FlaskClient) -> None:
    ids = [f"{n:064}" for n in range(500)]
    body = {"startup_ids": ids, "types": dict.fromkeys(ids, "favorite"), "weights": dict.fromkeys(ids, -99.5)}
    response = client.post("/recommend/session", json=body)
    assert response.status_code == 200
    assert response.json["ignored"] == ids
    assert response.json["method_used"] == "content"


# --- GET /similar ---


def test_similar_startups_by_the_blend_and_by_one_model(client: FlaskClient) -> None:
    blend = client.get("/similar?startup_id=s04&limit=3").json
    assert blend["method_used"] == "blend"
    assert {startup["source"] for startup in blend["startups"]} <= {"als", "content"}
    assert "s04" not in {startup["id"] for startup in blend["startups"]}
    by_text = client.get("/similar?startup_id=s04&limit=3&method=content").json
    assert by_text["method_used"] == "content"
    assert {startup["reason"] for startup in by_text["startups"]} == {"Also in fintech"}


def test_a_model_that_cannot_compare_is_an_error(client: FlaskClient) -> None:
    response = client.get("/similar?startup_id=s41&method=als")
    assert response.status_code == 422
    assert response.json["message"] == "als cannot compare this startup: als does not know this startup."


# --- GET /audience ---


def test_an_audience_names_users_and_says_who_says_so(client: FlaskClient) -> None:
    response = client.get("/audience?startup_id=s04&limit=3")
    assert response.status_code == 200
    answer = response.json
    assert list(answer) == ["startup_id", "users", "method_used", "model_version", "degraded"]
    assert (answer["startup_id"], answer["method_used"]) == ("s04", "als")
    assert answer["users"] == []  # under the ready mark nobody of the release has a profile
    assert answer["degraded"] is None


def test_without_the_ready_mark_the_release_tells_the_audience(client: FlaskClient, redis_client) -> None:
    redis_client.delete("recs:profiles:ready")
    answer = client.get("/audience?startup_id=s04&limit=3").json
    assert [user["rank"] for user in answer["users"]] == [1, 2, 3]
    assert list(answer["users"][0]) == ["user_id", "rank", "score"]
    assert answer["degraded"].startswith("live profiles not synced: acts and opt-outs as of release")


# --- GET /explain ---


def test_an_explanation_has_the_documented_shape_and_adds_up(client: FlaskClient) -> None:
    listed = client.get("/recommend?user_id=anna&limit=3").json["startups"][1]
    answer = client.get(f"/explain?user_id=anna&startup_id={listed['id']}").json
    assert list(answer) == [
        "user_id", "interaction_count", "startup_id", "name", "offered", "kept_out_by", "rank",
        "overall_rank", "n_candidates", "n_users", "score", "method_used",
        "source", "reason", "model_version", "degraded", "raw_score", "acts", "interests",
        "tags", "words", "popularity", "lowered", "other",
    ]  # fmt: skip
    assert (answer["offered"], answer["kept_out_by"], answer["rank"]) == (True, [], 2)
    assert (answer["method_used"], answer["source"]) == ("als", "als")
    assert answer["score"] == pytest.approx(listed["score"])
    assert answer["reason"] == listed["reason"]
    assert sum(act["share"] for act in answer["acts"]) == pytest.approx(answer["raw_score"], abs=1e-4)
    assert {act["startup_id"] for act in answer["acts"]} == set(FINTECH[:6])
    assert {act["did"] for act in answer["acts"]} == {"like"}


def test_an_explanation_of_the_ensemble_adds_up(client: FlaskClient, hot_user: str) -> None:
    listed = client.get(f"/recommend?user_id={hot_user}&limit=3").json["startups"][1]
    answer = client.get(f"/explain?user_id={hot_user}&startup_id={listed['id']}").json
    assert (answer["method_used"], answer["source"]) == ("ensemble", "ensemble")
    assert (answer["rank"], answer["reason"]) == (2, listed["reason"])
    assert answer["score"] == pytest.approx(listed["score"])
    assert len(answer["acts"]) == 20
    assert sum(act["share"] for act in answer["acts"]) == pytest.approx(answer["raw_score"], abs=1e-4)
    assert answer["other"] == pytest.approx(0.0, abs=1e-4)


def test_an_explanation_takes_the_steering_of_the_list(client: FlaskClient) -> None:
    answer = client.get("/explain?user_id=anna&startup_id=s14&industry=Robotics&exclude=s14").json
    assert answer["offered"] is False
    assert answer["kept_out_by"] == [
        {"rule": "excluded", "why": "the caller excluded it"},
        {"rule": "filter", "why": "it is not one with industry robotics"},
    ]
    assert answer["rank"] is None


@pytest.mark.parametrize(
    "path",
    [
        "/similar?startup_id=nonsense",
        "/audience?startup_id=nonsense",
        "/explain?user_id=anna&startup_id=nonsense",
    ],
)
def test_an_unknown_startup_is_404_in_the_one_shape(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json["error"]) == (404, "not_found")
    assert response.json["detail"] == {"startup_id": "nonsense"}
    assert "nonsense" in response.json["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/similar",
        "/similar?startup_id=s00&limit=0",
        "/similar?startup_id=s00&method=magic",
        "/audience",
        "/audience?startup_id=s00&limit=101",
        "/audience?startup_id=s00&limit=ten",
        "/explain?user_id=anna",
        "/explain?startup_id=s00",
        "/explain?user_id=anna&startup_id=s00&x=1",
        "/explain?user_id=anna&startup_id=s41&method=als",
    ],
)
def test_bad_queries_are_refused(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json["error"]) == (422, "invalid_request")
