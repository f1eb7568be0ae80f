"""Answers have the shape the documentation shows; nothing checks that while serving."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from pydantic import BaseModel

from inference_api.schemas import Recommendations, StartupList


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/recommend?user_id=anna", Recommendations),
        ("/recommend?user_id=nobody&limit=3", Recommendations),
        ("/similar?startup_id=s04", StartupList),
        ("/popular", StartupList),
    ],
)
def test_a_list_is_what_its_schema_says(client: FlaskClient, path: str, schema: type[BaseModel]) -> None:
    answer = client.get(path).json

    assert schema.model_validate(answer, strict=True).model_dump(mode="json") == answer
    assert list(answer) == list(schema.model_fields)


def test_a_list_asked_for_in_a_body_is_what_its_schema_says(client: FlaskClient) -> None:
    answer = client.post("/recommend", json={"user_id": "anna"}).json

    assert Recommendations.model_validate(answer, strict=True).model_dump(mode="json") == answer
