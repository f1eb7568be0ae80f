"""The trainings."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page


def runs(request: HttpRequest) -> HttpResponse:
    """All of them."""
    return page(request, "dashboard/base.html", {}, "Runs")


def run(request: HttpRequest, pk: int) -> HttpResponse:
    """One of them."""
    return page(request, "dashboard/base.html", {}, f"Run {pk}")
