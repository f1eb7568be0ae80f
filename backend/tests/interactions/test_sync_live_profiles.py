"""manage.py sync_live_profiles."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from interactions.live_profiles import build_live_profiles
from interactions.models import UserInteraction
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveProfileStore
from startups.models import Startup
from testing import Make

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_models(settings: Settings, tmp_path: Path) -> None:
    """Nothing exported, nothing served."""
    settings.MODELS_DIR, settings.DATASET_DIR = tmp_path / "models", tmp_path / "data"
    settings.DATASET_DIR.mkdir()


def synced(*arguments: str) -> str:
    out = StringIO()
    call_command("sync_live_profiles", *arguments, stdout=out)
    return out.getvalue()


def test_it_fills_an_empty_redis_and_says_how_much(make_user: Make, make_startup: Make, redis: Redis) -> None:
    users, owned, inactive = [make_user() for _ in range(3)], make_startup(), make_startup(is_active=False)
    Startup.objects.filter(pk=owned.pk).update(owner=users[0])
    UserInteraction.objects.create(user=users[1], startup=owned, type="like")
    redis.flushdb()

    assert "3 users" in synced()

    store = LiveProfileStore(redis)
    assert store.is_ready()
    assert [store.fetch(str(user.pk)).interaction_count for user in users] == [0, 1, 0]
    catalogue = LiveCatalogueStore(redis).fetch()
    assert catalogue.inactive == {str(inactive.pk)}
    assert catalogue.owners == {str(owned.pk): str(users[0].pk)}


def test_only_startups_that_no_export_knows_are_carried_whole(
    make_startup: Make, redis: Redis, settings: Settings
) -> None:
    exported_at = timezone.now() - timedelta(days=1)
    old, new = make_startup(name="Old"), make_startup(name="New")
    Startup.objects.filter(pk=old.pk).update(updated_at=exported_at - timedelta(days=1))

    def carried() -> set[str]:
        synced()
        return {each.name for each in LiveCatalogueStore(redis).fetch().startups.values()}

    manifest = settings.DATASET_DIR / "als_manifest.json"
    assert carried() == set()  # nothing is exported: the next export knows them all
    manifest.write_text(json.dumps({"watermark": exported_at.isoformat()}))
    assert carried() == {"New"}
    manifest.write_text(json.dumps({}))
    assert carried() == {"Old", "New"}
    manifest.write_text("{")
    assert carried() == {"Old", "New"}
    assert new.pk != old.pk


def test_a_restored_older_database_needs_a_rebuild(make_user: Make, make_startup: Make, redis: Redis) -> None:
    user = make_user()
    UserInteraction.objects.create(user=user, startup=make_startup(), type="like")
    (profile,) = build_live_profiles([user.pk])
    LiveProfileStore(redis).store([type(profile)(**{**fields(profile), "version": 99, "cells": ()})])

    synced()
    assert LiveProfileStore(redis).fetch(str(user.pk)).version == 99

    synced("--rebuild")
    assert LiveProfileStore(redis).fetch(str(user.pk)) == profile
    assert LiveProfileStore(redis).is_ready()


def fields(profile: object) -> dict[str, object]:
    return {name: getattr(profile, name) for name in profile.__dataclass_fields__}
