from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from scipy.sparse import random as random_matrix

from recsys.artifacts.publish import Trained
from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.recommenders.table import make_recommender


@pytest.fixture
def dataset() -> Dataset:
    """Twelve users, nine startups acted on, one not."""
    matrix = random_matrix(12, 9, density=0.4, format="csr", dtype=np.float32, random_state=3)
    items = tuple(
        CatalogueItem(id=f"i{n}", name=f"Firm {n}", short_description="bank robot") for n in range(10)
    )
    return Dataset(
        matrix,
        IdMap(f"u{n:02}" for n in range(12)),
        IdMap(item.id for item in items[:9]),
        last_event_at=matrix.copy().astype(np.float64),
        catalogue=Catalogue(items),
    )


@pytest.fixture
def trained(dataset: Dataset) -> list[Trained]:
    overrides = {
        "als": {"factors": 3, "iterations": 2},
        "content": {"dimensions": 2, "max_document_share": 1.0},
    }
    return [
        Trained(recommender, asdict(recommender.config), seconds=0.1, peak_memory_mb=1.0)
        for name in ("popularity", "content", "als")
        for recommender in [make_recommender(name, **overrides.get(name, {})).fit(dataset)]
    ]
