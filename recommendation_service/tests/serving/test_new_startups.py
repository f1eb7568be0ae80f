from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.artifacts.release import open_current
from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.user_items import Dataset
from recsys.serving.live_catalogue import LiveCatalogue
from recsys.serving.served import Served, combine

NEW = CatalogueItem(
    id="new", name="Weldo", short_description="robot factory welding arms", tags=("robotics",), created_at=2e9
)


@pytest.fixture(scope="module")
def served(published_models: Path) -> Served:
    """The release, and one startup created after it."""
    return combine(open_current(published_models), LiveCatalogue(version=1, startups={NEW.id: NEW}))


@pytest.mark.parametrize("name", ["content", "two_tower", "ensemble"])
def test_a_startup_created_after_the_training_is_recommended_without_another(
    served: Served, world: Dataset, name: str
) -> None:
    new = served.items.get(NEW.id)
    recommender = served.recommenders[name]
    scores = recommender.score_batch([world.history(1), world.history(0)])  # robots, banks

    for_robots, for_banks = (np.argsort(np.argsort(-row))[new] for row in scores)

    assert recommender.n_items == len(served.items)
    assert for_robots < len(served.items) / 2 <= for_banks


@pytest.mark.parametrize("name", ["popularity", "als"])
def test_a_recommender_without_texts_stays_as_it_was(served: Served, name: str) -> None:
    assert served.recommenders[name] is served.release.recommenders[name]
