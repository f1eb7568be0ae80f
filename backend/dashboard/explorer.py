"""What the system knows of one user or one startup, and what it would answer."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page


def explorer(request: HttpRequest) -> HttpResponse:
    """Find a user or a startup."""
    return page(request, "dashboard/base.html", {}, "Explorer")


def explorer_user(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One user."""
    return page(request, "dashboard/base.html", {}, "Explorer")


def explorer_startup(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One startup."""
    return page(request, "dashboard/base.html", {}, "Explorer")
