"""A home folder for servers under test, stopped and deleted after each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded_services import services_home, stop_services
from embedded_services.places import ENTERABLE_FOLDER


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a space in its name that the servers' account can reach, also when we are root."""
    with tempfile.TemporaryDirectory(prefix="embedded services ") as temporary:
        Path(temporary).chmod(ENTERABLE_FOLDER)
        yield from stopped_and_deleted(Path(temporary) / "home")


@pytest.fixture
def private_home(tmp_path: Path) -> Iterator[Path]:
    """A folder nobody but its owner can enter, as everything below /root is."""
    tmp_path.chmod(0o700)
    yield from stopped_and_deleted(tmp_path / "home")


def stopped_and_deleted(home: Path) -> Iterator[Path]:
    yield home
    stop_services(home)
    shutil.rmtree(services_home(home), ignore_errors=True)


@pytest.fixture
def messages() -> list[str]:
    """Collects what the launcher reports: pass `messages.append`."""
    return []
