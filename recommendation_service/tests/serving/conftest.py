"""A router over a real release and a real Valkey, with live profiles made on the fly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveCell, LiveProfile, LiveProfileStore
from recsys.serving.live_state import LiveState
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.router import Router, Thresholds

LIKE, DISLIKE = 1 << 2, 1 << 3
Acts = Callable[..., LiveProfile]


@pytest.fixture
def profiles(redis_client: redis.Redis) -> LiveProfileStore:
    """Profiles under the ready mark: who has no key did nothing."""
    store = LiveProfileStore(redis_client)
    store.mark_ready()
    return store


@pytest.fixture
def catalogue(redis_client: redis.Redis) -> LiveCatalogueStore:
    """A synced catalogue: s36 is inactive, u00 owns s02, nothing is new."""
    store = LiveCatalogueStore(redis_client)
    store.replace([], existing=[f"s{n:02}" for n in range(44)], inactive=["s36"], owners={"s02": "u00"})
    return store


@pytest.fixture
def act(profiles: LiveProfileStore) -> Acts:
    """Stores what a user did: act("anna", ["s01"], dislikes=["s02"], interests=("fintech",))."""

    def store(
        user_id: str,
        likes: list[str],
        *,
        dislikes: list[str] | None = None,
        interests: tuple[str, ...] = (),
        opted_out: bool = False,
        type_mask: int = LIKE,
        version: int = 1,
    ) -> LiveProfile:
        now = time.time()
        cells = [LiveCell(s, 2.0, now - n, type_mask) for n, s in enumerate(likes)]
        cells += [LiveCell(s, -1.0, now - n, DISLIKE) for n, s in enumerate(dislikes or [])]
        profile = LiveProfile(user_id, version, len(cells), tuple(cells), interests, opted_out, version)
        profiles.store([profile], force=True)
        return profile

    return store


@pytest.fixture
def watch() -> Iterator[Callable[[Path], ReleaseWatcher]]:
    """Watchers that have loaded what a models folder serves; stopped afterwards."""
    watchers: list[ReleaseWatcher] = []

    def watch(models_dir: Path) -> ReleaseWatcher:
        watcher = ReleaseWatcher(
            models_dir, warm=lambda _: None, on_loaded=lambda _: None, on_failure=lambda _: None
        )
        watchers.append(watcher)
        watcher.check()
        return watcher

    yield watch
    for watcher in watchers:
        watcher.stop()


@pytest.fixture
def watcher(models_dir: Path, watch: Callable[[Path], ReleaseWatcher]) -> ReleaseWatcher:
    """The published release, loaded."""
    return watch(models_dir)


@pytest.fixture
def router(watcher: ReleaseWatcher, profiles: LiveProfileStore, catalogue: LiveCatalogueStore) -> Router:
    return Router(watcher, LiveState(profiles, catalogue), Thresholds())


@pytest.fixture
def router_without_two_tower(
    models_without_two_tower: Path,
    watch: Callable[[Path], ReleaseWatcher],
    profiles: LiveProfileStore,
    catalogue: LiveCatalogueStore,
) -> Router:
    return Router(watch(models_without_two_tower), LiveState(profiles, catalogue), Thresholds())
