"""Every setting of the backend, read once from the environment into one frozen value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

ENVIRONMENTS = ("development", "production")
BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
MIN_SECRET_KEY_LENGTH = 50  # what `manage.py check --deploy` asks for


class SettingError(ImproperlyConfigured):
    """A variable of the environment holds something that cannot work."""

    def __init__(self, name: str, value: str, accepted: str) -> None:
        shown = "is not set" if value == "" else f"is {value!r}"
        super().__init__(f"{name} {shown}; accepted: {accepted}.")


@dataclass(frozen=True, slots=True)
class Settings:
    """The backend's configuration; docs/operations.md has the table."""

    environment: str
    debug: bool
    secret_key: str = field(repr=False)  # empty in development: one is generated for the machine
    allowed_hosts: tuple[str, ...]
    csrf_trusted_origins: tuple[str, ...]
    database: Mapping[str, Any] = field(repr=False)  # an entry of Django's DATABASES
    redis_url: str = field(repr=False)
    inference_url: str
    inference_api_key: str = field(repr=False)  # the first of the accepted keys; empty: none is sent
    training_time_limit_s: int
    training_memory_limit_mb: int  # 0: none
    cold_below: int  # as the inference service reads them: who gets which recommender
    hot_from: int

    @property
    def is_production(self) -> bool:
        """True where mistakes that are harmless on a laptop must stop the start."""
        return self.environment == "production"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Parse and check the environment.

        Raises:
            SettingError: names the variable, what it holds, and what it may hold.
        """
        environment = _choice(env, "ENVIRONMENT", ENVIRONMENTS, default="development")
        is_production = environment == "production"
        settings = cls(
            environment=environment,
            debug=_boolean(env, "DEBUG", default=not is_production),
            secret_key=env.get("SECRET_KEY", "").strip(),
            allowed_hosts=_words(env, "ALLOWED_HOSTS") or (() if is_production else LOCAL_HOSTS),
            csrf_trusted_origins=_origins(env, "CSRF_TRUSTED_ORIGINS"),
            database=_database(env, "DATABASE_URL"),
            redis_url=_url(env, "REDIS_URL", schemes=("redis", "rediss", "unix")),
            inference_url=_url(
                env, "INFERENCE_URL", schemes=("http", "https"), default="http://127.0.0.1:5001"
            ).rstrip("/"),
            inference_api_key=next(iter(_words(env, "INFERENCE_API_KEY")), ""),
            training_time_limit_s=_whole(env, "TRAINING_TIME_LIMIT_S", default=12 * 3600, least=60),
            training_memory_limit_mb=_whole(
                env, "TRAINING_MEMORY_LIMIT_MB", default=_most_of_the_memory_mb(), least=0
            ),
            cold_below=_whole(env, "COLD_BELOW", default=5, least=0),
            hot_from=_whole(env, "HOT_FROM", default=20, least=0),
        )
        if settings.cold_below > settings.hot_from:
            raise SettingError(
                "COLD_BELOW", str(settings.cold_below), f"at most HOT_FROM, which is {settings.hot_from}"
            )
        if is_production:
            _refuse_unsafe(settings)
        return settings


def _refuse_unsafe(settings: Settings) -> None:
    if settings.debug:
        raise SettingError("DEBUG", "true", "false (or unset) when ENVIRONMENT=production")
    if len(settings.secret_key) < MIN_SECRET_KEY_LENGTH or settings.secret_key.startswith("django-insecure"):
        raise SettingError(
            "SECRET_KEY",
            settings.secret_key and "<too short or a sample>",
            f"a random string of at least {MIN_SECRET_KEY_LENGTH} characters when ENVIRONMENT=production",
        )
    if not settings.inference_api_key:
        raise SettingError(
            "INFERENCE_API_KEY", "", "the key of the inference service when ENVIRONMENT=production"
        )
    if not settings.allowed_hosts or "*" in settings.allowed_hosts:
        raise SettingError(
            "ALLOWED_HOSTS",
            ",".join(settings.allowed_hosts),
            "the names this site answers to, comma-separated and without *, when ENVIRONMENT=production",
        )


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...], *, default: str) -> str:
    value = env.get(name, "").strip() or default
    if value not in choices:
        raise SettingError(name, value, " or ".join(choices))
    return value


def _boolean(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = env.get(name, "").strip()
    if not value:
        return default
    if value.lower() not in BOOLEANS:
        raise SettingError(name, value, "true or false")
    return BOOLEANS[value.lower()]


def _whole(env: Mapping[str, str], name: str, *, default: int, least: int) -> int:
    value = env.get(name, "").strip()
    if not value:
        return default
    if not (value.isascii() and value.isdecimal()) or int(value) < least:
        raise SettingError(name, value, f"a whole number from {least:,}")
    return int(value)


def _most_of_the_memory_mb() -> int:
    """Nine tenths of the machine's: what answers people must not be swapped out or killed for a training."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10 // 2**20


def _words(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in env.get(name, "").split(",") if word.strip())


def _origins(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    origins = _words(env, name)
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
            raise SettingError(name, origin, "origins such as https://example.org, comma-separated")
    return tuple(origin.rstrip("/") for origin in origins)


def _url(env: Mapping[str, str], name: str, *, schemes: tuple[str, ...], default: str = "") -> str:
    value = env.get(name, "").strip() or default
    parts = urlsplit(value)
    if parts.scheme not in schemes or not (parts.netloc or parts.path):
        raise SettingError(
            name, _without_password(value), " or ".join(f"{scheme}://..." for scheme in schemes)
        )
    return value


def _database(env: Mapping[str, str], name: str) -> dict[str, Any]:
    value = env.get(name, "").strip()
    accepted = "postgresql://user:password@host:port/name (manage.py starts a server of its own when unset)"
    if not value.startswith(("postgresql://", "postgres://")):
        raise SettingError(name, _without_password(value), accepted)
    try:
        parts = conninfo_to_dict(value)
    except psycopg.ProgrammingError as error:
        raise SettingError(name, _without_password(value), accepted) from error
    if not parts.get("dbname") or not parts.get("port", "0").isdigit():
        raise SettingError(name, _without_password(value), accepted)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname"),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "OPTIONS": dict(parts),
    }


def _without_password(url: str) -> str:
    credentials, at, rest = url.rpartition("@")
    scheme, separator, user = credentials.partition("://")
    return f"{scheme}{separator}{user.partition(':')[0]}@{rest}" if at else url
