from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from recsys.serving.live_profile import LiveCell, LiveProfile, LiveProfileStore
from recsys.serving.seen import parse_seen_policy


def test_an_answer_has_the_documented_shape_and_order(client: FlaskClient) -> None:
    response = client.get("/recommend?user_id=anna&limit=3")
    assert response.status_code == 200
    answer = response.json
    assert list(answer) == [
        "user_id", "interaction_count", "startups", "method_used", "model_version",
        "recommendation_id", "degraded",
    ]  # fmt: skip
    assert (answer["user_id"], answer["interaction_count"]) == ("anna", 6)
    assert (answer["method_used"], answer["degraded"]) == ("als", None)
    assert answer["recommendation_id"].startswith(f"{answer['model_version']}.als.")
    assert [startup["rank"] for startup in answer["startups"]] == [1, 2, 3]
    assert list(answer["startups"][0]) == ["id", "rank", "score", "source", "reason"]
    assert answer["startups"][0]["source"] == "als"
    assert answer["startups"][0]["reason"].startswith("Because you liked Firm ")


def test_somebody_with_a_long_history_is_answered_by_the_ensemble_and_told_why(
    client: FlaskClient, hot_user: str
) -> None:
    answer = client.get(f"/recommend?user_id={hot_user}&limit=5").json
    assert (answer["interaction_count"], answer["method_used"], answer["degraded"]) == (20, "ensemble", None)
    assert ".ensemble." in answer["recommendation_id"]
    assert {startup["source"] for startup in answer["startups"]} == {"ensemble"}
    assert any(startup["reason"].startswith("Because you liked Firm ") for startup in answer["startups"])


def test_the_ensembles_list_under_a_filter_is_its_whole_list_filtered(
    client: FlaskClient, hot_user: str
) -> None:
    whole = client.get(f"/recommend?user_id={hot_user}&limit=100").json["startups"]
    robotics = client.get(f"/recommend?user_id={hot_user}&limit=100&industry=robotics").json
    assert robotics["method_used"] == "ensemble"
    expected = [startup["id"] for startup in whole if int(startup["id"][1:]) % 2]
    assert [startup["id"] for startup in robotics["startups"]] == expected
    assert 0 < len(expected) < len(whole)


def test_a_dislike_of_somebody_with_a_long_history_is_gone_from_the_next_answer(
    client: FlaskClient, hot_user: str, synced: LiveProfileStore
) -> None:
    before = client.get(f"/recommend?user_id={hot_user}&limit=100").json["startups"]
    known = synced.fetch(hot_user)
    assert known is not None
    dislike = LiveCell(before[0]["id"], -1.0, 1.8e9, 1 << 3)
    acted = replace(known, version=2, interaction_count=21, cells=(dislike, *known.cells))
    synced.store([acted])
    answer = client.get(f"/recommend?user_id={hot_user}&limit=100").json
    assert answer["method_used"] == "ensemble"
    assert {s["id"] for s in answer["startups"]} == {s["id"] for s in before[1:]}


def test_ten_startups_by_default(client: FlaskClient) -> None:
    assert len(client.get("/recommend?user_id=anna").json["startups"]) == 10


def test_exclude_takes_a_comma_separated_list_and_repeats(client: FlaskClient) -> None:
    everything = client.get("/recommend?user_id=anna&limit=100").json["startups"]
    first = [startup["id"] for startup in everything[:3]]
    repeated = f"exclude={first[0]},{first[1]}&exclude={first[2]}&exclude=,unknown,"
    query = f"/recommend?user_id=anna&limit=100&{repeated}"
    left = {startup["id"] for startup in client.get(query).json["startups"]}
    assert left == {startup["id"] for startup in everything} - set(first)


def test_filters_take_comma_separated_values_and_repeat(client: FlaskClient) -> None:
    def industries(query: str) -> set[int]:
        startups = client.get(f"/recommend?user_id=anna&limit=100&{query}").json["startups"]
        return {int(startup["id"][1:]) % 2 for startup in startups}

    assert industries("industry=FINTECH") == {0}
    assert industries("industry=robotics,") == {1}
    both = [
        industries(query) for query in ("industry=fintech,robotics", "industry=fintech&industry=robotics")
    ]
    assert both == [{0, 1}] * 2
    assert industries("industry=") == {0, 1}


def test_a_misspelt_value_is_refused_with_the_nearest(client: FlaskClient) -> None:
    response = client.get("/recommend?user_id=anna&industry=Fintehc")
    assert response.status_code == 422
    assert response.json == {
        "error": "invalid_request",
        "message": "No startup has the industry fintehc; did you mean fintech?",
        "detail": {"field": "industry", "unknown": ["fintehc"], "nearest": ["fintech"]},
    }


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("created_after=soon", "2026-11-22T10:00:00Z"),
        ("created_after=2026-11-22T10:00:00+02:00", "%2B"),
        ("seen=veiw:7", "did you mean view?"),
        ("seen=view:-1", "view:7,click:30"),
        ("exclude=" + ",".join(f"s{n}" for n in range(1001)), "at most 1,000"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_form(client: FlaskClient, query: str, told: str) -> None:
    response = client.get(f"/recommend?user_id=anna&{query}")
    assert (response.status_code, response.json["error"]) == (422, "invalid_request")
    assert told in response.json["message"]


def test_contradicting_filters_give_an_empty_list_that_says_why(client: FlaskClient) -> None:
    response = client.get("/recommend?user_id=anna&industry=fintech&created_after=2999-01-01")
    assert response.status_code == 200
    assert response.json["startups"] == []
    assert response.json["degraded"] == (
        "nothing is left to offer: 43 startups are active, 21 of them with industry fintech, "
        "none of them created after 2999-01-01T00:00:00+00:00"
    )


def test_what_was_acted_on_comes_back_as_the_caller_says(client: FlaskClient) -> None:
    """anna liked six startups in 2023."""
    liked = {f"s{n:02}" for n in range(0, 12, 2)}

    def shown(query: str) -> set[str]:
        startups = client.get(f"/recommend?user_id=anna&limit=100{query}").json["startups"]
        return liked & {startup["id"] for startup in startups}

    assert shown("") == shown("&seen=") == shown("&seen=view:0") == shown("&seen=like:36500") == set()
    assert shown("&seen=like:30") == liked


def test_rules_of_the_service_are_settings(
    make_app: Callable[..., APIFlask], synced: LiveProfileStore
) -> None:
    client = make_app(seen=parse_seen_policy("like:30")).test_client()
    startups = client.get("/recommend?user_id=anna&limit=100").json["startups"]
    assert "s00" in {startup["id"] for startup in startups}


def test_a_method_can_be_forced(client: FlaskClient) -> None:
    for method in ("content", "two_tower"):
        assert client.get(f"/recommend?user_id=anna&method={method}").json["method_used"] == method


def test_a_forced_method_that_cannot_answer_is_an_error(
    make_app: Callable[..., APIFlask], models_without_two_tower: Path, synced: LiveProfileStore
) -> None:
    client = make_app(models_dir=models_without_two_tower).test_client()
    response = client.get("/recommend?user_id=anna&method=ensemble")
    assert response.status_code == 422
    assert response.json == {
        "error": "invalid_request",
        "message": "ensemble cannot answer: two_tower not trained.",
        "detail": {"method": "ensemble"},
    }


def test_any_id_of_up_to_64_characters_is_a_user(client: FlaskClient) -> None:
    for user_id in ("x" * 64, "名前", "a b+c/d?e&f", "' OR 1=1 --", "\x00"):
        response = client.get("/recommend", query_string={"user_id": user_id})
        assert response.status_code == 200
        assert response.json["user_id"] == user_id
        assert response.json["interaction_count"] == 0


def test_a_uuid_in_upper_case_is_the_same_user(client: FlaskClient, synced: LiveProfileStore) -> None:
    user_id = "0b0e7c1a-9d3f-4f8e-8a51-c0ffee00beef"
    cells = (LiveCell("s00", 2.0, 1.7e9, 4),)
    synced.store([LiveProfile(user_id, 1, 1, cells, (), False, 1)])
    for given in (user_id, user_id.upper()):
        answer = client.get(f"/recommend?user_id={given}").json
        assert (answer["user_id"], answer["interaction_count"]) == (user_id, 1)
    not_a_uuid = user_id.upper().replace("-", "")
    assert client.get(f"/recommend?user_id={not_a_uuid}").json["user_id"] == not_a_uuid


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "user_id"),
        ("user_id=", "user_id"),
        (f"user_id={'x' * 65}", "user_id"),
        ("user_id=anna&limit=0", "limit"),
        ("user_id=anna&limit=101", "limit"),
        ("user_id=anna&limit=ten", "limit"),
        ("user_id=anna&limit=NaN", "limit"),
        ("user_id=anna&limit=1e400", "limit"),
        ("user_id=anna&limit=", "limit"),
        ("user_id=anna&method=magic", "method"),
        ("user_id=anna&diversity=1.01", "diversity"),
        ("user_id=anna&diversity=NaN", "diversity"),
        ("user_id=anna&diversity=", "diversity"),
        ("user_id=anna&limti=3", "limti"),
    ],
)
def test_a_bad_query_is_refused_naming_the_field(client: FlaskClient, query: str, field: str) -> None:
    response = client.get(f"/recommend?{query}")
    assert response.status_code == 422
    assert response.json["error"] == "invalid_request"
    assert field in response.json["message"]
    assert response.json["message"].endswith("See /docs.")
    assert [f["field"] for f in response.json["detail"]["fields"]] == [field]


def test_without_a_release_it_is_503_with_the_mend_and_then_answers_without_a_restart(
    make_app: Callable[..., APIFlask], tmp_path, world, trained_world, synced: LiveProfileStore
) -> None:
    from recsys.artifacts.publish import publish_release

    empty = tmp_path / "nothing-yet"
    app = make_app(models_dir=empty)
    client = app.test_client()
    for path in ("/recommend?user_id=anna", "/similar?startup_id=s00", "/popular", "/health/ready"):
        response = client.get(path)
        assert response.status_code == 503
        assert set(response.json) == {"error", "message", "detail"}
        assert response.json["error"] == "unavailable"
        assert "train_all_models.sh" in response.json["message"]
    publish_release(empty, world, trained_world)
    app.extensions["release_watcher"].check()
    assert client.get("/recommend?user_id=anna").status_code == 200
    assert client.get("/health/ready").status_code == 200
