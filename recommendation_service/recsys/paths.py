"""Where data, models, logs and the configuration lie; each can be moved by the environment."""

from __future__ import annotations

import os
from pathlib import Path

SERVICE_ROOT = Path(__file__).resolve().parents[1]


def data_dir() -> Path:
    """Exported datasets: $RECSYS_DATA_DIR, by default recommendation_service/data."""
    return _from_environment("RECSYS_DATA_DIR", SERVICE_ROOT / "data")


def models_dir() -> Path:
    """Releases and the documented model files: $RECSYS_MODELS_DIR, by default .../models."""
    return _from_environment("RECSYS_MODELS_DIR", SERVICE_ROOT / "models")


def logs_dir() -> Path:
    """One log file a training: $RECSYS_LOGS_DIR, by default recommendation_service/logs."""
    return _from_environment("RECSYS_LOGS_DIR", SERVICE_ROOT / "logs")


def experiments_dir() -> Path:
    """What was tried and what was chosen: $RECSYS_EXPERIMENTS_DIR, by default .../experiments."""
    return _from_environment("RECSYS_EXPERIMENTS_DIR", SERVICE_ROOT / "experiments")


def config_file() -> Path:
    """The hyper-parameters: $RECSYS_CONFIG, by default config/training_config.yaml."""
    return _from_environment("RECSYS_CONFIG", SERVICE_ROOT / "config" / "training_config.yaml")


def _from_environment(name: str, default: Path) -> Path:
    value = os.environ.get(name, "").strip()
    return Path(value).expanduser().resolve() if value else default
