"""Everything that the inference service reads from Redis, written anew from the database."""

from __future__ import annotations

from interactions.live_profiles import sync_live_profiles
from recsys.progress import ignore_progress
from recsys.types import ProgressCallback
from startups.live_catalogue import sync_live_catalogue


def sync_live_state(progress: ProgressCallback = ignore_progress) -> int:
    """The live catalogue, then every live profile, then the ready mark; returns how many users there are.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    sync_live_catalogue()
    return sync_live_profiles(progress)
