"""What the tests of several apps call; nothing else imports it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.test import Client

Make = Callable[..., Any]


@dataclass
class Api:
    """A caller of the API that sends and reads JSON."""

    client: Client
    headers: dict[str, str]

    def __call__(self, method: str, path: str, body: Any = None, /, **query: Any) -> HttpResponse:
        """Call /api/v1`path`; `body` is sent as it is when it is bytes."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.client.generic(
            method,
            f"/api/v1{path}",
            content,
            content_type="application/json",
            query_params=query,
            headers=self.headers,
        )

    def get(self, path: str, **query: Any) -> HttpResponse:
        """GET."""
        return self("GET", path, **query)

    def post(self, path: str, body: Any) -> HttpResponse:
        """POST."""
        return self("POST", path, body)

    def put(self, path: str, body: Any) -> HttpResponse:
        """PUT."""
        return self("PUT", path, body)

    def delete(self, path: str) -> HttpResponse:
        """DELETE."""
        return self("DELETE", path)


def error_of(response: HttpResponse) -> tuple[int, str]:
    """The status and the code, after checking that the answer has the one error shape."""
    body = response.json()
    if set(body) != {"error", "message", "detail"} or not isinstance(body["detail"], dict):
        raise AssertionError(f"not the error shape: {body}")
    return response.status_code, body["error"]
