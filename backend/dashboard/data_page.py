"""What there is to learn from."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page


def data(request: HttpRequest) -> HttpResponse:
    """Density, long tail, how much is known of whom."""
    return page(request, "dashboard/data.html", {}, "Data")
