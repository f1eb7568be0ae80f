from __future__ import annotations

import re

from flask.testing import FlaskClient

ELSEWHERE = re.compile(
    r"""(?:src|href)\s*=\s*["']?(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import""", re.IGNORECASE
)


def test_the_docs_page_is_there_under_both_spellings(client: FlaskClient) -> None:
    assert client.get("/docs", follow_redirects=True).status_code == 200
    assert "/openapi.json" in client.get("/docs/").text


def test_the_docs_page_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/docs/")
    assert not re.search(r"https?://", page.text)
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(assets) >= 4
    for asset in assets:
        assert asset.startswith("/docs/")
        with client.get(asset) as response:
            assert response.status_code == 200
            if asset.endswith(".css"):
                assert not ELSEWHERE.search(response.text)


def test_openapi_describes_every_address_with_its_errors(client: FlaskClient) -> None:
    spec = client.get("/openapi.json").json
    assert set(spec["paths"]) == {
        "/recommend", "/recommend/session", "/similar", "/popular", "/audience", "/explain",
        "/health/live", "/health/ready", "/metrics",
    }  # fmt: skip
    recommend = spec["paths"]["/recommend"]["get"]
    assert {parameter["name"] for parameter in recommend["parameters"]} == {
        "user_id", "limit", "exclude", "industry", "country", "stage", "created_after", "diversity",
        "method", "seen",
    }  # fmt: skip
    by_body = spec["paths"]["/recommend"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    body = spec["components"]["schemas"][by_body["$ref"].rpartition("/")[2]]
    assert set(body["properties"]) == {parameter["name"] for parameter in recommend["parameters"]}
    assert body["properties"]["exclude"]["maxItems"] == 1000
    assert all(parameter["schema"].get("description") for parameter in recommend["parameters"])
    assert {"200", "401", "422", "503"} <= set(recommend["responses"])
    assert recommend["security"] == [{"ServiceKey": []}, {"ServiceKeyHeader": []}]
    for reference in set(re.findall(r'"#/([^"]+)"', client.get("/openapi.json").text)):
        node = spec
        for part in reference.split("/"):
            node = node[part]


def test_openapis_error_is_the_error_that_is_sent(client: FlaskClient) -> None:
    spec = client.get("/openapi.json").json
    response = spec["paths"]["/recommend"]["get"]["responses"]["422"]
    schema = response["content"]["application/json"]["schema"]
    name = schema["$ref"].rpartition("/")[2]
    assert set(spec["components"]["schemas"][name]["properties"]) == {"error", "message", "detail"}
