"""The site's addresses."""

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from config.api import api


def nothing_here(request: HttpRequest) -> HttpResponse:
    """Django would send these on to the address with a slash, and fail at whatever has a body."""
    raise Http404


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", include("dashboard.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    re_path(r"^api(?:/v1)?$", nothing_here),
]
