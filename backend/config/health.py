"""Whether the process lives, and whether what it needs answers."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache

from config.redis_client import redis_client
from recsys.errors import UnavailableError
from recsys.serving.redis_client import redis_faults_as_unavailable

logger = logging.getLogger(__name__)


@never_cache
def live(request: HttpRequest) -> JsonResponse:
    """The process answers; asks nothing else."""
    return JsonResponse({"status": "ok"})


@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """200 when PostgreSQL and Redis answer, 503 with the one that does not."""
    checks = {"database": _state(_ask_database), "redis": _state(_ask_redis)}
    is_ready = all(state == "ok" for state in checks.values())
    return JsonResponse(
        {"status": "ok" if is_ready else "unavailable", "checks": checks}, status=200 if is_ready else 503
    )


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
