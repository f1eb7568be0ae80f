"""Live profiles: what each user did up to now, kept in Redis for the inference service to read.

PostgreSQL is the truth. A profile is built from one snapshot of it after a commit and stored with a
version that only grows, so whichever of two writers comes last, the newer profile stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

import numpy as np

from accounts.models import User
from config.redis_client import redis_client
from interactions.lost_writes import Kind, making_all_good, remember_lost
from interactions.selectors import POSTGRES_EPOCH_S, UserActs, acts_of_users
from recsys.datasets.weights import Cells, EventColumns, resolve_cells
from recsys.errors import UnavailableError
from recsys.progress import ignore_progress
from recsys.serving.live_profile import MAX_LIVE_CELLS, LiveCell, LiveProfile, LiveProfileStore
from recsys.types import ProgressCallback, ProgressReport

USERS_A_BATCH = 1_000  # as many as one POST can name: one query and one pipeline renew them all
SYNC_TIMEOUT_S = 10.0  # nobody waits for an answer, and a batch of long histories is megabytes


def build_live_profiles(user_ids: Sequence[UUID]) -> list[LiveProfile]:
    """The profiles of those of the users that exist, all from one snapshot of the database."""
    users = acts_of_users(user_ids)
    if not users:
        return []
    events, startup_ids = _event_columns(users)
    cells = resolve_cells(events, users[0].weights)
    bounds = np.searchsorted(cells.user_index, np.arange(len(users) + 1))
    return [
        _profile(user, cells, slice(start, end), startup_ids)
        for user, start, end in zip(users, bounds[:-1], bounds[1:], strict=True)
    ]


def store_live_profiles(user_ids: Sequence[UUID]) -> None:
    """Bring these users' profiles up to date. Redis being away is remembered, never raised."""
    store = LiveProfileStore(redis_client())
    try:
        for start in range(0, len(user_ids), USERS_A_BATCH):
            store.store(build_live_profiles(user_ids[start : start + USERS_A_BATCH]))
    except UnavailableError as error:
        remember_lost(Kind.PROFILE, user_ids, error)


def delete_live_profiles(user_ids: Sequence[UUID]) -> None:
    """Forget the profiles of users who are gone. Redis being away is remembered, never raised."""
    try:
        LiveProfileStore(redis_client()).delete([str(user_id) for user_id in user_ids])
    except UnavailableError as error:
        remember_lost(Kind.PROFILE, user_ids, error)


def rewrite_live_profiles(user_ids: Sequence[UUID]) -> None:
    """Bring these users' profiles up to date, and forget those of users who are gone.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    store, profiles = LiveProfileStore(redis_client()), build_live_profiles(user_ids)
    store.store(profiles)
    store.delete({str(user_id) for user_id in user_ids} - {profile.user_id for profile in profiles})


def sync_live_profiles(progress: ProgressCallback = ignore_progress) -> int:
    """Store every user's profile, then set the ready mark; returns how many users there are.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    store, done, total = LiveProfileStore(redis_client(SYNC_TIMEOUT_S)), 0, User.objects.count()
    with making_all_good(Kind.PROFILE):
        for user_ids in _batches_of_users():
            store.store(build_live_profiles(user_ids))
            done += len(user_ids)
            progress(ProgressReport("live profiles", done / max(total, done)))
    store.mark_ready()
    return done


def _batches_of_users() -> Iterator[list[UUID]]:
    users = User.objects.order_by("pk").values_list("pk", flat=True)
    batch = list(users[:USERS_A_BATCH])
    while batch:
        yield batch
        batch = list(users.filter(pk__gt=batch[-1])[:USERS_A_BATCH])


def _event_columns(users: Sequence[UserActs]) -> tuple[EventColumns, list[str]]:
    """The acts of all as columns, and the startups' ids; an index is the place in either list."""
    acts = np.concatenate([user.acts for user in users])
    startups, item_index = np.unique(acts["startup"], return_inverse=True)
    events = EventColumns(
        user_index=np.repeat(np.arange(len(users)), [len(user.acts) for user in users]),
        item_index=item_index.astype(np.int64),
        type_code=acts["type"],
        occurred_at=acts["occurred_at_us"] / 1e6 + POSTGRES_EPOCH_S,
        event_order=acts["id"].astype(np.int64),
    )
    return events, [_id_text(startup) for startup in startups.tolist()]


def _id_text(startup: bytes) -> str:
    """As str(UUID) writes it, four times as fast. NumPy drops trailing zero bytes; every id has 16."""
    digits = startup.ljust(16, b"\0").hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _profile(user: UserActs, cells: Cells, own: slice, startup_ids: Sequence[str]) -> LiveProfile:
    item_index, last_event_at = cells.item_index[own], cells.last_event_at[own]
    latest_first = np.lexsort((item_index, -last_event_at))
    latest, older = latest_first[:MAX_LIVE_CELLS], latest_first[MAX_LIVE_CELLS:]
    return LiveProfile(
        user_id=str(user.user_id),
        version=user.version,
        interaction_count=len(item_index),
        cells=tuple(
            LiveCell(startup_ids[item], weight, at, mask)
            for item, weight, at, mask in zip(
                item_index[latest].tolist(),
                cells.weight[own][latest].tolist(),
                last_event_at[latest].tolist(),
                cells.type_mask[own][latest].tolist(),
                strict=True,
            )
        ),
        interests=tuple(user.interests),
        opted_out=user.opted_out,
        last_event_id=user.last_event_id,
        older=tuple(startup_ids[item] for item in item_index[older].tolist()),
    )
