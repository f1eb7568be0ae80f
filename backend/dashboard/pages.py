"""What every page of the dashboard shares: who may see it, and unfold's frame around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

VIEW = "recommendations.view_trainingrun"
OPERATE = "recommendations.operate"

View = Callable[..., HttpResponse]


def may_view(request: HttpRequest) -> bool:
    """Whether the person who asks may see the dashboard."""
    return request.user.has_perm(VIEW)


def for_staff(view: View, permission: str = VIEW) -> View:
    """The view, with the login before it, and a refusal for staff without the permission."""

    @wraps(view)
    def permitted(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        check_permission(request, permission)
        return view(request, *args, **kwargs)

    return admin.site.admin_view(permitted)


def check_permission(request: HttpRequest, permission: str = VIEW) -> None:
    """Stop here when the person who asks lacks the permission.

    Raises:
        PermissionDenied: with the permission's name.
    """
    if not request.user.has_perm(permission):
        raise PermissionDenied(f"This needs the permission {permission}; a superuser grants it in Users.")


def page(request: HttpRequest, template: str, context: Mapping[str, Any], title: str) -> HttpResponse:
    """The template in unfold's frame, for whoever may view the dashboard.

    Raises:
        PermissionDenied: the person may not.
    """
    check_permission(request)
    frame = {**admin.site.each_context(request), "title": title}
    return TemplateResponse(request, template, {**frame, **context})
