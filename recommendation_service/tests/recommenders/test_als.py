from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.engines.implicit_engine import MIN_DISLIKE_CONFIDENCE
from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.recommenders.als import ALSRecommender
from recsys.types import History

WEIGHTS = st.sampled_from([0.0, 0.0, 0.0, -1.0, 0.5, 2.0, 4.5])


def dataset_of(weights: np.ndarray) -> Dataset:
    n_users, n_items = weights.shape
    ids = [IdMap(f"{side}{index}" for index in range(n)) for side, n in (("u", n_users), ("i", n_items))]
    return Dataset(csr_matrix(weights.astype(np.float32)), *ids)


@settings(deadline=None, max_examples=25)
@given(weights=arrays(np.float32, (6, 9), elements=WEIGHTS), alpha=st.sampled_from([1.0, 4.0, 40.0]))
def test_fold_in_zeroes_the_gradient_of_the_dense_objective(weights: np.ndarray, alpha: float) -> None:
    weights[0, 0] = 2.0  # somebody likes something, so there is something to learn
    dataset = dataset_of(weights)
    als = ALSRecommender(ALSConfig.default(factors=4, iterations=3, alpha=alpha)).fit(dataset)

    for user in range(6):
        x, y = als.fold_in(dataset.history(user)).astype(np.float64), als.item_factors.astype(np.float64)
        cell = weights[user].astype(np.float64)
        confidence = np.where(cell == 0, 1.0, alpha * np.abs(cell))
        confidence[cell < 0] = np.maximum(confidence[cell < 0], MIN_DISLIKE_CONFIDENCE)
        gradient = (confidence * (x @ y.T - (cell > 0))) @ y + als.config.regularization * x
        np.testing.assert_allclose(gradient, 0, atol=1e-2)


def test_the_trained_users_are_near_their_fold_in(two_circles: Dataset) -> None:
    als = ALSRecommender(ALSConfig.default(factors=6, iterations=60)).fit(two_circles)

    folded = np.stack([als.fold_in(two_circles.history(user)) for user in range(two_circles.n_users)])

    scores, trained = folded @ als.item_factors.T, als.user_factors @ als.item_factors.T
    np.testing.assert_allclose(scores, trained, atol=0.05)


def test_contributions_add_up_to_the_score(two_circles: Dataset) -> None:
    als = ALSRecommender(ALSConfig.default(factors=6, iterations=8)).fit(two_circles)
    history = two_circles.history(0)  # holds a dislike

    shares = als.contributions(history, np.arange(als.n_items, dtype=np.int32))

    np.testing.assert_allclose(shares.sum(axis=0), als.score_batch([history])[0], atol=1e-4)


def test_taking_the_largest_contribution_away_lowers_the_score(two_circles: Dataset) -> None:
    als = ALSRecommender(ALSConfig.default(factors=6, iterations=8)).fit(two_circles)
    history = two_circles.history(4)
    top = als.recommend(history, 1, exclude=history.item_indices)
    shares = als.contributions(history, top.item_indices)[:, 0]

    kept = np.arange(len(shares)) != shares.argmax()
    without = History(history.item_indices[kept], history.weights[kept])

    assert als.score_batch([without])[0][top.item_indices[0]] < top.scores[0]


def test_a_dislike_lowers_the_item_however_small_alpha_is(two_circles: Dataset) -> None:
    als = ALSRecommender(ALSConfig.default(factors=6, iterations=8, alpha=0.5)).fit(two_circles)
    history = two_circles.history(2)
    unseen = int(als.recommend(history, 1, exclude=history.item_indices).item_indices[0])

    disliked = History(
        np.append(history.item_indices, unseen).astype(np.int32), np.append(history.weights, -1.0)
    )

    assert als.score_batch([disliked])[0][unseen] < als.score_batch([history])[0][unseen]


def test_without_a_positive_act_it_knows_it_says_why_not(two_circles: Dataset) -> None:
    als = ALSRecommender(ALSConfig.default(factors=6, iterations=2)).fit(two_circles)

    assert als.why_not(two_circles.history(0)) is None
    assert "no positive act" in (als.why_not(History.empty()) or "")
    unknown = History(np.array([als.n_items], np.int32), np.array([2.0], np.float32))
    assert "no positive act" in (als.why_not(unknown) or "")


def test_only_dislikes_are_refused(two_circles: Dataset) -> None:
    dislikes = replace(two_circles, user_items=-abs(two_circles.user_items))

    with pytest.raises(DataError, match="dislikes"):
        ALSRecommender(ALSConfig.default(factors=2, iterations=1)).fit(dislikes)


def test_nan_is_refused_before_the_engine_sees_it(two_circles: Dataset) -> None:
    two_circles.user_items.data[3] = np.nan

    with pytest.raises(DataError, match="not a finite number"):
        ALSRecommender(ALSConfig.default(factors=2, iterations=1)).fit(two_circles)


def test_factors_that_are_not_finite_are_refused_on_load(two_circles: Dataset, tmp_path) -> None:
    als = ALSRecommender(ALSConfig.default(factors=2, iterations=1)).fit(two_circles)
    als.save(tmp_path)
    factors = np.load(tmp_path / "als_v1_item_factors.npy")
    factors[0, 0] = np.inf
    np.save(tmp_path / "als_v1_item_factors.npy", factors)

    with pytest.raises(ArtifactError, match="not finite"):
        ALSRecommender.from_files(tmp_path, als.config)


@pytest.mark.parametrize(
    "wrong", [{"factors": 0}, {"regularization": 0}, {"iterations": 0}, {"alpha": -1}, {"engine": "magic"}]
)
def test_a_parameter_out_of_range_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"als.{next(iter(wrong))}"):
        ALSConfig.default(**wrong)


def test_factors_that_overflow_name_the_mend() -> None:
    weights = np.full((6, 9), 1e30, np.float32)

    with pytest.raises(DataError, match=r"raise als\.regularization or check the largest weights"):
        ALSRecommender(ALSConfig.default(factors=4, iterations=3)).fit(dataset_of(weights))
