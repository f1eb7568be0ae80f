"""Every error in one shape: {"error": code, "message": what and how to mend it, "detail": {}}."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from apiflask import APIFlask, HTTPError
from flask import Response, jsonify
from werkzeug.datastructures import Headers

from inference_api.request_id import current_request_id
from recsys.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    InvalidRequestError,
    NotFittedError,
    NotFoundError,
    RecsysError,
    UnavailableError,
)
from recsys.serving.live_profile import UnreadableProfileError

logger = logging.getLogger(__name__)

STATUS_OF_ERROR: Mapping[type[RecsysError], int] = {
    RecsysError: 500,
    ConfigError: 500,
    DataError: 500,
    ArtifactError: 500,
    NotFittedError: 503,
    InvalidRequestError: 422,
    NotFoundError: 404,
    UnavailableError: 503,
    UnreadableProfileError: 503,
}
# What to say of errors made before or beside our own code.
PLAIN_ERRORS = {
    400: ("bad_request", "The request cannot be read; check its address, headers and body."),
    404: ("not_found", "Nothing has this address; /docs lists what there is."),
    405: ("method_not_allowed", "This address does not know this method; see the Allow header."),
    413: ("body_too_large", "The body is larger than the server reads, 1 MiB; no request here needs more."),
    500: ("internal_error", "Something failed here; tell the operators the request_id, it is in their log."),
}


def error_response(status: int, code: str, message: str, detail: Mapping[str, Any] | None = None) -> Response:
    """An answer in the one error shape."""
    response = jsonify(error=code, message=message, detail=detail or {})
    response.status_code = status
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def install_error_handlers(app: APIFlask) -> None:
    """Translate whatever the views raise, and what Flask raises itself."""
    app.register_error_handler(RecsysError, _recsys_error)
    app.register_error_handler(Exception, _unexpected_error)
    app.error_processor(_http_error)


def _recsys_error(error: RecsysError) -> Response:
    status = STATUS_OF_ERROR.get(type(error), 500)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("request failed error=%s", error.code, exc_info=error)
    return error_response(status, error.code, str(error), error.detail)


def _unexpected_error(error: Exception) -> Response:
    logger.error("request failed", exc_info=error)
    return error_response(500, *PLAIN_ERRORS[500], {"request_id": current_request_id()})


def _http_error(error: HTTPError) -> Response:
    """A schema that was not met, or an error of Flask's own."""
    if error.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        return _validation_error(error.detail)
    code, message = PLAIN_ERRORS.get(error.status_code, ("error", str(error.message)))
    response = error_response(error.status_code, code, message)
    allow = Headers(error.headers).get("Allow")
    if allow:
        response.headers["Allow"] = allow
    return response


def _validation_error(detail: Any) -> Response:
    """Pydantic's messages as one sentence and as a list of fields."""
    fields = [
        {"field": name, "message": message}
        for location in detail.values()
        for name, messages in location.items()
        for message in messages
    ]
    sentence = "; ".join(f"{field['field']}: {field['message']}" for field in fields[:3])
    return error_response(422, "invalid_request", f"{sentence}. See /docs.", {"fields": fields})
