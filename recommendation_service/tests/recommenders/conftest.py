"""A world whose answer is known without training: two circles of users with a catalogue each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset

N_USERS, N_ITEMS, N_COLD_ITEMS = 30, 16, 2
TOPICS = ("bank payments lending", "robot factory welding")


def topic_of(item_index: int) -> int:
    """Even items are about banks, odd ones about robots, cold ones too."""
    return item_index % 2


@pytest.fixture
def two_circles() -> Dataset:
    """Even users act on even items, odd users on odd ones; each leaves some out. 30 x 16, not square."""
    rng = np.random.default_rng(7)
    weights = np.zeros((N_USERS, N_ITEMS), np.float32)
    for user in range(N_USERS):
        own = np.flatnonzero(np.arange(N_ITEMS) % 2 == user % 2)
        weights[user, rng.choice(own, size=5, replace=False)] = rng.choice([0.5, 2.0, 3.5], size=5)
    weights[0, 1] = weights[1, 0] = -1.0  # each circle has somebody who said no to the other
    user_items = csr_matrix(weights)
    times = csr_matrix(
        (rng.uniform(0, 1e6, user_items.nnz), user_items.indices, user_items.indptr), user_items.shape
    )
    items = tuple(
        CatalogueItem(id=f"i{index:02}", name=f"Firm {index}", short_description=TOPICS[topic_of(index)])
        for index in range(N_ITEMS + N_COLD_ITEMS)
    )
    return Dataset(
        user_items,
        IdMap(f"u{index:02}" for index in range(N_USERS)),
        IdMap(item.id for item in items[:N_ITEMS]),
        last_event_at=times,
        catalogue=Catalogue(items),
    )
