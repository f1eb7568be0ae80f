"""Who is likely to act on a startup: the order, who is never named, and what an answer admits to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import redis
from scipy.sparse import csr_matrix

from recsys.artifacts.release import Release
from recsys.errors import UnavailableError
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.content import ContentRecommender
from recsys.serving import audience
from recsys.serving.audience import find_audience
from recsys.serving.live_catalogue import LiveCatalogue, LiveCatalogueStore
from recsys.serving.live_profile import LiveProfile, LiveProfileStore
from recsys.serving.live_state import LiveState
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.served import Served, combine

ITEM = 4
COLD_FINTECH = 40


@pytest.fixture
def release(watcher: ReleaseWatcher) -> Release:
    assert watcher.release is not None
    return watcher.release


@pytest.fixture
def served(release: Release) -> Served:
    return combine(release, LiveCatalogue(version=1, is_complete=True, owners={"s04": "u12"}))


@pytest.fixture
def live(profiles: LiveProfileStore, catalogue: LiveCatalogueStore) -> LiveState:
    return LiveState(profiles, catalogue)


@pytest.fixture
def everybody(act: Callable, release: Release) -> dict[str, LiveProfile]:
    """A live profile for each user of the release, as the release has them."""
    profiles = {}
    for user_id in release.user_mapping.ids:
        history = release.history_of(user_id)
        assert history is not None
        profiles[user_id] = act(user_id, [release.items.ids[i] for i in history.item_indices])
    return profiles


def in_order(release: Release, scores: np.ndarray) -> list[str]:
    """Those who have not acted on ITEM, by hand: highest score first, lower index on ties."""
    acted = release.user_items[:, [ITEM]].toarray().ravel() != 0
    users = [user for user in np.argsort(-scores, kind="stable") if not acted[user]]
    return [release.user_mapping.ids[user] for user in users]


def als_scores(release: Release) -> np.ndarray:
    als = release.recommenders["als"]
    assert isinstance(als, ALSRecommender)
    return als.user_factors @ als.item_factors[ITEM]


def dislike_weight(release: Release) -> float:
    content = release.recommenders["content"]
    assert isinstance(content, ContentRecommender)
    return content.config.dislike_weight


@pytest.mark.usefixtures("everybody")
def test_users_come_by_their_als_score_without_those_who_acted_and_the_owner(
    served: Served, live: LiveState, release: Release
) -> None:
    expected = [user_id for user_id in in_order(release, als_scores(release)) if user_id != "u12"]
    assert "u12" in in_order(release, als_scores(release))

    found = find_audience(served, live, ITEM, 100)

    assert list(found.user_ids) == expected
    assert (found.method, found.degraded) == ("als", ())
    assert (np.diff(found.scores) <= 0).all()
    assert ((found.scores > 0) & (found.scores < 1)).all()
    assert find_audience(served, live, ITEM, 5).user_ids == found.user_ids[:5]


def test_who_acted_since_opted_out_or_is_gone_is_not_named(
    served: Served, live: LiveState, everybody: dict[str, LiveProfile], profiles: LiveProfileStore
) -> None:
    first, second, third, fourth, *rest = find_audience(served, live, ITEM, 10).user_ids
    acted = everybody[first]
    cell = acted.cells[0]._replace(startup_id=served.items.ids[ITEM])
    long_ago = replace(everybody[fourth], older=(served.items.ids[ITEM],))
    opted_out = replace(everybody[second], opted_out=True)
    profiles.store([replace(acted, cells=(cell, *acted.cells)), opted_out, long_ago], force=True)
    profiles.delete([third])

    assert list(find_audience(served, live, ITEM, 6).user_ids) == rest[:6]


def test_a_profile_that_cannot_be_read_names_nobody(
    served: Served, live: LiveState, everybody: dict[str, LiveProfile], redis_client: redis.Redis
) -> None:
    first, second, *_ = find_audience(served, live, ITEM, 5).user_ids
    for garbage in ("garbage", b"\xff\xfe", "{}", ""):
        redis_client.set(f"recs:profile:{first}", garbage)
        assert find_audience(served, live, ITEM, 5).user_ids[0] == second
    redis_client.delete(f"recs:profile:{first}")
    redis_client.rpush(f"recs:profile:{first}", "a list")
    assert find_audience(served, live, ITEM, 5).user_ids[0] == second


def test_a_startup_als_does_not_know_is_shown_to_those_who_liked_its_kind(
    served: Served, live: LiveState, release: Release, everybody: dict[str, LiveProfile]
) -> None:
    vectors = release.recommenders["content"].item_vectors()
    assert vectors is not None
    likeness = vectors[:40] @ vectors[COLD_FINTECH]
    weights = release.user_items.toarray()
    liked, disliked = weights.clip(min=0), -weights.clip(max=0)
    expected = (liked @ likeness) / liked.sum(axis=1)
    expected -= dislike_weight(release) * (disliked @ likeness) / disliked.sum(axis=1).clip(1e-12)

    found = find_audience(served, live, COLD_FINTECH, 100)

    assert found.method == "content"
    assert len(found.user_ids) == len(everybody)
    by_score = expected[release.user_mapping.indices(found.user_ids)]
    assert (np.diff(by_score) <= 1e-6).all()
    assert all(int(user_id[1:]) % 2 == 0 for user_id in found.user_ids[:30])


@pytest.mark.usefixtures("everybody")
def test_a_dislike_of_its_kind_counts_for_as_much_as_it_is_configured_to(
    live: LiveState, release: Release
) -> None:
    """u00 liked and disliked Fintech alone; of u02's and u04's likes a share is Robotics."""
    weights = np.zeros(release.user_items.shape, np.float32)
    weights[0, [0, 6]] = [2.0, -1.0]
    weights[2, [0, 1]] = [1.0 - 0.5 * dislike_weight(release), 0.5 * dislike_weight(release)]
    weights[4, [0, 1]] = [1.0 - 1.5 * dislike_weight(release), 1.5 * dislike_weight(release)]
    changed = replace(release, user_items=csr_matrix(weights))

    found = find_audience(combine(changed, LiveCatalogue()), live, COLD_FINTECH, 3)

    assert found.user_ids == ("u02", "u00", "u04")


def test_without_the_ready_mark_acts_and_opt_outs_are_the_releases(
    served: Served, live: LiveState, release: Release, act: Callable, redis_client: redis.Redis
) -> None:
    redis_client.delete("recs:profiles:ready")
    expected = [user_id for user_id in in_order(release, als_scores(release)) if user_id != "u12"]
    act(expected[1], [served.items.ids[ITEM]])

    found = find_audience(served, live, ITEM, 5)

    assert list(found.user_ids) == [expected[0], *expected[2:6]]
    assert found.degraded == (f"live profiles not synced: acts and opt-outs as of release {release.version}",)


def test_with_redis_away_it_answers_from_the_release_and_says_so(
    served: Served, release: Release, stoppable_valkey, connect_to: Callable
) -> None:
    client = connect_to(stoppable_valkey.url)
    live = LiveState(LiveProfileStore(client), LiveCatalogueStore(client))
    stoppable_valkey.stop()
    found = find_audience(served, live, ITEM, 5)
    assert len(found.user_ids) == 5
    assert found.degraded == (
        f"live profile store unavailable: acts and opt-outs as of release {release.version}",
    )


def test_an_answer_looks_at_a_bounded_number_of_users_and_says_so(
    served: Served,
    live: LiveState,
    everybody: dict[str, LiveProfile],
    profiles: LiveProfileStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    profiles.store([replace(profile, opted_out=True) for profile in everybody.values()], force=True)
    assert find_audience(served, live, ITEM, 5).user_ids == ()
    monkeypatch.setattr(audience, "MAX_LOOKED_AT", 25)
    found = find_audience(served, live, ITEM, 5)
    assert (found.user_ids, found.degraded) == ((), ("only the 25 likeliest users were looked at",))


def test_a_release_that_cannot_score_users_says_what_to_train(release: Release, live: LiveState) -> None:
    bare = replace(release, recommenders={"popularity": release.recommenders["popularity"]})
    with pytest.raises(UnavailableError, match="train als and content"):
        find_audience(combine(bare, LiveCatalogue()), live, ITEM, 5)
