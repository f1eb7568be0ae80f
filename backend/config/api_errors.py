"""Every error of the API in one shape: {"error": code, "message": what and how to mend it, "detail": {}}."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from config.request_id import current_request_id
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

logger = logging.getLogger(__name__)

API_PREFIX = "/api/"
STATUS_OF_ERROR: Mapping[type[RecsysError], int] = {
    RecsysError: 500,
    ConfigError: 500,
    DataError: 500,
    ArtifactError: 500,
    NotFittedError: 503,
    InvalidRequestError: 422,
    NotFoundError: 404,
    UnavailableError: 503,
}
# What to say of errors that Django answers before or beside the API's own code.
PLAIN_ERRORS = {
    400: ("bad_request", "The request cannot be read; check its host, headers and body."),
    403: ("forbidden", "This is not allowed here; use an API key, or a session with its CSRF token."),
    404: ("not_found", "Nothing has this address; /api/v1/docs lists what there is."),
    405: ("method_not_allowed", "This address does not know this method; see the Allow header."),
    413: ("body_too_large", "The body is larger than the server reads; send fewer members at once."),
    500: ("internal_error", "Something failed here; tell the operators the request_id, it is in their log."),
}


class ApiError(Exception):
    """An error of the API's own, with its status."""

    def __init__(self, status: int, code: str, message: str, **detail: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.detail = detail


def error_response(
    status: int, code: str, message: str, detail: Mapping[str, Any] | None = None
) -> JsonResponse:
    """An answer in the one error shape."""
    response = JsonResponse({"error": code, "message": message, "detail": detail or {}}, status=status)
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    return response


def describe_errors(errors: Sequence[Mapping[str, Any]]) -> tuple[str, list[dict[str, str]]]:
    """Pydantic's errors as one sentence and as a list of fields with what is wrong with each."""
    fields = [
        {
            "field": ".".join(str(part) for part in error["loc"]) or "body",
            "message": error["msg"].removeprefix("Value error, "),
        }
        for error in errors
    ]
    return "; ".join(f"{field['field']}: {field['message']}" for field in fields[:3]), fields


def install_error_handlers(api: NinjaAPI) -> None:
    """Translate whatever the views raise."""
    handlers: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
        ApiError: lambda _, error: error_response(error.status, error.code, str(error), error.detail),
        RecsysError: _recsys_error,
        ValidationError: _validation_error,
        AuthenticationError: _authentication_error,
        HttpError: _http_error,
        Http404: lambda _, __: error_response(404, *PLAIN_ERRORS[404]),
        RequestDataTooBig: lambda _, __: error_response(413, *PLAIN_ERRORS[413]),
        # Such as more than a thousand parameters in an address.
        SuspiciousOperation: lambda _, __: error_response(400, *PLAIN_ERRORS[400]),
        OperationalError: _database_error,
        Exception: _unexpected_error,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def _recsys_error(_: HttpRequest, error: RecsysError) -> HttpResponse:
    status = STATUS_OF_ERROR.get(type(error), 500)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("request failed error=%s", error.code, exc_info=error)
    return error_response(status, error.code, str(error), error.detail)


def _validation_error(_: HttpRequest, error: ValidationError) -> HttpResponse:
    # The first part of a place says "body" or "query", the second, for a body, the argument's name.
    errors = [{**each, "loc": each["loc"][2 if each["loc"][0] == "body" else 1 :]} for each in error.errors]
    message, fields = describe_errors(errors)
    return error_response(422, "invalid_request", f"{message}. See /api/v1/docs.", {"fields": fields})


def _authentication_error(*_: object) -> HttpResponse:
    return error_response(
        401, "unauthenticated", "Send an API key (Authorization: Bearer KEY, or X-API-Key: KEY), or log in."
    )


def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Ninja wraps what its parser raised; the cause knows better."""
    if isinstance(error.__cause__, ApiError):
        cause = error.__cause__
        return error_response(cause.status, cause.code, str(cause), cause.detail)
    if isinstance(error.__cause__, RequestDataTooBig):
        return error_response(413, *PLAIN_ERRORS[413])
    code, message = PLAIN_ERRORS.get(error.status_code, ("error", str(error)))
    return error_response(error.status_code, code, message)


def _database_error(_: HttpRequest, error: OperationalError) -> HttpResponse:
    logger.error("database failed", exc_info=error)
    return error_response(503, "database_unavailable", "The database does not answer; try again later.")


def _unexpected_error(_: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("request failed", exc_info=error)
    return error_response(500, *PLAIN_ERRORS[500], {"request_id": current_request_id()})


class ApiErrorMiddleware:
    """Errors below /api/ that Django made itself (unknown address, wrong method) get the shape too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer; replace a plain error by one in the shape."""
        response = self.get_response(request)
        is_plain = response.status_code in PLAIN_ERRORS and "json" not in response.get("Content-Type", "")
        if not (is_plain and f"{request.path}/".startswith(API_PREFIX)):
            return response
        detail = {"request_id": current_request_id()} if response.status_code == 500 else {}
        shaped = error_response(response.status_code, *PLAIN_ERRORS[response.status_code], detail)
        if "Allow" in response:
            shaped["Allow"] = response["Allow"]
        return shaped
