"""What a validation part chooses: how many iterations, where patience asks for that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.splits import split_for_training
from recsys.datasets.user_items import Dataset
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.table import make_recommender
from recsys.training.choosing import Choices, choose_on_validation, has_choices

PATIENT = {"factors": 4, "iterations": 30, "check_every": 1, "patience": 2}


@pytest.fixture(scope="module")
def rated() -> Dataset:
    """Confidences from 1 to 6; half the users like the one half of the items, half the other."""
    rng = np.random.default_rng(5)
    n_users, n_items = 60, 40
    alike = (np.arange(n_users)[:, np.newaxis] + np.arange(n_items)) % 2 == 0
    cells = np.where(alike, rng.choice([4.5, 5.5], alike.shape), rng.choice([-1.5, -3.0], alike.shape))
    cells *= rng.random(alike.shape) < 0.4
    ids = (IdMap(f"{kind}{n}" for n in range(many)) for kind, many in zip("ui", alike.shape, strict=True))
    return Dataset(csr_matrix(cells.astype(np.float32)), *ids)


def chosen_on(dataset: Dataset, name: str, overrides: dict[str, dict[str, Any]]) -> Choices:
    return choose_on_validation(dataset, [name], overrides, validation_split=0.2, k=10, seed=0)


@pytest.mark.parametrize("name", ["als", "als_ratings"])
def test_iterations_are_chosen_where_patience_is_above_zero_and_only_there(rated: Dataset, name: str) -> None:
    overrides = {name: PATIENT}
    assert has_choices([name], overrides)
    assert not has_choices([name], {name: {**PATIENT, "patience": 0}})
    assert not has_choices(["popularity"], overrides)

    choices = chosen_on(rated, name, overrides)

    alone = make_recommender(name, **PATIENT)
    assert isinstance(alone, ALSRecommender)
    alone.fit_early_stopping(split_for_training(rated, 0.2, seed=0))
    assert choices.overrides == {name: {"iterations": alone.best_iteration}}
    curve = choices.facts[name]["learning_curve"]
    assert max(curve, key=lambda point: point["ndcg"])["iteration"] == alone.best_iteration
    assert len(curve) < PATIENT["iterations"]
    assert "20% of the positive cells at random" in choices.facts[name]["validation"]


def test_what_starts_at_texts_is_stopped_early_from_there(world: Dataset) -> None:
    text = {"vectors": "tfidf", "projection": "svd"}

    at_random, at_texts = (
        chosen_on(world, "als", {"als": PATIENT, **start}).facts["als"]["learning_curve"]
        for start in ({}, {"text_start": text})
    )

    assert at_texts[0]["iteration"] == at_random[0]["iteration"] == 1
    assert at_texts[0]["ndcg"] > at_random[0]["ndcg"]
