"""Live profiles follow every way of writing, and the newer of two writers stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from redis import Redis

from accounts.models import User
from interactions import live_profiles
from interactions.live_profiles import build_live_profiles, store_live_profiles, sync_live_profiles
from interactions.models import SignalWeights, UserInteraction
from interactions.services import NewEvent, record_events, retract_event
from recsys.datasets.weights import SIGNALS
from recsys.serving.live_profile import LiveProfile, LiveProfileStore
from startups.models import Startup
from testing import Api, Make

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def weights_of(profile: LiveProfile | None) -> dict[str, float]:
    assert profile is not None
    return {cell.startup_id: cell.weight for cell in profile.cells}


def test_a_profile_holds_cells_latest_first(make_user: Make, make_startup: Make) -> None:
    user, first, second = make_user(interests=["AI"], opted_out=True), make_startup(), make_startup()
    record_events(
        [
            NewEvent(user.pk, second.pk, "view", occurred_at=NOON),
            NewEvent(user.pk, first.pk, "view", occurred_at=NOON + timedelta(hours=1)),
            NewEvent(user.pk, second.pk, "like", occurred_at=NOON - timedelta(hours=1)),
            NewEvent(user.pk, first.pk, "dislike", occurred_at=NOON),
        ]
    )

    (profile,) = build_live_profiles([user.pk])

    assert [(cell.startup_id, cell.weight, cell.last_event_at, cell.type_mask) for cell in profile.cells] == [
        (str(first.pk), -1.0, (NOON + timedelta(hours=1)).timestamp(), 0b1001),
        (str(second.pk), 2.5, NOON.timestamp(), 0b0101),
    ]
    assert (profile.user_id, profile.interaction_count) == (str(user.pk), 2)
    assert (profile.interests, profile.opted_out) == (("AI",), True)
    assert profile.last_event_id == UserInteraction.objects.latest("pk").pk


def test_profiles_of_many_users_do_not_mix(make_user: Make, make_startup: Make) -> None:
    users, startups = [make_user() for _ in range(5)], [make_startup() for _ in range(4)]
    events = [
        NewEvent(user.pk, startups[(n + step) % 4].pk, SIGNALS[(n * step) % len(SIGNALS)])
        for n, user in enumerate(users)
        for step in range(n)
    ]
    record_events(events)

    together = {profile.user_id: profile for profile in build_live_profiles([user.pk for user in users])}

    assert together == {
        profile.user_id: profile for user in users for profile in build_live_profiles([user.pk])
    }
    assert [together[str(user.pk)].interaction_count for user in users] == [0, 1, 2, 3, 4]


def test_a_long_history_keeps_its_count_and_its_latest_cells(make_user: Make) -> None:
    user = make_user()
    startups = Startup.objects.bulk_create(Startup(name=str(n)) for n in range(600))
    record_events(
        [
            NewEvent(user.pk, startup.pk, "view", occurred_at=NOON + timedelta(seconds=n))
            for n, startup in enumerate(startups)
        ]
    )

    (profile,) = build_live_profiles([user.pk])

    assert profile.interaction_count == 600
    assert [cell.startup_id for cell in profile.cells] == [str(s.pk) for s in reversed(startups[100:])]


def test_ids_with_zero_bytes_at_their_end_are_themselves(make_user: Make, make_startup: Make) -> None:
    user = make_user()
    startups = [make_startup(pk=UUID(int=0x51 << shift)) for shift in (120, 112, 64, 8, 0)]
    record_events([NewEvent(user.pk, startup.pk, "view") for startup in startups])

    (profile,) = build_live_profiles([user.pk])

    assert {cell.startup_id for cell in profile.cells} == {str(startup.pk) for startup in startups}


def test_users_that_do_not_exist_have_no_profile(db: None) -> None:
    assert build_live_profiles([uuid4()]) == []
    assert build_live_profiles([]) == []


def test_building_a_batch_is_one_statement(make_user: Make, make_startup: Make) -> None:
    users = [make_user() for _ in range(20)]
    startup = make_startup()
    record_events([NewEvent(user.pk, startup.pk, "like") for user in users])

    with CaptureQueriesContext(connection) as captured:
        build_live_profiles([user.pk for user in users])
    assert len(captured) == 1


def test_an_act_over_the_api_is_in_the_profile_when_the_answer_comes(
    api: Api, make_user: Make, make_startup: Make, stored: Make
) -> None:
    user, startup = make_user(), make_startup()

    answer = api.post(
        "/interactions", {"user_id": str(user.pk), "startup_id": str(startup.pk), "type": "apply"}
    )
    assert weights_of(stored(user)) == {str(startup.pk): 3.0}

    api.delete(f"/interactions/{answer.json()['event_id']}")
    assert weights_of(stored(user)) == {}
    assert stored(user).interaction_count == 0


def test_an_act_through_the_orm_is_in_the_profile(make_user: Make, make_startup: Make, stored: Make) -> None:
    user, startup = make_user(), make_startup()

    act = UserInteraction.objects.create(user=user, startup=startup, type="like")
    assert weights_of(stored(user)) == {str(startup.pk): 2.0}

    act.retracted_at = NOON
    act.save()
    assert weights_of(stored(user)) == {}

    UserInteraction.objects.create(user=user, startup=startup, type="view").delete()
    assert weights_of(stored(user)) == {}


def test_interests_and_opting_out_are_in_the_profile(api: Api, make_user: Make, stored: Make) -> None:
    user = make_user()

    api.put(f"/users/{user.pk}/interests", {"interests": ["Space"]})
    assert stored(user).interests == ("Space",)

    user.refresh_from_db()
    user.opted_out = True
    user.save()
    assert stored(user).opted_out is True


def test_a_deleted_user_has_no_profile(make_user: Make, stored: Make) -> None:
    user = make_user()
    assert stored(user) is not None

    pk = user.pk
    user.delete()

    user.pk = pk
    assert stored(user) is None


def test_a_rolled_back_act_is_not_in_the_profile(make_user: Make, make_startup: Make, stored: Make) -> None:
    user, startup = make_user(), make_startup()

    with transaction.atomic():
        UserInteraction.objects.create(user=user, startup=startup, type="like")
        transaction.set_rollback(True)

    assert weights_of(stored(user)) == {}


def test_a_hundred_saves_in_one_transaction_build_once(
    make_user: Make, make_startup: Make, stored: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, built = make_user(), []

    def count(user_ids: list[UUID]) -> list[LiveProfile]:
        built.append(user_ids)
        return build_live_profiles(user_ids)

    monkeypatch.setattr(live_profiles, "build_live_profiles", count)
    with transaction.atomic():
        for _ in range(100):
            UserInteraction.objects.create(user=user, startup=make_startup(), type="view")

    assert built == [[user.pk]]
    assert stored(user).interaction_count == 100


def test_logging_in_does_not_touch_the_profile(make_user: Make, redis: Redis, client: Any) -> None:
    user = make_user()
    redis.flushdb()

    client.force_login(user)

    assert not redis.keys("recs:profile:*")


def test_every_change_makes_the_version_larger(make_user: Make, make_startup: Make) -> None:
    user, startup = make_user(), make_startup()

    def version() -> int:
        (profile,) = build_live_profiles([user.pk])
        return profile.version

    def act() -> UserInteraction:
        return UserInteraction.objects.create(user=user, startup=startup, type="like")

    def change_interests() -> None:
        User.objects.filter(pk=user.pk).update(interests=["AI"])

    def save_stale() -> None:
        user.interests = ["Space"]
        user.save()  # carries the profile_version of when it was made

    changes: list[Callable[[], object]] = [
        act,
        act,
        lambda: retract_event(UserInteraction.objects.earliest("pk").event_id),
        change_interests,
        save_stale,
        lambda: User.objects.filter(pk=user.pk).update(opted_out=True),
        lambda: UserInteraction.objects.latest("pk").delete(),
        lambda: UserInteraction.objects.all().delete(),
        act,
        lambda: SignalWeights(view=0.7).save(),
        lambda: SignalWeights.objects.update(view=0.8),
    ]
    versions = [version()]
    for change in changes:
        change()
        versions.append(version())

    assert versions == sorted(set(versions))


def test_what_cannot_change_does_not(make_user: Make, make_startup: Make) -> None:
    act = UserInteraction.objects.create(user=make_user(), startup=make_startup(), type="like")
    rows = UserInteraction.objects.filter(pk=act.pk)
    rows.update(retracted_at=NOON)

    for change in (
        {"type": "view"},
        {"user": make_user()},
        {"occurred_at": NOON},
        {"retracted_at": None},
        {"retracted_at": F("received_at")},
    ):
        with pytest.raises(Exception, match="cannot change"):
            rows.update(**change)


def test_new_weights_change_the_profile_at_its_next_building(
    make_user: Make, make_startup: Make, stored: Make
) -> None:
    user, startup = make_user(), make_startup()
    record_events([NewEvent(user.pk, startup.pk, "view")])

    SignalWeights(view=0.25).save()
    store_live_profiles([user.pk])

    assert weights_of(stored(user)) == {str(startup.pk): 0.25}


def test_sync_brings_back_everything_after_redis_was_wiped(
    make_user: Make, make_startup: Make, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_profiles, "USERS_A_BATCH", 2)
    users, startup, fractions = [make_user() for _ in range(5)], make_startup(), []
    record_events([NewEvent(users[0].pk, startup.pk, "view"), NewEvent(users[4].pk, startup.pk, "like")])
    redis.flushdb()
    store = LiveProfileStore(redis)
    assert store.fetch_with_mark(str(users[0].pk)) == (None, None)

    assert sync_live_profiles(lambda report: fractions.append(report.fraction)) == 5

    assert store.is_ready()
    assert [store.fetch(str(user.pk)) for user in users] == [
        build_live_profiles([user.pk])[0] for user in users
    ]
    assert fractions == [2 / 5, 4 / 5, 1.0]


def test_rows_written_in_bulk_are_there_after_a_sync(
    make_user: Make, make_startup: Make, redis: Redis, stored: Make
) -> None:
    user = make_user()
    UserInteraction.objects.bulk_create([UserInteraction(user=user, startup=make_startup(), type="like")])

    sync_live_profiles()

    assert stored(user).interaction_count == 1


def test_the_stored_json_is_what_the_contract_says(make_user: Make, make_startup: Make, redis: Redis) -> None:
    user, startup = make_user(interests=["AI"]), make_startup()
    record_events([NewEvent(user.pk, startup.pk, "like", occurred_at=NOON)])

    assert json.loads(redis.get(f"recs:profile:{user.pk}")) == {
        "schema": 1,
        "version": 1,
        "user_id": str(user.pk),
        "interaction_count": 1,
        "cells": [[str(startup.pk), 2.0, NOON.timestamp(), 0b100]],
        "interests": ["AI"],
        "opted_out": False,
        "last_event_id": UserInteraction.objects.get().pk,
    }


def test_beyond_the_cells_a_profile_still_names_the_startups(
    make_user: Make, make_startup: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_profiles, "MAX_LIVE_CELLS", 1)
    user, first, second, third = make_user(), make_startup(), make_startup(), make_startup()
    record_events(
        [
            NewEvent(user.pk, startup.pk, "like", occurred_at=NOON + timedelta(hours=hours))
            for hours, startup in enumerate((first, second, third))
        ]
    )

    profile = build_live_profiles([user.pk])[0]

    assert list(weights_of(profile)) == [str(third.pk)]
    assert profile.older == (str(second.pk), str(first.pk))
    assert profile.interaction_count == 3
    assert profile.is_whole
