"""A home folder for servers under test, stopped and deleted after each test."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded_services import ensure_services, services_home, stop_services
from embedded_services.places import ENTERABLE_FOLDER


@pytest.fixture(scope="session")
def made_home() -> Iterator[Path]:
    """Both servers' files as a first start and a stop leave them; making them takes longer than a copy."""
    with tempfile.TemporaryDirectory(prefix="embedded services ") as temporary:
        Path(temporary).chmod(ENTERABLE_FOLDER)
        for home in stopped_and_deleted(Path(temporary) / "home"):
            ensure_services(home)
            stop_services(home)
            yield home


@pytest.fixture
def empty_home() -> Iterator[Path]:
    """A folder with a space in its name, not made yet, that the servers' account can reach."""
    with tempfile.TemporaryDirectory(prefix="embedded services ") as temporary:
        Path(temporary).chmod(ENTERABLE_FOLDER)
        yield from stopped_and_deleted(Path(temporary) / "home")


@pytest.fixture
def home(made_home: Path, empty_home: Path) -> Path:
    """The same after a first start and a stop of both servers."""
    subprocess.run(["cp", "-a", str(made_home), str(empty_home)], check=True)
    return empty_home


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
