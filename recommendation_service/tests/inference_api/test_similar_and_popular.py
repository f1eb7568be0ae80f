from __future__ import annotations

import pytest
from flask.testing import FlaskClient


def test_similar_startups(client: FlaskClient) -> None:
    response = client.get("/similar?startup_id=s04&limit=3")
    assert response.status_code == 200
    assert response.json["method_used"] == "als"
    assert len(response.json["startups"]) == 3
    assert {startup["reason"] for startup in response.json["startups"]} == {"Similar to Firm 4"}
    assert "s04" not in {startup["id"] for startup in response.json["startups"]}


def test_an_unknown_startup_is_404_in_the_one_shape(client: FlaskClient) -> None:
    response = client.get("/similar?startup_id=nonsense")
    assert response.status_code == 404
    assert response.json["error"] == "not_found"
    assert response.json["detail"] == {"startup_id": "nonsense"}
    assert "nonsense" in response.json["message"]


def test_popular_startups_are_the_same_for_everybody(client: FlaskClient) -> None:
    first, second = (client.get("/popular?limit=5").json for _ in range(2))
    assert first["startups"] == second["startups"]
    assert len(first["startups"]) == 5
    assert first["method_used"] == "popularity"


@pytest.mark.parametrize(
    "path", ["/similar", "/similar?startup_id=s00&limit=0", "/popular?limit=101", "/popular?x=1"]
)
def test_bad_queries_are_refused(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json["error"]) == (422, "invalid_request")
