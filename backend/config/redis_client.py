"""The process's Redis clients. What they hold can always be made again, so they give up soon."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from redis import Redis

from recsys.serving.redis_client import WRITE_TIMEOUT_S, connect


@cache
def redis_client(timeout_s: float = WRITE_TIMEOUT_S) -> Redis:
    """A client with its own pool of connections."""
    return connect(settings.REDIS_URL, timeout_s=timeout_s)
