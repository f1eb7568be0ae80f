"""The API under /api/v1."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Swagger

from accounts.api import router as users_router
from config.api_batches import StrictJsonParser
from config.api_errors import install_error_handlers
from interactions.api import router as interactions_router
from recommendations.api import router as recommendations_router
from startups.api import router as startups_router

DESCRIPTION = """\
Record what people do with startups, keep users and startups up to date, and ask what to show next.

Services send an API key (`Authorization: Bearer KEY` or `X-API-Key: KEY`), made with
`manage.py create_api_key`; people use their session and act for themselves.
Every error is `{"error": code, "message": what happened and how to mend it, "detail": {...}}`.
"""


class Docs(Swagger):
    """Swagger's page, which lacks its language: a screen reader would read it in the reader's own."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        """The page, in English."""
        page = super().render_page(request, api, **kwargs)
        page.content = page.content.replace(b"<html>", b'<html lang="en">', 1)
        return page


api = NinjaAPI(
    title="Startup recommendations",
    version="1",
    description=DESCRIPTION,
    urls_namespace="api",
    parser=StrictJsonParser(),
    # validatorUrl: the page would send the API's description to a validator elsewhere.
    docs=Docs({"validatorUrl": None, "persistAuthorization": True}),
)
api.add_router("/interactions", interactions_router)
api.add_router("/users", users_router)
api.add_router("/users", recommendations_router)
api.add_router("/startups", startups_router)
install_error_handlers(api)
