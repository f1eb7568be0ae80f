from __future__ import annotations

from pathlib import Path

import pytest

from inference_api import Settings
from recsys.errors import ConfigError
from recsys.paths import SERVICE_ROOT
from recsys.serving.filling import NewStartupShare
from recsys.serving.router import Thresholds
from recsys.serving.seen import SeenPolicy

REDIS = {"REDIS_URL": "redis://localhost:6379/0"}
KEY = "a-long-random-service-key"


def test_defaults() -> None:
    assert Settings.from_env(REDIS) == Settings(
        redis_url="redis://localhost:6379/0", models_dir=SERVICE_ROOT / "models", thresholds=Thresholds(5, 20)
    )


def test_every_variable_is_read(tmp_path: Path) -> None:
    settings = Settings.from_env(
        {
            "REDIS_URL": "unix:///tmp/valkey.sock",
            "ENVIRONMENT": "production",
            "RECSYS_MODELS_DIR": str(tmp_path),
            "INFERENCE_API_KEY": f" {KEY}, {KEY}-next ,",
            "COLD_BELOW": "3",
            "HOT_FROM": "30",
            "SEEN_POLICY": "view:7, click:30",
            "NEW_STARTUP_SHARE": "0.3",
        }
    )
    assert settings == Settings(
        redis_url="unix:///tmp/valkey.sock",
        models_dir=tmp_path,
        environment="production",
        api_keys=(KEY, f"{KEY}-next"),
        thresholds=Thresholds(3, 30),
        seen=SeenPolicy({"view": 7, "click": 30}),
        new_startups=NewStartupShare(0.3),
    )


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"REDIS_URL": ""}, "REDIS_URL is not set; accepted: redis://"),
        ({"REDIS_URL": "localhost:6379"}, "REDIS_URL is 'localhost:6379'; accepted"),
        ({"ENVIRONMENT": "prod"}, "ENVIRONMENT is 'prod'; accepted: development or production"),
        ({"COLD_BELOW": "five"}, "COLD_BELOW is 'five'; accepted: a whole number"),
        ({"HOT_FROM": "-1"}, "HOT_FROM is '-1'; accepted"),
        ({"COLD_BELOW": "30"}, "COLD_BELOW is 30 and HOT_FROM is 20"),
        ({"SEEN_POLICY": "veiw:7"}, "SEEN_POLICY is 'veiw:7': seen holds 'veiw:7'"),
        ({"SEEN_POLICY": "view"}, "write types and days such as view:7,click:30"),
        (
            {"NEW_STARTUP_SHARE": "20%"},
            "NEW_STARTUP_SHARE is '20%'; accepted: a share of a list",
        ),
        ({"NEW_STARTUP_SHARE": "1.5"}, "NEW_STARTUP_SHARE is 1.5; give a share from 0"),
        ({"NEW_STARTUP_SHARE": "nan"}, "NEW_STARTUP_SHARE is nan; give a share from 0"),
        ({"ENVIRONMENT": "production"}, "INFERENCE_API_KEY is not set; accepted: one or more random keys"),
        (
            {"ENVIRONMENT": "production", "INFERENCE_API_KEY": f"{KEY},short"},
            "INFERENCE_API_KEY is '<too short>'",
        ),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(changed: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Settings.from_env({**REDIS, **changed})
    assert named in str(raised.value)


def test_secrets_are_never_shown() -> None:
    env = {"REDIS_URL": "redis://:hunter2@host/0", "INFERENCE_API_KEY": KEY}
    assert KEY not in repr(Settings.from_env(env))
    assert "hunter2" not in repr(Settings.from_env(env))
    with pytest.raises(ConfigError) as raised:
        Settings.from_env({"REDIS_URL": "http://:hunter2@host/0"})
    assert "hunter2" not in str(raised.value)
