"""The demo puts a whole synthetic world into the database, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from redis import Redis

from accounts.models import User
from interactions.demo import seed_demo
from interactions.export import export_als_dataset
from interactions.models import UserInteraction
from interactions.selectors import interaction_count
from recsys.datasets.synthetic import DEMO_USERS, build_dataset, make_world
from recsys.datasets.user_items import load_dataset
from recsys.datasets.weights import SIGNALS
from recsys.errors import ConfigError, DataError
from recsys.serving.live_profile import LiveProfileStore
from startups.models import Startup

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def seed(**options: Any) -> Any:
    return seed_demo(**{"n_users": 30, "n_startups": 40, "seed": 1, "preset": "dense", "now": NOW, **options})


def test_the_world_is_what_the_core_draws(redis: Redis, tmp_path: Any) -> None:
    summary = seed()
    world = make_world(30, 40, seed=1, now_s=NOW.timestamp())

    assert (summary.n_new_users, summary.n_new_startups) == (30, 40)
    assert summary.n_new_acts == summary.n_acts == len(world.acts) == UserInteraction.objects.count()
    assert set(UserInteraction.objects.values_list("type", flat=True)) == set(SIGNALS)
    export_als_dataset(tmp_path)
    exported, drawn = load_dataset(tmp_path), build_dataset(world)
    assert exported.user_mapping.ids == drawn.user_mapping.ids
    assert exported.item_mapping.ids == drawn.item_mapping.ids
    np.testing.assert_allclose(exported.user_items.toarray(), drawn.user_items.toarray())


def test_seeding_again_on_another_day_adds_nothing(redis: Redis) -> None:
    seed()
    times = set(UserInteraction.objects.values_list("event_id", "occurred_at"))

    summary = seed(now=NOW + timedelta(days=3))

    assert (summary.n_new_users, summary.n_new_startups, summary.n_new_acts) == (0, 0, 0)
    assert set(UserInteraction.objects.values_list("event_id", "occurred_at")) == times


def test_seeding_completes_a_world_that_was_cut_short(redis: Redis) -> None:
    seed()
    late = NOW - timedelta(days=60)
    n_lost, _ = UserInteraction.objects.filter(occurred_at__gt=late).delete()

    assert seed().n_new_acts == n_lost > 0


@pytest.mark.parametrize("preset", ["dense", "sparse"])
def test_the_demo_users_have_their_numbers_of_startups_live(redis: Redis, preset: str) -> None:
    seed(preset=preset)
    store = LiveProfileStore(redis)
    assert store.is_ready()
    for username, n_startups in DEMO_USERS.items():
        user = User.objects.get(username=username)
        profile = store.fetch(str(user.pk))
        assert profile is not None
        assert profile.interaction_count == interaction_count(user.pk) == n_startups
        assert list(profile.interests) == user.interests
        assert user.interests


def test_acts_were_received_when_they_happened_and_in_that_order(redis: Redis) -> None:
    seed()
    rows = list(UserInteraction.objects.order_by("pk").values_list("occurred_at", "received_at"))
    assert all(occurred_at == received_at for occurred_at, received_at in rows)
    assert rows == sorted(rows)
    assert rows[-1][0] <= NOW


def test_another_world_in_the_same_database_is_refused(redis: Redis) -> None:
    seed()
    n_startups = Startup.objects.count()
    with pytest.raises(DataError, match="'demo-cold' belongs to a user with another id"):
        seed(seed=2)
    assert (Startup.objects.count(), User.objects.count()) == (n_startups, 30)


def test_the_command_says_what_was_new(redis: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("seed_demo", "--users", "10", "--startups", "30", "--seed", "3", "--preset", "sparse")
    n_acts = UserInteraction.objects.count()
    said = capsys.readouterr().out
    assert f"The world of seed 3 has 10 users, 30 startups and {n_acts} acts" in said
    assert f"new of them: 10 users, 30 startups, {n_acts} acts." in said


def test_the_command_names_the_mend(redis: Redis) -> None:
    with pytest.raises(CommandError, match="at least 3 users and 25 startups"):
        call_command("seed_demo", "--startups", "10")


@pytest.mark.parametrize(
    ("flag", "number", "limits"),
    [
        ("--users", 10**12, "at most 100,000 users and 100,000 startups"),
        ("--startups", 10**12, "at most 100,000 users and 100,000 startups"),
        ("--users", 100_001, "100,001 and 300 were asked for"),
        ("--users", 0, "at least 3 users"),
        ("--users", -1, "at least 3 users"),
        ("--startups", -1, "25 startups"),
        ("--seed", -1, "a whole number from 0"),
    ],
)
def test_numbers_beyond_a_world_are_refused(db: None, flag: str, number: int, limits: str) -> None:
    with pytest.raises(CommandError, match=limits):
        call_command("seed_demo", f"{flag}={number}")
    assert not User.objects.exists()


def test_people_can_act_on_the_startups_that_are_there(redis: Redis) -> None:
    Startup.objects.bulk_create(Startup(name=f"Lender {n}", tags=["lending", "fintech"]) for n in range(40))

    summary = seed(n_startups=0)
    again = seed(n_startups=0)

    assert summary.n_new_startups == 0
    assert Startup.objects.count() == 40
    assert summary.n_new_acts == UserInteraction.objects.count() > 0
    assert again.n_new_acts == 0


def test_too_few_startups_to_act_on_is_said(redis: Redis) -> None:
    with pytest.raises(ConfigError, match="at least 3 users and 25 startups"):
        seed(n_startups=0)
