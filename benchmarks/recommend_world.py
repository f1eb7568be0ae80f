"""Releases and live profiles to measure answers on: catalogues of any size, learned by als itself.

Acts are drawn as people act: every user keeps to four topics (and wanders off with one act in
seven), and within a topic an item's share of the acts falls as one over its rank, so that most
items have few acts or none. Als then learns the factors from the acts, so their norms and
directions are those of a trained model and not of a formula.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from recsys.artifacts.publish import Trained, publish_release
from recsys.artifacts.release import Release
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.recommenders.table import make_recommender
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveCell, LiveProfile, LiveProfileStore
from recsys.types import Int32Array

TOPICS_A_USER = 4
WANDERING = 1 / 7
ACTS_A_USER = 30
WEIGHTS = (0.5, 1.0, 2.0, 2.5, 3.0, 3.5)
VISITORS = 500  # users of the live store, unknown to the training
LIKE = 1 << 2


class World:
    """Items in topics; draws what users do. The same for the same number of items."""

    def __init__(self, n_items: int) -> None:
        rng = np.random.default_rng(1)
        n_topics = int(n_items**0.5)
        self.n_items = n_items
        self._topic_shares = 1 / np.sqrt(np.arange(1, n_topics + 1))
        self._topic_shares /= self._topic_shares.sum()
        others = rng.choice(n_topics, n_items - n_topics, p=self._topic_shares)
        topics = np.sort(np.concatenate((np.arange(n_topics), others)))  # no topic is empty
        self._items = rng.permutation(n_items)  # an index tells no topic
        self._starts = np.searchsorted(topics, np.arange(n_topics))
        self._sizes = np.bincount(topics)

    def ids(self) -> tuple[str, ...]:
        """Of all items, as long as UUIDs."""
        return tuple(f"00000000-0000-4000-8000-{index:012}" for index in range(self.n_items))

    def acts(self, n_users: int, acts_a_user: int, rng: np.random.Generator) -> Int32Array:
        """(n_users, acts_a_user) items each user acted on; one may come twice."""
        n_topics, shape = len(self._sizes), (n_users, acts_a_user)
        own = rng.choice(n_topics, (n_users, TOPICS_A_USER), p=self._topic_shares)
        topics = np.take_along_axis(own, rng.integers(0, TOPICS_A_USER, shape), axis=1)
        wanders = rng.random(shape) < WANDERING
        topics[wanders] = rng.choice(n_topics, int(wanders.sum()), p=self._topic_shares)
        # size ** uniform has a density of 1 / rank.
        ranks = (self._sizes[topics] ** rng.random(shape)).astype(np.int64) - 1
        return self._items[self._starts[topics] + ranks].astype(np.int32)


def publish_world(models_dir: Path, n_items: int, n_users: int, parameters: dict[str, object]) -> Release:
    """Train als and popularity on a world's acts and publish them."""
    world = World(n_items)
    rng = np.random.default_rng(2)
    items = world.acts(n_users, ACTS_A_USER, rng).ravel()
    weights = rng.choice(WEIGHTS, len(items)).astype(np.float32)
    users = np.repeat(np.arange(n_users), ACTS_A_USER)
    user_items = csr_matrix((weights, (users, items)), (n_users, n_items))
    user_items.sum_duplicates()
    dataset = Dataset(user_items, IdMap(f"u{user}" for user in range(n_users)), IdMap(world.ids()))
    trained = []
    for name, chosen in (("als", parameters), ("popularity", {})):
        started_s = time.perf_counter()
        recommender = make_recommender(name, **chosen).fit(dataset)
        score_range = {"mean": 0.5, "std": 0.3}
        seconds = time.perf_counter() - started_s
        trained.append(Trained(recommender, vars(recommender.config), seconds, 0.0, {}, score_range))
    return publish_release(models_dir, dataset, trained)


def store_visitors(world: World, profiles: LiveProfileStore, catalogue: LiveCatalogueStore) -> Sequence[str]:
    """Live profiles of users with exactly 30 startups each, and a synced catalogue; returns their ids."""
    ids, now_s, stored = world.ids(), time.time(), []
    # More than enough acts that each user has 30 different items.
    for user, items in enumerate(world.acts(VISITORS, 4 * ACTS_A_USER, np.random.default_rng(3)).tolist()):
        own = list(dict.fromkeys(items))[:ACTS_A_USER]
        cells = tuple(LiveCell(ids[item], 2.0, now_s - 60.0 * n, LIKE) for n, item in enumerate(own))
        stored.append(LiveProfile(f"visitor-{user}", 1, len(own), cells, (), False, 1))
    profiles.store(stored, force=True)
    profiles.mark_ready()
    catalogue.replace([], existing=ids)
    return [profile.user_id for profile in stored]
