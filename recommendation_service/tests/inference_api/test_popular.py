from __future__ import annotations

import pytest
from flask.testing import FlaskClient


def test_popular_startups_are_the_same_for_everybody(client: FlaskClient) -> None:
    first, second = (client.get("/popular?limit=5").json for _ in range(2))
    assert first["startups"] == second["startups"]
    assert len(first["startups"]) == 5
    assert first["method_used"] == "popularity"


@pytest.mark.parametrize("path", ["/popular?limit=0", "/popular?limit=101", "/popular?x=1"])
def test_bad_queries_are_refused(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json["error"]) == (422, "invalid_request")
