"""Every setting of the answering service, read once from the environment into one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from recsys.errors import ConfigError, InvalidRequestError
from recsys.paths import SERVICE_ROOT
from recsys.serving.filling import NEW_STARTUPS, NewStartupShare
from recsys.serving.router import Thresholds
from recsys.serving.seen import HIDE_FOR_EVER, SeenPolicy, parse_seen_policy

ENVIRONMENTS = ("development", "production")
REDIS_SCHEMES = ("redis", "rediss", "unix")
MIN_KEY_LENGTH = 16  # in production


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of one process; docs/operations.md has the table."""

    redis_url: str = field(repr=False)
    models_dir: Path
    environment: str = "development"
    api_keys: tuple[str, ...] = field(default=(), repr=False)  # any of them is accepted; none: loopback only
    thresholds: Thresholds = field(default_factory=Thresholds)
    seen: SeenPolicy = HIDE_FOR_EVER
    new_startups: NewStartupShare = NEW_STARTUPS

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Parse and check the environment.

        Raises:
            ConfigError: names the variable, what it holds, and what it may hold.
        """
        environment = env.get("ENVIRONMENT", "").strip() or "development"
        if environment not in ENVIRONMENTS:
            raise _refused("ENVIRONMENT", environment, " or ".join(ENVIRONMENTS))
        models_dir = env.get("RECSYS_MODELS_DIR", "").strip()
        return cls(
            redis_url=_redis_url(env),
            models_dir=Path(models_dir).expanduser().resolve() if models_dir else SERVICE_ROOT / "models",
            environment=environment,
            api_keys=_api_keys(env, is_production=environment == "production"),
            thresholds=Thresholds(
                cold_below=_whole_number(env, "COLD_BELOW", default=5),
                hot_from=_whole_number(env, "HOT_FROM", default=20),
            ),
            seen=_seen_policy(env),
            new_startups=_new_startup_share(env),
        )


def _refused(name: str, value: str, accepted: str) -> ConfigError:
    shown = f"is {value!r}" if value else "is not set"
    return ConfigError(f"{name} {shown}; accepted: {accepted}.")


def _redis_url(env: Mapping[str, str]) -> str:
    value = env.get("REDIS_URL", "").strip()
    parts = urlsplit(value)
    if parts.scheme not in REDIS_SCHEMES or not (parts.netloc or parts.path):
        without_password = value.rpartition("@")[2]
        accepted = "redis://host:port/0, rediss://host:port/0 or unix:///path"
        raise _refused("REDIS_URL", without_password, accepted)
    return value


def _api_keys(env: Mapping[str, str], *, is_production: bool) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in env.get("INFERENCE_API_KEY", "").split(",") if key.strip())
    accepted = (
        f"one or more random keys of at least {MIN_KEY_LENGTH} characters, comma-separated, "
        "when ENVIRONMENT=production"
    )
    if is_production and not keys:
        raise _refused("INFERENCE_API_KEY", "", accepted)
    if is_production and min(map(len, keys)) < MIN_KEY_LENGTH:
        raise _refused("INFERENCE_API_KEY", "<too short>", accepted)
    return keys


def _whole_number(env: Mapping[str, str], name: str, *, default: int) -> int:
    value = env.get(name, "").strip()
    if not value:
        return default
    if not (value.isascii() and value.isdigit()):
        raise _refused(name, value, "a whole number of startups, 0 or more")
    return int(value)


def _seen_policy(env: Mapping[str, str]) -> SeenPolicy:
    value = env.get("SEEN_POLICY", "").strip()
    try:
        return parse_seen_policy(value)
    except InvalidRequestError as error:
        raise ConfigError(f"SEEN_POLICY is {value!r}: {error}") from error


def _new_startup_share(env: Mapping[str, str]) -> NewStartupShare:
    value = env.get("NEW_STARTUP_SHARE", "").strip()
    if not value:
        return NEW_STARTUPS
    try:
        return NewStartupShare(float(value))
    except ValueError:
        raise _refused("NEW_STARTUP_SHARE", value, "a share of a list, from 0 to 1") from None
