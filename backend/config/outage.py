"""What a person in a browser is told while PostgreSQL is away."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from config.api_errors import API_PREFIX

logger = logging.getLogger(__name__)

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>The database does not answer</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><h1>The database does not answer</h1>
<p>Recommendations are still given: they need none. Bring PostgreSQL back, then load this page again;
<code>manage.py recsys_doctor</code> says what else is wrong.</p></body></html>
"""


class OutageMiddleware:
    """503 and what to do, as the API says it, instead of a fault."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Whatever a view, or its template, could not read."""
        if not isinstance(error, OperationalError | InterfaceError) or request.path.startswith(API_PREFIX):
            return None
        logger.error("database failed path=%s reason=%s", request.path, error)
        return HttpResponse(PAGE, status=503, headers={"Cache-Control": "no-store"})
