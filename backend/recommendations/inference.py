"""The client of the inference service."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx
from django.conf import settings

from config.request_id import HEADER, current_request_id
from recsys.errors import InvalidRequestError, UnavailableError

CONNECT_TIMEOUT_S = 1.0
ANSWER_TIMEOUT_S = 5.0


class InferenceClient:
    """Asks the inference service over kept-alive connections; safe to share between threads."""

    def __init__(self, base_url: str, api_key: str) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        self._base_url = base_url
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout)

    def recommend(self, user_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """What to show to a user next, as the inference service answers it.

        Raises:
            InvalidRequestError: an option is one it does not accept.
            UnavailableError: it does not answer, or not as it should.
        """
        # In a body: no address holds as many excludes as a list may have.
        return self._ask("POST", "/recommend", "startups", json={"user_id": user_id, **options})

    def similar(self, startup_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """The startups most like one; `method` in the options asks one model alone.

        Raises:
            InvalidRequestError: the startup is not known there, or the model cannot compare it.
            UnavailableError: as for `recommend`.
        """
        return self._ask("GET", "/similar", "startups", params={"startup_id": startup_id, **options})

    def audience(self, startup_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """The users most likely to act on a startup.

        Raises:
            InvalidRequestError: the startup is not known there.
            UnavailableError: as for `recommend`.
        """
        return self._ask("GET", "/audience", "users", params={"startup_id": startup_id, **options})

    def explain(self, user_id: str, startup_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Where a startup stands for a user, and what its score is made of.

        Raises:
            InvalidRequestError: the startup is not known there, or the method asked for cannot answer.
            UnavailableError: as for `recommend`.
        """
        asked = {"user_id": user_id, "startup_id": startup_id, **options}
        return self._ask("GET", "/explain", "acts", params=asked)

    def ready(self) -> dict[str, Any]:
        """Which release it serves, by which recommenders, and whether it reaches the live store.

        Raises:
            UnavailableError: it does not answer, or serves no release.
        """
        return self._ask("GET", "/health/ready", "model_version")

    def metrics(self) -> str:
        """What it counted of answers and latencies, in the text format of Prometheus.

        Raises:
            UnavailableError: it does not answer, or not as it should.
        """
        response = self._send("GET", "/metrics")
        if response.status_code != HTTPStatus.OK:
            self._answer(response)
            raise self._not_ours()
        return response.text

    def _ask(self, method: str, path: str, expected: str, **asked: Any) -> dict[str, Any]:
        """The answer, which must have the field `expected`: else it is of another service."""
        answer = self._answer(self._send(method, path, **asked))
        if expected not in answer:
            raise self._not_ours()
        return answer

    def _send(self, method: str, path: str, **asked: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, headers={HEADER: current_request_id()}, **asked)
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"The inference service at {self._base_url} does not answer ({type(error).__name__}); "
                "start it (gunicorn inference_api.wsgi:app), or correct INFERENCE_URL."
            ) from error

    def _answer(self, response: httpx.Response) -> dict[str, Any]:
        try:
            body = response.json()
        except ValueError as error:
            raise self._not_ours() from error
        if not isinstance(body, dict):
            raise self._not_ours()
        if response.status_code == HTTPStatus.OK:
            return body
        if response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise UnavailableError(
                "The inference service refused this backend's key; set INFERENCE_API_KEY alike in both."
            )
        message, detail = body.get("message", "no reason given"), body.get("detail", {})
        if not isinstance(detail, dict):
            raise self._not_ours()
        if response.is_client_error:
            raise InvalidRequestError(message, **detail)
        raise UnavailableError(f"The inference service cannot answer: {message}")

    def _not_ours(self) -> UnavailableError:
        return UnavailableError(
            f"What answers at {self._base_url} is not the inference service; correct INFERENCE_URL."
        )

    def close(self) -> None:
        """Close its connections."""
        self._http.close()


@cache
def inference_client() -> InferenceClient:
    """The process's client of the configured service."""
    return InferenceClient(settings.INFERENCE_URL, settings.INFERENCE_API_KEY)
