"""A small world in which tastes can be learned, and a search over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.training.tuning.study import Study

DATA_VERSION = "0123456789ab"


@pytest.fixture(scope="session")
def tastes() -> Dataset:
    """Users of even number like items of even number, the others the others."""
    n_users, n_items = 60, 40
    rng = np.random.default_rng(8)
    same_taste = (np.arange(n_users)[:, np.newaxis] + np.arange(n_items)) % 2 == 0
    user_items = csr_matrix((same_taste & (rng.random((n_users, n_items)) < 0.6)).astype(np.float32))
    ids = (IdMap(f"{kind}{number}" for number in range(n)) for kind, n in (("u", n_users), ("i", n_items)))
    return Dataset(user_items, *ids)


@pytest.fixture
def open_study(tastes: Dataset, tmp_path: Path) -> Callable[..., Study]:
    """Searches of one log, a process at a time unless asked otherwise."""

    def open_study(recommender: str = "als", **options: Any) -> Study:
        options = {"jobs": 1, "data_version": DATA_VERSION, "folder": tmp_path, **options}
        return Study(recommender, options.pop("train", tastes), **options)

    return open_study
