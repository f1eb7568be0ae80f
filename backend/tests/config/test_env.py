"""Settings from the environment: parsed once, refused with variable, value and accepted form."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from config.env import SettingError, Settings
from config.secret_key import development_secret_key

BASE = {"DATABASE_URL": "postgresql://user:secret@db:5433/site", "REDIS_URL": "redis://:hidden@cache:6379/0"}
PRODUCTION = {
    **BASE,
    "ENVIRONMENT": "production",
    "SECRET_KEY": "k" * 64,
    "ALLOWED_HOSTS": "example.org, www.example.org",
    "INFERENCE_API_KEY": "new-key,old-key",
}


def test_a_laptop_needs_only_the_addresses() -> None:
    parsed = Settings.from_env(BASE)

    assert (parsed.environment, parsed.debug, parsed.secret_key) == ("development", True, "")
    assert parsed.allowed_hosts == ("localhost", "127.0.0.1", "[::1]")
    assert parsed.inference_url == "http://127.0.0.1:5001"
    assert parsed.inference_api_key == ""
    assert (parsed.cold_below, parsed.hot_from) == (5, 20)
    assert not parsed.is_production


def test_production_is_read() -> None:
    parsed = Settings.from_env({**PRODUCTION, "CSRF_TRUSTED_ORIGINS": "https://example.org/"})

    assert parsed.is_production
    assert parsed.debug is False
    assert parsed.allowed_hosts == ("example.org", "www.example.org")
    assert parsed.csrf_trusted_origins == ("https://example.org",)
    assert parsed.inference_api_key == "new-key"


def test_the_limits_of_a_training_are_read_and_have_defaults() -> None:
    by_default = Settings.from_env(BASE)
    given = Settings.from_env({**BASE, "TRAINING_TIME_LIMIT_S": "3600", "TRAINING_MEMORY_LIMIT_MB": "0"})

    assert by_default.training_time_limit_s == 12 * 3600
    assert by_default.training_memory_limit_mb > 100
    assert (given.training_time_limit_s, given.training_memory_limit_mb) == (3600, 0)


def test_a_database_url_becomes_djangos_entry() -> None:
    assert Settings.from_env(BASE).database == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "site",
        "USER": "user",
        "PASSWORD": "secret",
        "HOST": "db",
        "PORT": "5433",
        "OPTIONS": {},
    }
    by_socket = "postgresql://user@/site?host=%2Frun%2Fpg&sslmode=disable"
    entry = Settings.from_env({**BASE, "DATABASE_URL": by_socket}).database
    assert (entry["HOST"], entry["OPTIONS"]) == ("/run/pg", {"sslmode": "disable"})


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("ENVIRONMENT", "prod", "development or production"),
        ("DEBUG", "maybe", "true or false"),
        ("DATABASE_URL", "", "postgresql://user:password@host:port/name"),
        ("DATABASE_URL", "sqlite:///db.sqlite3", "postgresql://"),
        ("DATABASE_URL", "postgresql://user:secret@db:port/site", "postgresql://"),
        ("DATABASE_URL", "postgresql://user:secret@db", "postgresql://"),
        ("REDIS_URL", "", "redis://"),
        ("REDIS_URL", "http://cache", "redis://"),
        ("INFERENCE_URL", "127.0.0.1:5001", "http://"),
        ("CSRF_TRUSTED_ORIGINS", "example.org", "https://example.org"),
        ("HOT_FROM", "many", "a whole number"),
        ("COLD_BELOW", "21", "at most HOT_FROM"),
        ("TRAINING_TIME_LIMIT_S", "59", "a whole number from 60"),
        ("TRAINING_MEMORY_LIMIT_MB", "4GB", "a whole number from 0"),
        ("TRAINING_MEMORY_LIMIT_MB", "-1", "a whole number from 0"),
    ],
)
def test_what_cannot_work_is_named_with_what_can(name: str, value: str, accepted: str) -> None:
    with pytest.raises(SettingError) as refused:
        Settings.from_env({**BASE, name: value})

    message = str(refused.value)
    assert message.startswith(f"{name} is not set" if not value else f"{name} is ")
    assert accepted in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "django-insecure-" + "k" * 64),
        ("DEBUG", "true"),
        ("ALLOWED_HOSTS", ""),
        ("ALLOWED_HOSTS", "example.org,*"),
        ("INFERENCE_API_KEY", ""),
    ],
)
def test_production_refuses_what_a_laptop_may(name: str, value: str) -> None:
    Settings.from_env({**BASE, name: value})

    with pytest.raises(SettingError, match=f"{name} .*production"):
        Settings.from_env({**PRODUCTION, name: value})


def test_secrets_do_not_show() -> None:
    shown = repr(Settings.from_env(PRODUCTION))

    for secret in ("kkk", "secret", "hidden", "new-key"):
        assert secret not in shown


def test_a_generated_key_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "run" / "key"

    key = development_secret_key(path)

    assert len(key) >= 50
    assert development_secret_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["key"]
    assert development_secret_key(tmp_path / "other") != key


def test_a_key_that_cannot_be_kept_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SettingError, match="SECRET_KEY is not set"):
        development_secret_key(tmp_path / "file" / "key")


def manage(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, **changed},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_wrong_setting_is_one_line_of_a_command() -> None:
    refused = manage("check", ENVIRONMENT="production", SECRET_KEY="")

    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith("Error: SECRET_KEY is not set; accepted:")


def test_production_passes_djangos_own_deployment_check() -> None:
    production = {name: value for name, value in PRODUCTION.items() if name not in BASE}
    key = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zC-fL_oI" * 2

    checked = manage("check", "--deploy", **{**production, "SECRET_KEY": key})

    assert checked.returncode == 0, checked.stderr
    # TLS is ended, and plain HTTP turned away, by the proxy in front.
    warned = {
        line.split(":")[1].strip(" ()") for line in checked.stderr.splitlines() if line.startswith("?:")
    }
    assert {each.split(")")[0] for each in warned} <= {
        "security.W004",
        "security.W005",
        "security.W008",
        "security.W021",
    }


def test_no_model_changed_without_its_migration(db: None) -> None:
    assert manage("makemigrations", "--check", "--dry-run").returncode == 0
