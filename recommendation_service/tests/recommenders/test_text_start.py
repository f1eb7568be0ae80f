"""Factors of als and bpr that begin at texts: what they are made of, and that they are begun from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.datasets.user_items import Dataset
from recsys.engines.start import Start
from recsys.errors import ConfigError, DataError
from recsys.features.item_vectors import ItemVectors
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.bpr import BPRRecommender
from recsys.recommenders.table import make_recommender
from recsys.recommenders.text_start import TextStartConfig, make_start, start_from_text
from recsys.training.choosing import fit_one
from recsys.training.pipeline import TrainingPlan
from recsys.types import Float32Array

SMALL = {
    "als": {"factors": 2, "iterations": 10, "alpha": 5.0, "regularization": 1.0},
    "bpr": {"factors": 2, "epochs": 3, "n_popular": 0},
}


def started(name: str, dataset: Dataset, **options: object) -> Start:
    config = TextStartConfig.default(**{"vectors": "tfidf", **options})
    return make_start(dataset, make_recommender(name, **SMALL[name]).config, config)


def save_vectors(folder: Path, dataset: Dataset, vectors: Float32Array) -> Path:
    np.save(folder / "v.npy", vectors)
    (folder / "v.ids.txt").write_text("\n".join(dataset.item_mapping.ids[: len(vectors)]), encoding="utf-8")
    return folder / "v.npy"


def test_items_of_a_text_start_side_by_side(two_circles: Dataset) -> None:
    start = started("bpr", two_circles, length=2.0)

    assert start.items.shape == (two_circles.n_items, 2)
    unit = start.items / np.linalg.norm(start.items, axis=1, keepdims=True)
    alike = unit @ unit.T
    same = np.arange(16)[:, np.newaxis] % 2 == np.arange(16) % 2
    assert alike[same].min() > alike[~same].max()
    assert np.sqrt((start.items**2).sum(axis=1).mean()) == pytest.approx(2.0, rel=1e-5)


def test_the_facts_say_what_it_is_made_of(two_circles: Dataset, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    path = save_vectors(tmp_path, two_circles, vectors)

    start = started("als", two_circles, vectors=str(path), projection="pca", freeze_items_first="true")

    explained = start.facts["explained_variance"]
    assert isinstance(explained, float)
    assert 0 < explained < 1
    assert start.facts == {
        "vectors": "v.npy",
        "version": ItemVectors(two_circles.item_mapping.ids[:12], vectors, "").version,
        "share_covered": 0.75,
        "projection": "pca",
        "original_dimensions": 5,
        "projected_dimensions": 2,
        "explained_variance": explained,
        "mean_length": 1.0,
    }
    assert start.freeze_items_first
    assert np.abs(start.items[12:]).max() < 0.1  # without a vector: small, at random


@pytest.mark.parametrize("name", ["als", "bpr"])
def test_a_training_begins_there_and_says_so_in_the_release(
    name: str, two_circles: Dataset, tmp_path: Path
) -> None:
    text = {"text_start": {"vectors": "tfidf"}}
    overrides = {name: SMALL[name]}

    plain = fit_one(name, two_circles, overrides, {})
    begun = fit_one(name, two_circles, {**overrides, **text}, {})

    assert "start" not in plain.save(tmp_path)
    facts = begun.save(tmp_path)["start"]
    assert (facts["vectors"], facts["share_covered"]) == ("tfidf", 1.0)
    assert not np.array_equal(begun.item_vectors(), plain.item_vectors())
    again = fit_one(name, two_circles, {**overrides, **text}, {})
    np.testing.assert_array_equal(begun.item_vectors(), again.item_vectors())


def test_bpr_goes_on_from_the_items_given(two_circles: Dataset) -> None:
    start = started("bpr", two_circles)
    bpr = make_recommender("bpr", factors=2, epochs=1, learning_rate=1e-9)
    assert isinstance(bpr, BPRRecommender)

    bpr.start_from(start)
    bpr.fit(two_circles)

    np.testing.assert_allclose(bpr.item_factors, start.items, atol=1e-5)
    assert bpr.item_factors is not start.items


def test_held_items_do_not_move_in_the_first_epoch_and_do_in_the_second(two_circles: Dataset) -> None:
    start = started("bpr", two_circles, freeze_items_first=True)
    for epochs, is_held in ((1, True), (2, False)):
        bpr = make_recommender("bpr", factors=2, epochs=epochs, learning_rate=0.1)
        assert isinstance(bpr, BPRRecommender)
        bpr.start_from(start)

        bpr.fit(two_circles)

        assert np.array_equal(bpr.item_factors, start.items) == is_held
        assert np.abs(bpr.user_factors).max() > 0.1


def test_bpr_refuses_a_start_of_another_length_by_its_own_name(two_circles: Dataset) -> None:
    bpr = make_recommender("bpr", factors=3)
    assert isinstance(bpr, BPRRecommender)
    bpr.start_from(started("bpr", two_circles))

    with pytest.raises(DataError, match=r"to start bpr from are \(16, 2\).*bpr\.factors need \(16, 3\)"):
        bpr.fit(two_circles)


def test_irspack_keeps_items_near_their_texts(two_circles: Dataset, tmp_path: Path) -> None:
    """By its one act item 0 is of the robots, by its text of the banks."""
    weights = two_circles.user_items.toarray()
    weights[:, 0] = 0.0
    weights[1, 0] = 0.5
    dataset = replace(two_circles, user_items=type(two_circles.user_items)(weights))
    topics = save_vectors(tmp_path, two_circles, np.eye(2, dtype=np.float32)[np.arange(16) % 2])
    spaces = {}
    for keep_near in (False, True):
        als = fit_one(
            "als",
            dataset,
            {
                "als": {"engine": "irspack", "factors": 2, "iterations": 8, "regularization": 0.1},
                "text_start": {"vectors": str(topics), "keep_near": keep_near},
            },
            {},
        )
        assert isinstance(als, ALSRecommender)
        unit = als.item_factors / np.linalg.norm(als.item_factors, axis=1, keepdims=True)
        spaces[keep_near] = (unit[0] @ unit[2::2].T).mean() - (unit[0] @ unit[1::2].T).mean()

    assert spaces[False] < 0 < spaces[True]


@pytest.mark.parametrize("name", ["als", "bpr"])
def test_what_cannot_keep_items_near_says_who_can(name: str, two_circles: Dataset) -> None:
    with pytest.raises(
        ConfigError, match=rf"keep_near is true, which als with als\.engine=irspack.*not {name}"
    ):
        started(name, two_circles, keep_near="true")


def test_a_dataset_without_texts_is_told_what_it_lacks(two_circles: Dataset) -> None:
    with pytest.raises(DataError, match=r"Vectors by tfidf need catalogue\.parquet"):
        started("als", replace(two_circles, catalogue=None))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"vectors": "bert"}, r"text_start\.vectors is 'bert'; it must be none, tfidf, minilm, or a file"),
        ({"projection": "umap"}, r"text_start\.projection is 'umap'; it must be one of svd, pca, random"),
        ({"length": 0}, r"text_start\.length is 0.0; it must be above 0"),
        ({"near_ridge": 0}, r"text_start\.near_ridge is 0\.0"),
        ({"keep_near": 2}, r"text_start\.keep_near is 2; it must be true or false"),
        ({"vector": "tfidf"}, r"text_start has no vector; it has vectors"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(options: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        TextStartConfig.default(**options)


def test_other_recommenders_and_no_vectors_are_left_alone(two_circles: Dataset) -> None:
    popularity, als = make_recommender("popularity"), make_recommender("als")

    assert start_from_text(popularity, two_circles, {"vectors": "tfidf"}) is popularity
    assert isinstance(start_from_text(als, two_circles, {}), ALSRecommender)
    assert als._start is None


def test_a_training_takes_the_options_beside_those_of_recommenders() -> None:
    plan = TrainingPlan.default(overrides={"text_start": {"vectors": "tfidf"}})

    assert plan.overrides["text_start"] == {"vectors": "tfidf"}
