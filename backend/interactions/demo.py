"""A synthetic world in the database: startups, people, and half a year of what they did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from accounts.models import User
from interactions.bulk import (
    ROWS_A_STATEMENT,
    NewActs,
    as_startup,
    insert_acts,
    insert_startups,
    insert_users,
    refresh_live_state,
)
from recsys.datasets.synthetic import World, make_world, populate_catalogue
from recsys.progress import StagedProgress, ignore_progress
from recsys.types import ProgressCallback
from startups.live_catalogue import as_live_startup
from startups.models import Startup

SOURCE = "demo"
STAGES = {"drawing the world": 1.0, "startups and users": 1.0, "acts": 8.0, "live profiles": 3.0}


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """How much was new; `live` False: Redis could not be reached."""

    n_startups: int
    n_new_startups: int
    n_new_users: int
    n_acts: int
    n_new_acts: int
    live: bool


def seed_demo(
    *,
    n_users: int,
    n_startups: int,
    seed: int,
    preset: str,
    now: datetime,
    progress: ProgressCallback = ignore_progress,
) -> DemoSummary:
    """Put the world of a seed into the database; what is there of it already stays.

    With `n_startups` 0 its people act on the startups that are there.

    Raises:
        ConfigError: the world cannot be made.
        DataError: the demo users of another world are there.
    """
    stages = StagedProgress(progress, STAGES)
    stages.update("drawing the world")
    world = _draw(n_users, n_startups, seed=seed, preset=preset, now_s=now.timestamp())
    stages.update("startups and users")
    user_ids = [UUID(user_id) for user_id in world.people.ids]
    startup_ids = [UUID(item.id) for item in world.startups.items]
    n_new_users = insert_users(_as_users(world, user_ids))
    new_startups = insert_startups(map(as_startup, startup_ids, world.startups.items))
    n_new_acts = _insert_acts(world, user_ids, startup_ids, stages)
    stages.update("live profiles")
    return DemoSummary(
        len(startup_ids),
        len(new_startups),
        n_new_users,
        len(world.acts),
        n_new_acts,
        refresh_live_state(user_ids, new_startups, stages.within("live profiles")),
    )


def _draw(n_users: int, n_startups: int, *, seed: int, preset: str, now_s: float) -> World:
    if n_startups:
        return make_world(n_users, n_startups, seed=seed, preset=preset, now_s=now_s)
    catalogue = [as_live_startup(startup) for startup in Startup.objects.order_by("pk")]
    return populate_catalogue(catalogue, n_users, seed=seed, preset=preset, now_s=now_s)


def _as_users(world: World, user_ids: list[UUID]) -> list[User]:
    people = world.people
    return [
        User(
            pk=user_id,
            username=username,
            interests=list(interests),
            date_joined=datetime.fromtimestamp(joined_at, UTC),
        )
        for user_id, username, interests, joined_at in zip(
            user_ids, people.usernames, people.interests, people.joined_at.tolist(), strict=True
        )
    ]


def _insert_acts(world: World, user_ids: list[UUID], startup_ids: list[UUID], stages: StagedProgress) -> int:
    """The acts in the order of time, as if each had been recorded when it happened."""
    n_new = 0
    for start in range(0, len(world.acts), ROWS_A_STATEMENT):
        part = slice(start, start + ROWS_A_STATEMENT)
        occurred_at = world.acts.occurred_at[part].tolist()
        acts = NewActs(
            [UUID(bytes=raw.tobytes()) for raw in world.event_ids[part]],
            [user_ids[index] for index in world.acts.user_index[part]],
            [startup_ids[index] for index in world.acts.item_index[part]],
            world.acts.type_code[part].tolist(),
            occurred_at,
            received_at=occurred_at,
        )
        n_new += insert_acts(acts, source=SOURCE)
        stages.update("acts", start / len(world.acts))
    return n_new
