"""One id a request, in its answer and in every line it logs, so that one grep tells its story."""

from __future__ import annotations

import logging
import re
import uuid

from flask import Flask, Response, g, has_request_context, request

HEADER = "X-Request-ID"
SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)


def install_request_id(app: Flask) -> None:
    """Take the caller's X-Request-ID when it is sane, make one otherwise, and send it back."""

    @app.before_request
    def take_or_make() -> None:
        given = request.headers.get(HEADER, "")
        g.request_id = given if SANE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex

    @app.after_request
    def send_back(response: Response) -> Response:
        response.headers[HEADER] = current_request_id()
        return response


def current_request_id() -> str:
    """The id of the request being answered, or "-" outside of one."""
    return g.get("request_id", "-") if has_request_context() else "-"


class RequestIdFilter(logging.Filter):
    """Puts the request's id into every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add `request_id`; never drops a record."""
        record.request_id = current_request_id()
        return True
