"""mf: points within the range, biases for who is not known, files that give the same answers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recsys.datasets.ratings import Ratings
from recsys.errors import ArtifactError, ConfigError, DataError, NotFittedError
from recsys.recommenders.mf import MFConfig, MFRecommender
from recsys.recommenders.rating_base import RatingData
from recsys.recommenders.rating_table import make_rating_recommender

NOBODY = np.array([-1], np.int32)


def make_data(n_users: int = 50, n_items: int = 30, **tables: pa.Table) -> RatingData:
    """Whole points from 1 to 5; user 0 and item 0 are left without a rating."""
    rng = np.random.default_rng(0)
    true = 3 + rng.normal(size=(n_users, 2)) @ rng.normal(size=(2, n_items)) + rng.normal(size=n_items)
    rated = rng.random(true.shape) < 0.5
    rated[0], rated[:, 0] = False, False
    users, items = np.nonzero(rated)
    points = np.clip(np.round(true[users, items]), 1, 5).astype(np.float32)
    ratings = Ratings(users.astype(np.int32), items.astype(np.int32), points, None)
    return RatingData(ratings, n_users, n_items, (1.0, 5.0), **tables)


def fit(data: RatingData, validation: Ratings | None = None, **overrides: object) -> MFRecommender:
    small: dict[str, object] = {"factors": 4, "epochs": 15, "batch_size": 64, "learning_rate": 0.03}
    return MFRecommender(MFConfig.default(**{**small, **overrides})).fit(data, validation)


def save(recommender: MFRecommender, folder: Path) -> None:
    facts = recommender.save(folder)
    manifest = {"recommender": "mf", "recipe": asdict(recommender.config), "facts": facts}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
@pytest.mark.parametrize("history", [True, False])
def test_it_predicts_better_than_the_mean_and_within_the_range(output: str, history: bool) -> None:
    data = make_data()
    fitted = fit(data, output=output, history=history)

    predicted = fitted.predict(data.ratings.user_index, data.ratings.item_index)

    assert predicted.dtype == np.float32
    assert np.square(predicted - data.ratings.points).mean() < 0.5 * np.var(data.ratings.points)
    grid = np.indices((data.n_users, data.n_items), dtype=np.int32).reshape(2, -1)
    everything = fitted.predict(*grid)
    assert everything.min() >= 1
    assert everything.max() <= 5


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
def test_an_unknown_side_is_answered_by_the_other_sides_bias(output: str) -> None:
    fitted = fit(make_data(), output=output)
    user, item = np.array([7], np.int32), np.array([9], np.int32)

    def points(bias: float) -> np.ndarray:
        raw = np.array([fitted.factors.offset + bias], np.float32)
        return np.clip(fitted.factors.to_points(raw), 1, 5)

    np.testing.assert_allclose(fitted.predict(user, NOBODY), points(fitted.factors.user_biases[7]), rtol=1e-5)
    np.testing.assert_allclose(fitted.predict(NOBODY, item), points(fitted.factors.item_biases[9]), rtol=1e-5)
    np.testing.assert_allclose(fitted.predict(NOBODY, NOBODY), points(0.0), rtol=1e-5)
    no_rating = np.array([0], np.int32)
    np.testing.assert_array_equal(fitted.predict(no_rating, item), fitted.predict(NOBODY, item))
    assert fitted.is_known(np.array([7, 0, -1], np.int32), np.array([9, 9, 9], np.int32)).tolist() == [
        True,
        False,
        False,
    ]


def test_scores_rank_as_predictions_do() -> None:
    fitted = fit(make_data())
    scores = fitted.score_users(np.array([7, -1], np.int32))
    assert scores.shape == (2, 30)
    items = np.arange(30, dtype=np.int32)
    for row, user in enumerate((7, -1)):
        expected = fitted.predict(np.full(30, user, np.int32), items)
        np.testing.assert_allclose(fitted.factors.to_points(scores[row]), expected, rtol=1e-5)


def test_features_are_taken_where_the_data_has_them() -> None:
    groups = pa.table({"group": [f"g{n % 3}" for n in range(50)]})
    kinds = pa.table({"kinds": [["a"] if n % 2 else ["b", "c"] for n in range(30)]})
    fitted = fit(make_data(user_features=groups, item_features=kinds), history=False, features=True)
    assert fitted.factors.user_factors[0].any()  # has a group, no rating
    assert fitted.factors.item_factors[0].any()

    users, items = np.array([0, 0, 1, 1, -1], np.int32), np.array([0, 1, 0, 1, 1], np.int32)
    assert fitted.rests_on(users, items).tolist() == ["features"] * 3 + ["factors", "biases"]
    without = fit(make_data(user_features=groups), history=True)
    assert without.rests_on(users, items).tolist() == ["biases"] * 3 + ["factors", "biases"]
    kinds_said = fit(make_data(user_features=groups, item_features=kinds), features=True,
                     user_columns={"group": "ignore"})  # fmt: skip
    assert kinds_said.rests_on(users, items).tolist() == ["biases"] * 2 + ["features", "factors", "biases"]


def test_features_that_are_asked_for_and_tell_nothing_are_refused() -> None:
    same = pa.table({"group": ["g"] * 50})
    with pytest.raises(
        DataError, match=r"user features: 0 columns of none; left out: group .*; item features: no"
    ):
        fit(make_data(user_features=same), features=True)
    with pytest.raises(DataError, match="user features: no table; item features: no table"):
        fit(make_data(), features=True)


def test_the_columns_read_are_kept_and_an_artifact_of_before_them_is_read(tmp_path: Path) -> None:
    groups = pa.table({"group": [f"g{n % 3}" for n in range(50)]})
    save(fit(make_data(user_features=groups), epochs=1, features=True), tmp_path)
    told = ["user features: 3 columns of group", "item features: no table"]
    assert MFRecommender.load(tmp_path).health_report() == told
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    for name in ("user_columns", "item_columns"):
        del manifest["recipe"][name]
    del manifest["facts"]["columns"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    loaded = MFRecommender.load(tmp_path)
    assert (loaded.config.user_columns, loaded.health_report()) == ({}, [])


def test_files_give_the_same_answers_and_the_curve_back(tmp_path: Path) -> None:
    data = make_data()
    fitted = fit(data, data.ratings, epochs=3)
    save(fitted, tmp_path)

    loaded = MFRecommender.load(tmp_path)

    users, items = np.array([1, 2, -1], np.int32), np.array([3, -1, 4], np.int32)
    np.testing.assert_array_equal(loaded.predict(users, items), fitted.predict(users, items))
    np.testing.assert_array_equal(loaded.score_users(users), fitted.score_users(users))
    assert (loaded.curve, loaded.best_epoch, loaded.config) == (
        fitted.curve,
        fitted.best_epoch,
        fitted.config,
    )
    assert len(loaded.curve) == 3


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    fitted = fit(make_data(), epochs=1)
    save(fitted, tmp_path)
    np.save(tmp_path / "item_factors.npy", fitted.factors.item_factors[:-1])
    with pytest.raises(ArtifactError, match=r"item_factors.npy has shape \(29, 4\), not \(30, 4\)"):
        MFRecommender.load(tmp_path)

    save(fitted, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["facts"]["offset"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="lacks facts of mf"):
        MFRecommender.load(tmp_path)


def test_a_validation_part_that_cannot_be_used_is_refused() -> None:
    none, other = np.empty(0, np.int32), np.array([50], np.int32)
    with pytest.raises(DataError, match="validation part is empty"):
        fit(make_data(), Ratings(none, none, np.empty(0, np.float32), None))
    with pytest.raises(DataError, match="has user 50 of 50"):
        fit(make_data(), Ratings(other, np.array([0], np.int32), np.array([3], np.float32), None))


def test_it_is_in_the_table_and_refuses_to_answer_unfitted() -> None:
    recommender = make_rating_recommender("mf", factors=3)
    assert isinstance(recommender, MFRecommender)
    with pytest.raises(NotFittedError, match="mf is not fitted"):
        recommender.predict(NOBODY, NOBODY)


@pytest.mark.parametrize(
    ("name", "value"), [("dropout", 1.0), ("output", "tanh"), ("weight_decay", -1), ("start", "zero")]
)
def test_a_value_that_cannot_work_is_named(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"mf.{name} is"):
        MFConfig.default(**{name: value})
