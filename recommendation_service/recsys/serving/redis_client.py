"""One way to connect to Redis, and one error for whatever goes wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from recsys.errors import ConfigError, UnavailableError

READ_TIMEOUT_S = 0.25  # an answer without live data beats a late one; a busy machine is not a fault
WRITE_TIMEOUT_S = 1.0


def connect(redis_url: str, *, timeout_s: float) -> redis.Redis:
    """A client for `redis_url` that fails within `timeout_s` and opens no connection yet.

    A connection that the server closed is opened again once; a server that is slow is not asked
    twice.

    Raises:
        ConfigError: the URL is not one Redis understands.
    """
    try:
        return redis.Redis.from_url(
            redis_url,
            decode_responses=True,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
    except ValueError as error:
        raise ConfigError(
            f"REDIS_URL cannot be used ({error}); give redis://host:port/0, rediss://... or unix:///path."
        ) from error


@contextmanager
def redis_faults_as_unavailable(doing: str) -> Iterator[None]:
    """Turn any fault of Redis, or bytes in it that are no text, into an UnavailableError."""
    try:
        yield
    except (RedisError, UnicodeDecodeError) as error:
        raise UnavailableError(
            f"Redis failed while {doing} ({error}); check that the server of REDIS_URL is up."
        ) from error
