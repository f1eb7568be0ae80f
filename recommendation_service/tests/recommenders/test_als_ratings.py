"""Confidences of ratings and reviews: what the engine is given, and that alpha counts once."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from recsys.config import read_section
from recsys.datasets.id_map import IdMap
from recsys.datasets.splits import split_random
from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ENGINE_NAMES, ALSConfig
from recsys.errors import ConfigError, DataError
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.als_ratings import ALSRatingsConfig, ALSRatingsRecommender
from recsys.types import History

# 0 is "not rated"; what is liked has more than 3 points, so a negative cell ends at -4 (3 and its text).
CELLS = st.sampled_from([0.0, 0.0, -1.0, -2.5, -4.0, 3.75, 4.0, 4.5, 5.0, 6.0])


def dataset_of(cells: np.ndarray) -> Dataset:
    n_users, n_items = cells.shape
    users, items = (IdMap(map(str, range(n))) for n in (n_users, n_items))
    return Dataset(csr_matrix(cells.astype(np.float32)), users, items)


@pytest.fixture
def rated() -> Dataset:
    rng = np.random.default_rng(3)
    cells = rng.choice([0, 0, 0, -1.5, -3.0, 4.25, 5.0, 5.75], size=(40, 25)).astype(np.float32)
    return dataset_of(cells)


def expected_confidence(cell: np.ndarray, config: ALSRatingsConfig) -> np.ndarray:
    """The two equations of the module; 1 where nothing is stored."""
    size = np.abs(cell)
    rated = size if config.confidence == "direct" else 1.0 + config.alpha * (size - 1.0) / 5.0
    return np.where(cell == 0, 1.0, rated)


@settings(deadline=None, max_examples=30)
@given(
    cells=arrays(np.float64, (6, 9), elements=CELLS),
    confidence=st.sampled_from(["direct", "scaled"]),
    alpha=st.sampled_from([0.5, 5.0, 10.0, 40.0]),
    threshold=st.sampled_from([1.0, 4.0, 4.5]),
)
def test_a_fold_in_minimises_the_objective_with_just_these_confidences(
    cells: np.ndarray, confidence: str, alpha: float, threshold: float
) -> None:
    """With the engine `implicit`, where an alpha applied twice, or a dislike raised, would show."""
    cells[0, 0] = 5.0
    config = ALSRatingsConfig.default(
        confidence=confidence,
        alpha=alpha,
        preference_threshold=threshold,
        factors=4,
        iterations=3,
        regularization=0.1,
        engine="implicit",
    )
    dataset = dataset_of(cells)
    als = ALSRatingsRecommender(config).fit(dataset)
    y = als.item_factors.astype(np.float64)

    for user in range(6):
        x = als.fold_in(dataset.history(user)).astype(np.float64)
        preference = (cells[user] > 0) & (np.abs(cells[user]) >= threshold)
        pull = expected_confidence(cells[user], config) * (x @ y.T - preference)
        gradient = pull @ y + config.regularization * x
        size = np.linalg.norm(x) * np.linalg.norm(y) ** 2 * 60.0
        np.testing.assert_allclose(gradient, 0, atol=1e-6 * max(size, 1.0))


@pytest.mark.parametrize("alpha", [2.0, 10.0, 40.0])
def test_the_training_of_implicit_minimises_it_too(rated: Dataset, alpha: float) -> None:
    """Iterated to the end, each trained user is the minimum over the dense matrix."""
    config = ALSRatingsConfig.default(alpha=alpha, factors=3, iterations=200, regularization=5.0)
    als = ALSRatingsRecommender(config).fit(rated)

    x, y = als.user_factors.astype(np.float64), als.item_factors.astype(np.float64)
    cells = rated.user_items.toarray().astype(np.float64)
    preference = (cells > 0) & (np.abs(cells) >= config.preference_threshold)
    pull = expected_confidence(cells, config) * (x @ y.T - preference)

    np.testing.assert_allclose(pull @ y + config.regularization * x, 0, atol=2e-2)


def test_alpha_5_scaled_is_direct(rated: Dataset) -> None:
    """1 + 5 (c - 1) / 5 is c, whatever alpha direct is given."""
    fitted = [
        ALSRatingsRecommender(ALSRatingsConfig.default(confidence=how, alpha=alpha, factors=4)).fit(rated)
        for how, alpha in (("scaled", 5.0), ("direct", 10.0), ("direct", 1.0))
    ]

    scores = [one.score_batch([rated.history(2)])[0] for one in fitted]
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-4)
    np.testing.assert_allclose(scores[2], scores[0], atol=1e-4)


def test_the_weights_are_the_ones_worked_out_by_hand() -> None:
    cells = np.array([6.0, 4.0, 3.5, -3.0, -1.0], np.float32)
    scaled = ALSRatingsConfig.default(confidence="scaled", alpha=10.0, engine="irspack")

    assert scaled.weights(cells).tolist() == [11.0, 7.0, -6.0, -5.0, -1.0]
    assert replace(scaled, engine="implicit").weights(cells).tolist() == pytest.approx(
        [1.1, 0.7, -0.6, -0.5, -0.1]
    )
    direct = replace(scaled, confidence="direct", preference_threshold=1.0)
    assert direct.weights(cells).tolist() == [6.0, 4.0, 3.5, -3.0, -1.0]


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_it_is_als_on_the_weights(rated: Dataset, engine: str) -> None:
    """On any engine; only acts' dislikes are raised, and none of these is low enough to be."""
    config = ALSRatingsConfig.default(engine=engine, alpha=40.0, factors=4, regularization=0.5, alpha0=0.1)
    rated.user_items.data[rated.user_items.data < 0] = -3.0
    weights = csr_matrix(
        (config.weights(rated.user_items.data), rated.user_items.indices, rated.user_items.indptr),
        rated.user_items.shape,
    )
    values = {name: value for name, value in asdict(config).items() if name in asdict(ALSConfig.default())}

    als = ALSRecommender(ALSConfig.from_mapping(values)).fit(replace(rated, user_items=weights))
    of_ratings = ALSRatingsRecommender(config).fit(rated)

    given_weights = replace(rated, user_items=weights).history(1)
    scores, expected = of_ratings.score_batch([rated.history(1)]), als.score_batch([given_weights])
    np.testing.assert_allclose(scores, expected, atol=1e-4)  # a factor that is all but 0 has rounding alone
    trained, by_als = (one.user_factors @ one.item_factors.T for one in (of_ratings, als))
    np.testing.assert_allclose(trained, by_als, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_a_better_text_pulls_harder_and_a_worse_rating_pushes(rated: Dataset, engine: str) -> None:
    als = ALSRatingsRecommender(
        ALSRatingsConfig.default(engine=engine, factors=6, regularization=0.5, alpha0=0.3)
    ).fit(rated)

    def score(cell: float) -> float:
        history = History(np.array([3, 7], np.int32), np.array([5.0, cell], np.float32))
        return float(als.score_batch([history])[0][7])

    assert score(6.0) > score(5.0) > score(4.0)
    assert score(-3.0) < score(-1.0) < score(4.0)


def test_contributions_and_losses_see_the_same_preferences(rated: Dataset) -> None:
    als = ALSRatingsRecommender(ALSRatingsConfig.default(factors=4, preference_threshold=4.5)).fit(rated)
    history = rated.history(0)
    items = np.arange(als.n_items, dtype=np.int32)

    shares = als.contributions(history, items)

    np.testing.assert_allclose(shares.sum(axis=0), als.score_batch([history])[0], atol=1e-4)
    assert not shares[np.abs(history.weights) < 4.5].any()
    losses = als.losses(history, items, [0, 1])
    for row, act in zip(losses, (0, 1), strict=True):
        gone = als.score_items(history, items) - als.score_items(history.without(act), items)
        np.testing.assert_allclose(row, gone, rtol=1e-4, atol=1e-5)


def test_below_the_threshold_there_is_nothing_to_answer_by(rated: Dataset) -> None:
    als = ALSRatingsRecommender(ALSRatingsConfig.default(factors=2)).fit(rated)
    lukewarm = History(np.array([1], np.int32), np.array([3.75], np.float32))

    assert "preference threshold" in (als.why_not(lukewarm) or "")
    assert als.why_not(rated.history(0)) is None


def test_a_threshold_no_rating_reaches_is_refused(rated: Dataset) -> None:
    with pytest.raises(DataError, match=r"preference_threshold 5.9: the highest confidence is 5.75"):
        ALSRatingsRecommender(ALSRatingsConfig.default(preference_threshold=5.9)).fit(rated)


def test_acts_are_no_ratings(two_circles: Dataset) -> None:
    why_not = ALSRatingsRecommender.why_not_fit(two_circles)

    assert why_not is not None
    assert "these go from 0.5 to 3.5" in why_not
    with pytest.raises(DataError, match="train als on acts"):
        ALSRatingsRecommender().fit(two_circles)


def test_its_section_says_only_what_differs_from_als() -> None:
    own, shared = read_section("als_ratings"), read_section("als")
    config = asdict(ALSRatingsConfig.default())

    assert config == {**shared, **own}
    assert {name for name in own if name in shared and own[name] == shared[name]} == set()


def test_a_release_holds_it_beside_als(rated: Dataset, tmp_path: Path) -> None:
    als = ALSRecommender(ALSConfig.default(factors=3)).fit(rated)
    of_ratings = ALSRatingsRecommender(ALSRatingsConfig.default(factors=3)).fit(rated)
    als.save(tmp_path)

    of_ratings.save(tmp_path)

    loaded = ALSRatingsRecommender.load(tmp_path, asdict(of_ratings.config))
    np.testing.assert_array_equal(loaded.item_factors, of_ratings.item_factors)
    np.testing.assert_array_equal(np.load(tmp_path / "als_v1_item_factors.npy"), als.item_factors)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"confidence": "magic"}, r"als_ratings.confidence is 'magic'; it must be one of direct, scaled"),
        ({"alpha": 0}, r"als_ratings.alpha is 0.0; it must be above zero"),
        ({"alpha": 1e300}, r"als_ratings.alpha is 1e\+300; it must be above zero: from 1e-30 to 1e\+38"),
        ({"regularization": 1e300}, r"als_ratings.regularization is 1e\+300; it must be above zero"),
        (
            {"preference_threshold": 0.9},
            r"preference_threshold is 0.9; it must be from 1 .* to 6",
        ),
        ({"preference_threshold": 6.1}, r"als_ratings.preference_threshold is 6.1"),
        ({"factors": 0}, r"als_ratings.factors is 0; it must be a whole number from 1"),
        ({"threshold": 4}, r"als_ratings has no threshold; it has engine"),
    ],
)
def test_a_parameter_that_cannot_work_is_named_with_its_range(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ALSRatingsConfig.default(**wrong)


def test_early_stopping_learns_from_the_confidences_too(rated: Dataset) -> None:
    config = ALSRatingsConfig.default(factors=3, iterations=6, check_every=2, patience=1, seed=3)
    validation = split_random(rated, 0.2, 0)

    stopped = ALSRatingsRecommender(config).fit_early_stopping(validation)

    assert stopped.best_iteration in (2, 4, 6)
    again = ALSRatingsRecommender(replace(config, iterations=stopped.best_iteration)).fit(validation.train)
    history = validation.train.history(1)
    np.testing.assert_allclose(stopped.score_batch([history]), again.score_batch([history]), atol=1e-4)
