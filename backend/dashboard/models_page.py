"""The releases and how good they are."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page


def models(request: HttpRequest) -> HttpResponse:
    """Every release."""
    return page(request, "dashboard/base.html", {}, "Models")
