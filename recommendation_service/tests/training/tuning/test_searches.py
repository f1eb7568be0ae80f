"""Every recommender with a search goes through the stages: tries, a choice over seeds, a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.splits import split_for_training
from recsys.datasets.user_items import Dataset
from recsys.experiments.trials import read_trials
from recsys.experiments.tuned import read_tuned
from recsys.recommenders.table import make_recommender
from recsys.training.tuning.space import size_of
from recsys.training.tuning.study import Study
from recsys.training.tuning.validate import validate

GRIDS: dict[str, dict[str, list[object]]] = {
    "als_ratings": {"factors": [2], "confidence": ["direct", "scaled"], "iterations": [3]},
    "hybrid_text": {"factors": [2], "epochs": [4], "check_every": [2]},
    "two_tower": {"dimensions": [4], "epochs": [3], "batch_users": [16]},
}


def data_of(name: str, world: Dataset) -> Dataset:
    """The world; for als_ratings its acts as ratings."""
    if name != "als_ratings":
        return world
    cells = world.user_items
    ratings = np.where(cells.data > 0, np.float32(5.0), np.float32(-2.0))
    return replace(world, user_items=csr_matrix((ratings, cells.indices, cells.indptr), cells.shape))


@pytest.mark.parametrize("name", GRIDS)
def test_from_coarse_to_what_a_training_takes(
    name: str, world: Dataset, open_study: Callable[..., Study], tmp_path: Path
) -> None:
    split = split_for_training(data_of(name, world), 0.2, seed=0)
    study = open_study(name, train=split.train)

    coarse = study.coarse(GRIDS[name])
    study.fine(n_trials=1)
    result = validate(study, lambda: split)

    rows = read_trials(tmp_path)
    assert {row.stage for row in rows} == {"coarse", "fine", "validate"}
    assert [row.error for row in rows if row.error] == []
    assert {row.seed for row in coarse.rows} == {42, 43, 44}
    (fine,) = [row for row in rows if row.stage == "fine" and row.seed == 42][:1]
    assert size_of(fine.parameters) in (size_of(coarse.choice.chosen.parameters) * np.array([0.5, 1, 2]))
    saved: dict[str, Any] = read_tuned(tmp_path)[name][study.data_version]["parameters"]
    assert saved == result.parameters
    assert make_recommender(name, **saved).name == name
    if name != "als_ratings":
        chosen = result.choice.chosen
        assert saved["epochs"] == chosen.best_epoch <= GRIDS[name]["epochs"][0]
