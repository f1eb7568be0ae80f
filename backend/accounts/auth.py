"""Who may call the API: services with a key and its scopes, people with their session.

A person acts only for themselves; a service for anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import APIKeyHeader, HttpBearer
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from accounts.models import ApiKey
from accounts.services import key_matches, prefix_of
from config.api_errors import ApiError

LAST_USED_PRECISION = timedelta(minutes=1)  # a busy key costs one write a minute, not one a request


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `user_id` is None for a service."""

    user_id: UUID | None = None

    def may_act_for(self, user_id: UUID) -> bool:
        """True for oneself, and for every service."""
        return self.user_id is None or self.user_id == user_id

    def check_may_act_for(self, user_id: UUID) -> None:
        """Refuse a person who acts for somebody else."""
        if not self.may_act_for(user_id):
            raise ApiError(
                403, "forbidden", "You can act only for yourself; use your own user id, or an API key."
            )


class _KeyCheck:
    def __init__(self, scope: ApiKey.Scope) -> None:
        self.scope = scope
        super().__init__()

    def authenticate(self, request: HttpRequest, token: str | None) -> Caller | None:
        """The service the key belongs to."""
        return _service(token, self.scope) if token else None


class BearerKey(_KeyCheck, HttpBearer):
    """Authorization: Bearer KEY."""


class HeaderKey(_KeyCheck, APIKeyHeader):
    """X-API-Key: KEY."""

    param_name = "X-API-Key"


class PersonSession(AuthBase):
    """A Django session; CSRF is checked, because a browser sends its cookie to anybody's form."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = settings.SESSION_COOKIE_NAME

    def __init__(self, *, is_welcome: bool) -> None:
        self.is_welcome = is_welcome
        super().__init__()

    def __call__(self, request: HttpRequest) -> Caller | None:
        """The person who is logged in."""
        if not request.user.is_authenticated:
            return None
        if check_csrf(request):
            raise ApiError(
                403,
                "csrf_failed",
                "The CSRF token is missing or wrong; send the csrftoken cookie as X-CSRFToken.",
            )
        if not self.is_welcome:
            raise ApiError(403, "services_only", "This is for services; send an API key.")
        return Caller(user_id=request.user.pk)


def services(scope: ApiKey.Scope) -> list[AuthBase]:
    """Keys with the scope; a person is told that this is not for them."""
    return [BearerKey(scope), HeaderKey(scope), PersonSession(is_welcome=False)]


def services_and_people(scope: ApiKey.Scope) -> list[AuthBase]:
    """Keys with the scope, and people, whom the view must hold to their own data."""
    return [BearerKey(scope), HeaderKey(scope), PersonSession(is_welcome=True)]


def _service(token: str, scope: ApiKey.Scope) -> Caller:
    key = ApiKey.objects.filter(prefix=prefix_of(token)).first()
    if key is None or not key_matches(key, token):
        raise ApiError(
            401,
            "invalid_api_key",
            "The API key is not known; make one with `manage.py create_api_key` or in the admin.",
        )
    now = timezone.now()
    if not key.is_usable(now):
        state = "was revoked" if key.revoked_at else f"expired at {key.expires_at:%Y-%m-%dT%H:%MZ}"
        raise ApiError(401, "invalid_api_key", f"The API key {key.prefix} {state}; use a new one.")
    if not key.allows(scope):
        raise ApiError(
            403,
            "missing_scope",
            f"The API key {key.prefix} has no scope {scope.value!r}; use one that has.",
            scope=scope.value,
        )
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_PRECISION)
    if key.last_used_at is None or key.last_used_at < now - LAST_USED_PRECISION:
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
    return Caller()
