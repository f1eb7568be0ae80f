"""Gives every test run its own throw-away PostgreSQL and Valkey; loaded by `-p` in pyproject.toml.

Runs that touch Django get both before Django is set up, as DATABASE_URL and REDIS_URL; addresses from
outside are never used, so no test can reach real data. Runs of the core alone start Valkey when
a test asks for `redis_url`, and nothing otherwise.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from embedded_services.launcher import NAMES, throw_away_services

WITHOUT_DJANGO = ("recommendation_service", "embedded_services")  # folders whose tests need none of it
running = ExitStack()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Prepare the environment before pytest-django reads the settings and conftests import models."""
    os.environ.pop("DATABASE_URL", None)
    os.environ.pop("REDIS_URL", None)
    atexit.register(running.close)
    if _needs_django(early_config):
        _start(*NAMES)
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    yield


def pytest_unconfigure() -> None:
    """Stop the servers and delete their data; also after a failure or Ctrl-C."""
    running.close()


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The address of the run's own Valkey."""
    if "REDIS_URL" not in os.environ:
        _start("valkey")
    return os.environ["REDIS_URL"]


def _needs_django(config: pytest.Config) -> bool:
    here = config.invocation_params.dir
    chosen = config.known_args_namespace.file_or_dir or [""]
    paths = [(here / str(argument).split("::")[0]).resolve() for argument in chosen]
    return any(_part_of(path, config.rootpath) not in WITHOUT_DJANGO for path in paths)


def _part_of(path: Path, root: Path) -> str:
    return path.relative_to(root).parts[0] if path.is_relative_to(root) and path != root else ""


def _start(*names: str) -> None:
    services = running.enter_context(throw_away_services(names))
    if services.database_url:
        os.environ["DATABASE_URL"] = services.database_url
    os.environ["REDIS_URL"] = services.redis_url
