"""The first page: whether everything is well."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from dashboard.pages import may_view, page


def front_page(request: HttpRequest) -> HttpResponse:
    """The overview for whoever may see it; the admin's own index for everybody else."""
    if may_view(request):
        return redirect("dashboard:overview")
    return admin.site.index(request)


def overview(request: HttpRequest) -> HttpResponse:
    """What happens, what is served, and what is broken."""
    return page(request, "dashboard/overview.html", {}, "Overview")
