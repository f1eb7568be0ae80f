"""Who is measured on cold items, and against what; and that a release says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.artifacts.layout import MANIFEST_FILE
from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.id_map import IdMap
from recsys.datasets.splits import Split, split_random
from recsys.datasets.user_items import Dataset
from recsys.training.choosing import fit_one
from recsys.training.cold_start import cold_item_figures
from recsys.training.pipeline import TrainingPlan, train_and_publish

TOPICS = ("bank payments lending", "robot factory welding")
OVERRIDES = {
    "als": {"factors": 4, "iterations": 3, "alpha": 5.0, "regularization": 1.0},
    "bpr": {"factors": 4, "epochs": 5, "n_popular": 0},
    "hybrid_text": {"factors": 4, "epochs": 5, "n_popular": 0},
}


@pytest.fixture
def dataset() -> Dataset:
    """40 users of two circles; of 30 items the last 10 have been liked three times each."""
    rng = np.random.default_rng(2)
    weights = np.zeros((40, 30), np.float32)
    for user in range(40):
        weights[user, rng.choice(np.arange(user % 2, 20, 2), 5, replace=False)] = 2.0
    for item in range(20, 30):
        weights[rng.choice(np.arange(item % 2, 40, 2), 3, replace=False), item] = 2.0
    items = tuple(CatalogueItem(f"i{n:02}", "", TOPICS[n % 2]) for n in range(30))
    users = IdMap(f"u{n:02}" for n in range(40))
    return Dataset(csr_matrix(weights), users, IdMap(one.id for one in items), catalogue=Catalogue(items))


@pytest.fixture
def split(dataset: Dataset) -> Split:
    return split_random(dataset, 0.3, seed=1)


@pytest.mark.parametrize(
    ("name", "against"), [("als", "random_start"), ("bpr", "random_start"), ("hybrid_text", "bpr")]
)
def test_who_read_texts_is_compared_with_who_did_not(name: str, against: str, split: Split) -> None:
    overrides = {**OVERRIDES, "text_start": {"vectors": "tfidf"}}
    fitted = fit_one(name, split.train, overrides, {})

    figures = cold_item_figures(fitted, split, overrides, k=5, seed=0)

    assert figures is not None
    assert (figures["against"], figures["threshold"]) == (against, 5)
    assert figures["users"] > 0
    recall = figures["among_cold"]["recall@5"]
    assert recall["difference"]["mean"] == pytest.approx(recall["text"]["mean"] - recall[against]["mean"])
    # Against itself there would be no difference anywhere.
    ndcg = [figures[among]["ndcg@5"]["difference"]["mean"] for among in ("among_all", "among_cold")]
    assert any(difference != 0 for difference in ndcg)


def test_who_read_none_is_not_measured(split: Split) -> None:
    for name in ("als", "popularity"):
        fitted = fit_one(name, split.train, OVERRIDES, {})
        assert cold_item_figures(fitted, split, OVERRIDES, k=5, seed=0) is None


def test_a_release_says_what_texts_did(dataset: Dataset, tmp_path: Path) -> None:
    overrides = {**OVERRIDES, "text_start": {"vectors": "tfidf", "freeze_items_first": "true"}}
    plan = TrainingPlan.default(recommenders=("als",), test_split=0.3, overrides=overrides)

    result = train_and_publish(dataset, tmp_path / "models", plan, logs_dir=tmp_path / "logs")

    manifest = json.loads(
        (tmp_path / "models" / "releases" / result.version / MANIFEST_FILE).read_text(encoding="utf-8")
    )
    als = manifest["recommenders"]["als"]
    assert als["metrics"]["cold_items"]["against"] == "random_start"
    assert "cold_items" not in manifest["recommenders"]["popularity"]["metrics"]
    assert json.dumps(als).count('"explained_variance"') == 1
