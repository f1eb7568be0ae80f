"""Whether Redis says of users and startups what PostgreSQL says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

from accounts.models import User
from config.redis_client import redis_client
from interactions.live_profiles import SYNC_TIMEOUT_S, build_live_profiles
from interactions.models import LostLiveWrite, UserInteraction
from recommendations.doctor.report import Finding, fail, ok, warn
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveProfileStore
from startups.models import Startup

SAMPLE = 200  # users: half of them those who acted last
RECENT_ACTS = 1_000
SHOWN = 3
MEND = "manage.py sync_live_profiles"


def check_ready_mark() -> Finding:
    """Everything that Redis should hold was written, and nothing has been lost since."""
    store = LiveProfileStore(redis_client())
    if not store.is_ready():
        return fail("the ready mark is missing: answers are as of the release", MEND)
    lost = LostLiveWrite.objects.count()
    if lost:
        return warn(
            f"{lost:,} writes lost to Redis are not made good yet",
            f"nothing, if beat and a worker run: within a minute they are; else {MEND}",
        )
    return ok("set, and no write is lost")


def check_profiles() -> Finding:
    """A sample of live profiles, compared with the same built from the database."""
    sample = _sample_of_users()
    if not sample:
        return ok("there are no users yet")
    differing = _differing(sample)
    if differing:  # one that was being written while we looked is equal at the second look
        differing = _differing(differing)
    if differing:
        names = ", ".join(str(user_id) for user_id in differing[:SHOWN])
        return fail(f"{len(differing)} of {len(sample)} profiles differ from the database: {names}", MEND)
    return ok(f"{len(sample)} of {len(sample)} sampled equal the database")


def _sample_of_users() -> list[UUID]:
    recent = UserInteraction.objects.order_by("-pk").values_list("user_id", flat=True)[:RECENT_ACTS]
    latest = list(dict.fromkeys(recent))[: SAMPLE // 2]
    return list(dict.fromkeys([*latest, *_anywhere(SAMPLE // 2)]))


def _anywhere(n: int) -> Iterable[UUID]:
    """Users from a random place on, by their ids: no scan however many there are."""
    start = uuid4()
    after = User.objects.filter(pk__gte=start).order_by("pk").values_list("pk", flat=True)[:n]
    before = User.objects.filter(pk__lt=start).order_by("-pk").values_list("pk", flat=True)[:n]
    return [*after, *before][:n]


def _differing(user_ids: Sequence[UUID]) -> list[UUID]:
    """Whose profile is missing, unreadable or another one than the database gives."""
    built = {profile.user_id: profile for profile in build_live_profiles(user_ids)}
    stored, _ = LiveProfileStore(redis_client(SYNC_TIMEOUT_S)).fetch_many(list(built))
    # The same acts stored later carry a higher number.
    return [
        UUID(user_id)
        for user_id, profile in built.items()
        if (held := stored.get(user_id)) is None or replace(held, version=profile.version) != profile
    ]


def check_catalogue() -> Finding:
    """Who is there, inactive or owned, by Redis and by the database."""
    live = LiveCatalogueStore(redis_client(SYNC_TIMEOUT_S)).fetch()
    if not live.is_complete:
        return fail("never told whole: activity and owners are as of the release", MEND)
    rows = Startup.objects.values_list("pk", "is_active", "owner_id")
    wrong: list[str] = []
    for pk, is_active, owner_id in rows.iterator(chunk_size=10_000):
        startup_id, owner = str(pk), None if owner_id is None else str(owner_id)
        if live.is_gone(startup_id) == is_active or live.owners.get(startup_id) != owner:
            wrong.append(startup_id)
    if wrong:
        return fail(
            f"{len(wrong):,} startups are told wrong (active or owner): {', '.join(wrong[:SHOWN])}", MEND
        )
    return ok(f"{rows.count():,} startups told right, {len(live.startups):,} carried whole")
