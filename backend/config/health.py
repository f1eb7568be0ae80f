"""Whether the process lives, and whether what it needs answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from config.redis_client import redis_client
from recsys.errors import UnavailableError
from recsys.serving.redis_client import redis_faults_as_unavailable

logger = logging.getLogger(__name__)

NOT_KEPT = {"Cache-Control": "no-store"}


class HealthMiddleware:
    """Answers the probes before anything asks for a session, or whether the host's name is allowed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a probe; pass everything else on."""
        probe = PROBES.get(request.path)
        return probe() if probe else self.get_response(request)


def live() -> JsonResponse:
    """The process answers; asks nothing else."""
    return JsonResponse({"status": "ok"}, headers=NOT_KEPT)


def ready() -> JsonResponse:
    """200 when PostgreSQL and Redis answer, 503 with the one that does not."""
    checks = {"database": _state(_ask_database), "redis": _state(_ask_redis)}
    is_ready = all(state == "ok" for state in checks.values())
    return JsonResponse(
        {"status": "ok" if is_ready else "unavailable", "checks": checks},
        status=200 if is_ready else 503,
        headers=NOT_KEPT,
    )


PROBES: Mapping[str, Callable[[], JsonResponse]] = {"/health/live": live, "/health/ready": ready}


def _state(ask: Callable[[], None]) -> str:
    try:
        ask()
    except (Error, UnavailableError) as error:
        logger.warning("not ready check=%s reason=%s", ask.__name__, error)
        return "unavailable"
    return "ok"


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _ask_redis() -> None:
    with redis_faults_as_unavailable("answering a ping"):
        redis_client().ping()
