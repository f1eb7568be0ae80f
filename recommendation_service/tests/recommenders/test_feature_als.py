"""feature_als: the objective falls whatever the data, no system is ill conditioned, unknowns are told."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.datasets.ratings import Ratings
from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.recommenders import feature_als_solver
from recsys.recommenders.feature_als import FeatureALSConfig, FeatureALSRecommender
from recsys.recommenders.feature_als_solver import build_sides, solve_rows, solve_within
from recsys.recommenders.rating_base import RatingData
from recsys.types import ProgressReport

FEATURE_SETS = ("none", "plain", "millions", "collinear")


def make_data(seed: int, *, features: str = "plain", n_users: int = 12, n_items: int = 9) -> RatingData:
    """Ratings with a user of identical points (0), an item with one rating (the last but one), and a user
    and an item with none (the last of each)."""
    rng = np.random.default_rng(seed)
    rated = rng.random((n_users, n_items)) < 0.6
    rated[:, -2:], rated[-1] = False, False
    rated[1, -2], rated[0, :3] = True, True
    users, items = np.nonzero(rated)
    points = rng.integers(1, 6, len(users)).astype(np.float32)
    points[users == 0] = 5.0
    ratings = Ratings(users.astype(np.int32), items.astype(np.int32), points, None)
    tables = (
        (None, None)
        if features == "none"
        else (_table(rng, n_users, features), _table(rng, n_items, features))
    )
    return RatingData(ratings, n_users, n_items, (1.0, 5.0), *tables)


def _table(rng: np.random.Generator, rows: int, features: str) -> pa.Table:
    age = rng.normal(40, 10, rows)
    columns = {"age": age, "is_new": rng.random(rows) < 0.5}
    if features == "millions":
        columns["salary"] = np.where(np.arange(rows) == 0, 5e6, rng.normal(0, 1e-3, rows))
    if features == "collinear":
        columns |= {"months": 12 * age, "again": age + 1e-9 * rng.normal(size=rows)}
    return pa.table(columns)


def make(**overrides: object) -> FeatureALSRecommender:
    return FeatureALSRecommender(FeatureALSConfig.default(**{"factors": 4, "iterations": 5, **overrides}))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    features=st.sampled_from(FEATURE_SETS),
    regularization=st.floats(1e-4, 10),
    bias_regularization=st.floats(1e-4, 10),
    max_norm=st.none() | st.floats(0.05, 3),
)
def test_the_objective_falls_at_every_half_step_and_the_conditions_stay_bounded(
    seed: int, features: str, regularization: float, bias_regularization: float, max_norm: float | None
) -> None:
    recommender = make(
        regularization=regularization, bias_regularization=bias_regularization, max_norm=max_norm
    ).fit(make_data(seed, features=features))

    steps = recommender.history
    assert len(steps) == 5 * (2 if features == "none" else 4)
    for before, after in pairwise(steps):
        assert after.objective <= before.objective * (1 + 1e-10)
    assert all(1 <= step.condition <= step.condition_bound * (1 + 1e-9) for step in steps)
    if max_norm is not None:
        assert max(step.largest_norm for step in steps) <= max_norm * (1 + 1e-9)


@pytest.mark.parametrize("features", FEATURE_SETS)
def test_every_reported_loss_is_the_objective_written_down(features: str) -> None:
    data = make_data(3, features=features)
    recommender = make(iterations=3).fit(data)
    config, ratings = recommender.config, data.ratings

    total = 0.0
    users = recommender.vectors["user"].astype(np.float64)
    items = recommender.vectors["item"].astype(np.float64)
    for u, i, r in zip(ratings.user_index, ratings.item_index, ratings.points, strict=True):
        fitted = recommender.mean + users[u, -1] + items[i, -1] + users[u, :-1] @ items[i, :-1]
        total += (r - fitted) ** 2
    diagonal = np.array([config.regularization] * config.factors + [config.bias_regularization])
    for side, table, index, vectors in (
        ("user", data.user_features, ratings.user_index, users),
        ("item", data.item_features, ratings.item_index, items),
    ):
        weights = recommender.weights[side].astype(np.float64)
        columns = recommender.columns[side]
        prior = columns.encode(table) @ weights if columns is not None and table is not None else 0 * vectors
        counts = np.bincount(index, minlength=len(vectors))
        total += float(np.sum(counts[:, None] * (vectors - prior) ** 2 * diagonal))
        total += config.feature_regularization * len(ratings) * float(np.sum(weights**2 * diagonal))

    np.testing.assert_allclose(recommender.history[-1].objective, total, rtol=1e-5)


def test_each_row_is_the_dense_least_squares_answer_and_the_worst_row_is_the_worst() -> None:
    data = make_data(1, n_users=40, n_items=30)
    by_user, _ = build_sides(data.ratings, 40, 30, 3.0)
    rng = np.random.default_rng(0)
    fixed, prior = rng.normal(size=(30, 4)), rng.normal(size=(40, 4))
    penalties = np.array([0.3, 0.3, 0.3, 0.02])

    solved = solve_rows(by_user, fixed, penalties, prior)

    conditions = np.zeros(40)
    for user in range(40):
        mine = data.ratings.user_index == user
        items, n = data.ratings.item_index[mine], mine.sum()
        design = np.hstack((fixed[items, :-1], np.ones((n, 1))))
        targets = data.ratings.points[mine] - 3.0 - fixed[items, -1]
        system = design.T @ design + n * np.diag(penalties)
        if n == 0:
            np.testing.assert_array_equal(solved.vectors[user], prior[user])
            continue
        expected = np.linalg.solve(system, design.T @ targets + n * penalties * prior[user])
        np.testing.assert_allclose(solved.vectors[user], expected, rtol=1e-9, atol=1e-12)
        conditions[user] = np.linalg.cond(system)
    assert solved.worst == int(conditions.argmax())
    np.testing.assert_allclose(solved.condition, conditions.max(), rtol=1e-9)


@given(st.integers(0, 10_000))
def test_a_bounded_row_is_the_best_point_of_the_ball(seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(5, 3))
    system, right = root.T @ root + 0.1 * np.eye(3), rng.normal(size=3)
    radius = 0.5 * float(np.linalg.norm(np.linalg.solve(system, right)))

    (best,) = solve_within(system[None], right[None], radius)

    np.testing.assert_allclose(np.linalg.norm(best), radius, rtol=1e-9)
    directions = rng.normal(size=(200, 3))
    others = radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)

    def value(z: np.ndarray) -> np.ndarray:
        return np.einsum("...i,ij,...j", z, system, z) / 2 - z @ right

    assert (value(best) <= value(others) + 1e-12).all()


@pytest.mark.parametrize("max_norm", [None, 0.4])
def test_rows_solved_in_many_groups_are_as_those_solved_together(
    max_norm: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(5, n_users=60, n_items=20)
    by_user, _ = build_sides(data.ratings, 60, 20, 3.0)
    rng = np.random.default_rng(0)
    fixed, prior, penalties = rng.normal(size=(20, 4)), rng.normal(size=(60, 4)), np.full(4, 0.1)
    together = solve_rows(by_user, fixed, penalties, prior, max_norm)

    monkeypatch.setattr(feature_als_solver, "CELLS_AT_ONCE", 1)
    one_by_one = solve_rows(by_user, fixed, penalties, prior, max_norm)

    np.testing.assert_allclose(one_by_one.vectors, together.vectors, rtol=1e-10, atol=1e-13)
    own, other = together.vectors[data.ratings.user_index], fixed[data.ratings.item_index]
    fitted = 3.0 + own[:, -1] + other[:, -1] + (own[:, :-1] * other[:, :-1]).sum(axis=1)
    left = np.sum((data.ratings.points - fitted) ** 2)
    np.testing.assert_allclose([together.squared_error, one_by_one.squared_error], left, rtol=1e-10)
    assert (one_by_one.worst, one_by_one.n_raised) == (together.worst, together.n_raised)
    assert (together.n_raised > 0) == (max_norm is not None)


def test_features_find_what_the_ratings_of_others_say() -> None:
    """People like films of their own kind; those without a rating are placed by their features alone."""
    rng = np.random.default_rng(0)
    kind_of_user, kind_of_item = np.arange(60) % 2, np.arange(40) % 2
    users, items = np.nonzero(rng.random((60, 40)) < 0.4)
    kept = (users < 50) & (items < 30)
    users, items = users[kept], items[kept]
    points = np.where(kind_of_user[users] == kind_of_item[items], 5, 1).astype(np.float32)
    data = RatingData(
        Ratings(users.astype(np.int32), items.astype(np.int32), points, None), 60, 40, (1.0, 5.0),
        pa.table({"likes": np.where(kind_of_user, "war", "love")}),
        pa.table({"genre": np.where(kind_of_item, "war", "love")}),
    )  # fmt: skip
    recommender = make(feature_regularization=0.01, regularization=0.05).fit(data)

    cold_users, cold_items = np.repeat(np.arange(50, 60), 10), np.tile(np.arange(30, 40), 10)
    pairs = cold_users.astype(np.int32), cold_items.astype(np.int32)
    expected = np.where(kind_of_user[pairs[0]] == kind_of_item[pairs[1]], 5, 1)
    np.testing.assert_allclose(recommender.predict(*pairs), expected, atol=1.0)
    assert set(recommender.rests_on(*pairs)) == {"features"}

    grown = recommender.with_new(user_features=pa.table({"likes": ["war", "love", "poems"]}))
    assert (grown.n_users, recommender.n_users) == (63, 60)
    new = np.array([60, 61, 62], np.int32)
    war, love, nothing = grown.predict(new, np.array([1, 1, 1], np.int32))
    assert war > nothing > love
    assert grown.rests_on(new, np.array([1, 1, 1], np.int32)).tolist() == ["features", "features", "biases"]


def test_an_unknown_side_leaves_the_mean_and_the_other_bias() -> None:
    recommender = make().fit(make_data(2, features="none"))
    nobody, item = np.array([-1, -1, 11], np.int32), np.array([2, -1, 2], np.int32)
    by_item = recommender.mean + float(recommender.vectors["item"][2, -1])
    np.testing.assert_allclose(
        recommender.predict(nobody, item), [by_item, recommender.mean, by_item], rtol=1e-6
    )
    assert recommender.rests_on(nobody, item).tolist() == ["biases"] * 3
    assert recommender.rests_on(np.array([0], np.int32), item[:1]).tolist() == ["factors"]


def test_scores_of_users_are_the_predictions_before_clipping() -> None:
    recommender = make().fit(make_data(4))
    users = np.array([0, 5, -1], np.int32)
    scores = recommender.score_users(users)
    for row, user in enumerate(users):
        predicted = recommender.predict(np.full(9, user, np.int32), np.arange(9, dtype=np.int32))
        np.testing.assert_allclose(np.clip(scores[row], 1, 5), predicted, atol=1e-5)


@pytest.mark.parametrize("features", ["none", "plain"])
def test_saving_and_loading_changes_nothing(tmp_path: Path, features: str) -> None:
    fitted = make().fit(make_data(6, features=features))
    manifest = {"recommender": "feature_als", "recipe": asdict(fitted.config), "facts": fitted.save(tmp_path)}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    loaded = FeatureALSRecommender.load(tmp_path)

    pairs = np.arange(12, dtype=np.int32), np.arange(12, dtype=np.int32) % 9
    np.testing.assert_array_equal(loaded.predict(*pairs), fitted.predict(*pairs))
    np.testing.assert_array_equal(loaded.rests_on(*pairs), fitted.rests_on(*pairs))
    assert (loaded.history, loaded.columns) == (fitted.history, fitted.columns)
    assert loaded.health == fitted.health
    (tmp_path / "feature_columns.json").write_text("{}")
    with pytest.raises(ArtifactError, match="does not hold a whole feature_als"):
        FeatureALSRecommender.load(tmp_path)


def test_the_same_seed_gives_the_same_vectors_and_progress_carries_the_health() -> None:
    reports: list[ProgressReport] = []
    first, second = (make().fit(make_data(7), progress=reports.append) for _ in range(2))
    np.testing.assert_array_equal(first.vectors["user"], second.vectors["user"])
    assert [r.fraction for r in reports[:20]] == sorted(r.fraction for r in reports[:20])
    assert reports[-1].fraction == 1.0
    assert set(reports[0].facts) == {"objective", "rmse", "condition", "largest_norm"}


@pytest.mark.parametrize("features", ["none", "plain"])
def test_the_worst_rows_go_by_their_ids_in_the_log_the_facts_and_the_report(
    features: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    data = make_data(7, features=features)
    named = replace(data, user_ids=[f"ann{u}" for u in range(12)], item_ids=[f"film{i}" for i in range(9)])
    with caplog.at_level(logging.INFO, logger="recsys.recommenders.feature_als"):
        fitted = make().fit(named)

    users = max((h for h in fitted.history if h.step == "users"), key=lambda h: h.condition)
    items = [h for h in fitted.history if h.step == "items"]
    counts = np.bincount(data.ratings.user_index, minlength=12)
    facts = fitted.save(tmp_path)["health"]
    assert (facts["user"]["worst"], facts["user"]["condition"]) == (f"ann{users.worst}", users.condition)
    assert facts["user"]["worst_ratings"] == counts[users.worst]
    assert facts["item"]["longest"] == f"film{items[-1].longest}"
    lines = [record.getMessage() for record in caplog.records if "iteration=" in record.getMessage()]
    assert len(lines) == 5
    assert f"worst_item=film{items[2].worst} " in lines[2]
    assert f"worst conditioned user ann{users.worst} ({counts[users.worst]} ratings): " in "\n".join(
        fitted.health_report()
    )
    assert make().fit(data).health == replace(
        fitted.health,
        user=replace(fitted.health.user, worst=str(users.worst), longest=fitted.health.user.longest[3:]),
        item=replace(fitted.health.item, worst=fitted.health.item.worst[4:], longest=str(items[-1].longest)),
    )
    with pytest.raises(DataError, match="There are 2 item ids for 9 items"):
        replace(data, item_ids=["a", "b"])


def test_bad_input_is_told() -> None:
    with pytest.raises(ConfigError, match=r"feature_als.regularization is 0.0; it must be above 0"):
        make(regularization=0.0)
    data = make_data(0)
    with_id = RatingData(data.ratings, 12, 9, data.range, pa.table({"user_id": np.arange(12)}))
    with pytest.raises(DataError, match="The user feature 'user_id' is an id by its name"):
        make().fit(with_id)
    with pytest.raises(DataError, match="trained without item features"):
        make().fit(make_data(0, features="none")).with_new(item_features=pa.table({"age": [1.0]}))
