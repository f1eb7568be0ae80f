"""svd: the best approximation of its rank, capped, deterministic, biases alone for who is not known."""

from __future__ import annotations

import json
import logging
import tracemalloc
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.ratings import Ratings
from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.recommenders import svd as svd_module
from recsys.recommenders.rating_base import RatingData
from recsys.recommenders.rating_biases import fit_biases, user_means
from recsys.recommenders.svd import SVDConfig, SVDRecommender, truncated_svd


def make_data(n_users: int = 30, n_items: int = 20, seed: int = 0) -> RatingData:
    """Whole points of a world of rank 2 with biases; user 0 and item 0 are left without a rating."""
    rng = np.random.default_rng(seed)
    tastes, kinds = rng.normal(size=(n_users, 2)), rng.normal(size=(n_items, 2))
    true = 3 + 0.7 * tastes @ kinds.T + rng.normal(0, 0.5, n_items)
    rated = rng.random((n_users, n_items)) < 0.6
    rated[0], rated[:, 0] = False, False
    users, items = np.nonzero(rated)
    points = np.clip(np.round(true[users, items]), 1, 5).astype(np.float32)
    ratings = Ratings(users.astype(np.int32), items.astype(np.int32), points, None)
    return RatingData(ratings, n_users, n_items, (1.0, 5.0))


def dense(data: RatingData) -> np.ndarray:
    table = np.zeros((data.n_users, data.n_items))
    table[data.ratings.user_index, data.ratings.item_index] = data.ratings.points
    return table


def fit(data: RatingData, **overrides: object) -> SVDRecommender:
    return SVDRecommender(SVDConfig.default(**overrides)).fit(data)


def save(recommender: SVDRecommender, folder: Path) -> None:
    facts = recommender.save(folder)
    manifest = {"recommender": "svd", "recipe": asdict(recommender.config), "facts": facts}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("dense_up_to", [400, 0], ids=["lapack", "arpack"])
def test_no_product_of_that_rank_is_nearer_to_the_matrix(
    monkeypatch: pytest.MonkeyPatch, dense_up_to: int
) -> None:
    monkeypatch.setattr(svd_module, "DENSE_UP_TO", dense_up_to)
    data = make_data()
    fitted = fit(data, factors=4, centre="none")

    left, sizes, right_t = np.linalg.svd(dense(data))
    best = (left[:, :4] * sizes[:4]) @ right_t[:4]
    np.testing.assert_allclose(fitted.user_factors @ fitted.item_factors.T, best, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(fitted.user_factors, axis=0), sizes[:4], rtol=1e-5)
    np.testing.assert_allclose(fitted.item_factors.T @ fitted.item_factors, np.eye(4), atol=1e-5)
    assert fitted.user_factors.dtype == fitted.item_factors.dtype == np.float32


@pytest.mark.parametrize("dense_up_to", [400, 0], ids=["lapack", "arpack"])
def test_a_matrix_of_lower_rank_has_no_more_vectors_than_its_rank(
    monkeypatch: pytest.MonkeyPatch, dense_up_to: int
) -> None:
    monkeypatch.setattr(svd_module, "DENSE_UP_TO", dense_up_to)
    users, items = np.divmod(np.arange(60, dtype=np.int32), 6)
    data = RatingData(Ratings(users, items, np.full(60, 4, np.float32), None), 10, 6, (1.0, 5.0))

    fitted = fit(data, factors=4)

    np.testing.assert_allclose(fitted.user_factors @ fitted.item_factors.T, 4.0, rtol=1e-5)
    assert (np.abs(fitted.user_factors).sum(axis=0) > 0).tolist() == [True, False, False, False]
    assert np.isfinite(fitted.item_factors).all()


@pytest.mark.parametrize("dense_up_to", [400, 0], ids=["lapack", "arpack"])
def test_the_same_seed_gives_the_same_factors_and_another_one_the_same_product(
    monkeypatch: pytest.MonkeyPatch, dense_up_to: int
) -> None:
    monkeypatch.setattr(svd_module, "DENSE_UP_TO", dense_up_to)
    data = make_data()
    first, again, other = (fit(data, factors=3, seed=seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first.user_factors, again.user_factors)
    np.testing.assert_allclose(first.item_factors, other.item_factors, atol=1e-5)  # the signs are fixed too


@pytest.mark.parametrize("centre", ["none", "user", "biases"])
def test_a_known_pair_is_its_centre_and_the_product_within_the_range(centre: str) -> None:
    data = make_data()
    fitted = fit(data, factors=3, centre=centre, damping=2.0)
    users, items = data.ratings.user_index, data.ratings.item_index

    biases = fit_biases(data, 2.0)
    centres = {"none": 0.0, "user": user_means(data)[users], "biases": biases.predict(users, items)}[centre]
    products = (fitted.user_factors[users] * fitted.item_factors[items]).sum(axis=1)
    np.testing.assert_allclose(fitted.predict(users, items), np.clip(centres + products, 1, 5), rtol=1e-5)


def test_centring_is_of_the_stored_cells_alone() -> None:
    data = make_data()
    centred = dense(data)
    rated = centred > 0
    centred[rated] -= np.repeat(user_means(data)[:, np.newaxis], data.n_items, axis=1)[rated]

    fitted = fit(data, factors=5, centre="user")

    left, sizes, right_t = np.linalg.svd(centred)
    best = (left[:, :5] * sizes[:5]) @ right_t[:5]
    np.testing.assert_allclose(fitted.user_factors @ fitted.item_factors.T, best, atol=1e-4)


@pytest.mark.parametrize("centre", ["none", "user", "biases"])
def test_who_is_not_known_is_answered_by_the_mean_and_the_known_sides_bias(centre: str) -> None:
    data = make_data()
    fitted = fit(data, centre=centre)
    biases = fit_biases(data, fitted.config.damping)
    users, items = np.array([-1, 0, 3, 3, -1], np.int32), np.array([4, 4, -1, 0, -1], np.int32)

    predicted = fitted.predict(users, items)

    of_item, of_user = biases.mean + biases.item_biases[4], biases.mean + biases.user_biases[3]
    assert predicted.tolist() == pytest.approx([of_item, of_item, of_user, of_user, biases.mean], rel=1e-6)
    assert not fitted.is_known(users, items).any()
    np.testing.assert_array_equal(fitted.score_users(users[:2]), np.tile(biases.item_biases, (2, 1)))


def test_scores_rank_as_the_unclipped_points_do() -> None:
    data = make_data()
    users = np.array([1, 5], np.int32)
    for centre in ("none", "user", "biases"):
        fitted = fit(data, factors=3, centre=centre)
        fitted.range = (-100.0, 100.0)
        scores = fitted.score_users(users)
        for user, row in zip(users, scores, strict=True):
            items = np.flatnonzero(fitted.known_items).astype(np.int32)
            points = fitted.predict(np.full(len(items), user, np.int32), items)
            difference = points - row[items]
            np.testing.assert_allclose(difference, difference[0], atol=1e-4)


def test_held_back_points_are_predicted_better_than_by_biases_alone() -> None:
    data = make_data(200, 60)
    held_back = np.random.default_rng(1).random(len(data.ratings)) < 0.1
    r = data.ratings
    learned = Ratings(r.user_index[~held_back], r.item_index[~held_back], r.points[~held_back], None)
    fitted = fit(RatingData(learned, 200, 60, data.range), factors=4, centre="biases")

    users, items, points = r.user_index[held_back], r.item_index[held_back], r.points[held_back]
    errors = fitted.predict(users, items) - points
    of_biases = fitted.biases.predict(users, items) - points
    assert (errors**2).mean() < 0.8 * (of_biases**2).mean()


def test_factors_are_capped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        fitted = fit(make_data(9, 6), factors=50)
    assert fitted.user_factors.shape == (9, 5)
    assert "capped from 50 to 5: a matrix of 9 x 6" in caplog.text


def test_a_matrix_that_is_too_small_is_refused() -> None:
    one_item = Ratings(np.arange(3, dtype=np.int32), np.zeros(3, np.int32), np.full(3, 4, np.float32), None)
    with pytest.raises(DataError, match="3 users x 1 items is too small for svd; 2 users and 2 items"):
        fit(RatingData(one_item, 3, 1, (1.0, 5.0)))


def test_equal_ratings_leave_nothing_to_learn_once_centred() -> None:
    users, items = np.divmod(np.arange(30, dtype=np.int32), 5)
    data = RatingData(Ratings(users, items, np.full(30, 4, np.float32), None), 6, 5, (1.0, 5.0))
    with pytest.raises(DataError, match="the same once centred by user"):
        fit(data, factors=2, centre="user")
    assert fit(data, factors=2).predict(users[:1], items[:1]).tolist() == pytest.approx([4.0])


@pytest.mark.parametrize("bad", [{"factors": 0}, {"centre": "item"}, {"damping": -1.0}])
def test_hyper_parameters_that_cannot_work_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"svd.{next(iter(bad))} is"):
        SVDConfig.default(**bad)


def test_what_is_saved_answers_the_same(tmp_path: Path) -> None:
    data = make_data()
    fitted = fit(data, factors=3, centre="biases")
    save(fitted, tmp_path)

    loaded = SVDRecommender.load(tmp_path)

    users = np.arange(-1, data.n_users, dtype=np.int32)
    items = np.resize(np.arange(-1, data.n_items, dtype=np.int32), len(users))
    assert loaded.config == fitted.config
    np.testing.assert_array_equal(loaded.predict(users, items), fitted.predict(users, items))
    np.testing.assert_array_equal(loaded.score_users(users), fitted.score_users(users))


@pytest.mark.parametrize("name", svd_module.ARRAYS)
def test_an_array_of_another_shape_is_refused(tmp_path: Path, name: str) -> None:
    save(fit(make_data()), tmp_path)
    np.save(tmp_path / f"{name}.npy", np.load(tmp_path / f"{name}.npy")[:-1])
    with pytest.raises(ArtifactError, match=f"{name}.npy has shape"):
        SVDRecommender.load(tmp_path)


@pytest.mark.parametrize("name", ["mean", "factors"])
def test_a_manifest_that_lacks_a_fact_is_refused(tmp_path: Path, name: str) -> None:
    save(fit(make_data()), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["facts"][name]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=f"lacks facts of svd.*{name}"):
        SVDRecommender.load(tmp_path)


def test_biases_are_the_damped_means_of_what_is_left() -> None:
    ratings = Ratings(
        np.array([0, 0, 1], np.int32), np.array([0, 1, 0], np.int32), np.array([5, 3, 1], np.float32), None
    )
    biases = fit_biases(RatingData(ratings, 3, 3, (1.0, 5.0)), damping=1.0)
    assert biases.mean == 3.0
    assert biases.item_biases.tolist() == [0.0, 0.0, 0.0]  # (2 - 2) / 3, 0 / 2, no rating
    assert biases.user_biases.tolist() == pytest.approx([2 / 3, -1.0, 0.0])


def test_a_long_matrix_is_never_made_dense() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.choice(100_000, 2_000, replace=False), rng.integers(0, 300, 2_000)
    matrix = csr_matrix((rng.integers(1, 6, 2_000).astype(float), (users, items)), (100_000, 300))

    tracemalloc.start()
    left, sizes, right = truncated_svd(matrix, 3, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 100e6  # dense it has 240 MB, and LAPACK works on copies
    rated = matrix[np.sort(users)].toarray()
    np.testing.assert_allclose(sizes, np.linalg.svd(rated, compute_uv=False)[:3], rtol=1e-9)
    np.testing.assert_allclose(matrix.T @ left, right * sizes, atol=1e-9)


def test_values_come_largest_first_with_either_solver() -> None:
    from scipy.sparse import random_array

    matrix = random_array((500, 450), density=0.05, rng=np.random.default_rng(0)).tocsr()
    _, sizes, right = truncated_svd(matrix, 6, seed=0)
    expected = np.linalg.svd(matrix.toarray(), compute_uv=False)[:6]
    np.testing.assert_allclose(sizes, expected, rtol=1e-8)
    assert (right[np.abs(right).argmax(axis=0), np.arange(6)] > 0).all()
