"""A place for a training of the tests' own: the test database, and folders for its files."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection
from pytest_django import Settings

from interactions.services import NewEvent, record_events
from recsys.datasets.weights import SIGNALS
from startups.models import Startup
from testing import Make


@pytest.fixture
def training_place(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trainings here and in subprocesses read the test database and write below this folder."""
    for name in ("DATA", "MODELS", "LOGS"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        setattr(settings, "DATASET_DIR" if name == "DATA" else f"{name}_DIR", folder)
        monkeypatch.setenv(f"RECSYS_{name}_DIR", str(folder))
    database = connection.settings_dict
    credentials = f"{quote(database['USER'])}:{quote(database['PASSWORD'])}"
    place = f"{quote(database['HOST'], safe='')}:{database['PORT']}"
    monkeypatch.setenv("DATABASE_URL", f"postgresql://{credentials}@{place}/{database['NAME']}")
    return tmp_path


@pytest.fixture
def event_log(make_user: Make) -> int:
    """Acts of 60 users on 40 startups, each user drawn to a fifth of them; how many there are."""
    users = [make_user() for _ in range(60)]
    startups = Startup.objects.bulk_create(
        Startup(name=f"Startup {n}", short_description=f"topic{n % 5} idea{n}", tags=[f"topic{n % 5}"])
        for n in range(40)
    )
    events = [
        NewEvent(user.pk, startups[(n * 5 + n_user) % 40].pk, SIGNALS[(n + n_user) % len(SIGNALS)])
        for n_user, user in enumerate(users)
        for n in range(8)
    ]
    record_events(events)
    return len(events)
