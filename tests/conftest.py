"""The whole site for real: a database of its own, Django and Flask under gunicorn, a trained release."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest
from running_site import ROOT, Site, run, serve, wait_until_up

from embedded_services.launcher import NAMES, throw_away_services

SMALL_TRAINING = (
    "--set",
    *("als.factors=16", "als.iterations=10", "two_tower.dimensions=8", "two_tower.epochs=3"),
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Seeded, exported, trained and served; shared by all journeys, each with users of its own."""
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        services = stack.enter_context(throw_away_services(NAMES))
        environment = {
            **os.environ,
            "DATABASE_URL": services.database_url,
            "REDIS_URL": services.redis_url,
            "RECSYS_DATA_DIR": str(folder / "data"),
            "RECSYS_MODELS_DIR": str(folder / "models"),
            "RECSYS_LOGS_DIR": str(folder / "logs"),
            "RECSYS_EXPERIMENTS_DIR": str(folder / "experiments"),
            "DJANGO_SUPERUSER_PASSWORD": uuid4().hex,
        }
        inference = serve(
            stack,
            environment,
            ROOT / "recommendation_service",
            "inference_api.wsgi:app",
            folder / "flask.log",
        )
        environment["INFERENCE_URL"] = inference
        backend = ROOT / "backend"
        run(environment, backend, "manage.py", "migrate", "--verbosity", "0")
        run(
            environment,
            backend,
            "manage.py",
            "seed_demo",
            "--users",
            "150",
            "--startups",
            "80",
            "--seed",
            "3",
        )
        run(environment, backend, "manage.py", "generate_als_dataset", "--output-dir", str(folder / "data"))
        run(environment, ROOT, "-m", "recsys.cli", "train", "--data", str(folder / "data"), *SMALL_TRAINING)
        flags = ("--noinput", "--username", "root", "--email", "root@example.org")
        run(environment, backend, "manage.py", "createsuperuser", *flags)
        key = run(environment, backend, "manage.py", "create_api_key", "journeys").strip()
        django = serve(stack, environment, backend, "config.wsgi", folder / "django.log")
        wait_until_up(f"{django}/health/live", folder / "django.log")
        wait_until_up(f"{inference}/health/live", folder / "flask.log")
        yield Site(environment, django, inference, environment["DJANGO_SUPERUSER_PASSWORD"], key)
