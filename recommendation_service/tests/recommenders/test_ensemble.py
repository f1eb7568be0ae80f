from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError, NotFittedError
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.base import VectorRecommender
from recsys.recommenders.ensemble import EnsembleConfig, EnsembleRecommender, covariance
from recsys.recommenders.table import make_recommender

TWO_TOWER = {"dimensions": 4, "epochs": 3}


@pytest.fixture
def parts(world: Dataset) -> dict[str, VectorRecommender]:
    als = make_recommender("als", factors=4, iterations=5, alpha=5.0, regularization=1.0).fit(world)
    two_tower = make_recommender("two_tower", **TWO_TOWER).fit(world)
    assert isinstance(als, ALSRecommender)
    assert isinstance(two_tower, VectorRecommender)
    return {"als": als, "two_tower": two_tower}


def ensemble_of(parts: dict[str, VectorRecommender], world: Dataset, als_share: float) -> EnsembleRecommender:
    ensemble = EnsembleRecommender(EnsembleConfig.default(als_share=als_share))
    ensemble.attach(parts)
    return ensemble.fit(world)


def test_scores_are_the_weighted_standard_scores_of_both_parts(
    parts: dict[str, VectorRecommender], world: Dataset
) -> None:
    ensemble = ensemble_of(parts, world, 0.3)
    history = world.history(1)

    als, two_tower = (parts[name].score_batch([history])[0] for name in ("als", "two_tower"))

    expected = 0.7 * two_tower / two_tower.std()
    expected += 0.3 * als.mean() / als.std()  # what als does not know stands with its mean
    expected[: len(als)] += 0.3 * (als - als.mean()) / als.std()
    np.testing.assert_allclose(ensemble.score_batch([history])[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("share", "part"), [(1.0, "als"), (0.0, "two_tower")])
def test_a_share_of_everything_ranks_as_that_part_alone(
    share: float, part: str, parts: dict[str, VectorRecommender], world: Dataset
) -> None:
    ensemble = ensemble_of(parts, world, share)
    known = np.arange(len(ensemble.vectors)) < parts[part].n_items

    for user in range(10):
        history = world.history(user)
        alone = parts[part].recommend(history, 5)
        assert ensemble.recommend(history, 5, candidates=known).item_indices.tolist() == (
            alone.item_indices.tolist()
        )


def test_the_shares_of_the_acts_are_those_of_the_parts(
    parts: dict[str, VectorRecommender], world: Dataset
) -> None:
    ensemble = ensemble_of(parts, world, 0.5)
    history, items = world.history(2), np.array([0, 3, 5], np.int32)

    shares = ensemble.contributions(history, items)

    als = parts["als"].contributions(history, items)
    two_tower = parts["two_tower"].contributions(history, items)
    assert shares is not None
    assert als is not None
    assert two_tower is not None
    of_als, of_two_tower = (parts[name].score_batch([history])[0].std() for name in ("als", "two_tower"))
    np.testing.assert_allclose(
        shares, 0.5 * als / of_als + 0.5 * two_tower / of_two_tower, rtol=1e-3, atol=1e-5
    )


def test_acts_and_interests_add_up_to_the_score(parts: dict[str, VectorRecommender], world: Dataset) -> None:
    ensemble = ensemble_of(parts, world, 0.4)
    history = replace(world.history(3), interests=("fintech", "robotics"))
    items = np.arange(40, dtype=np.int32)

    shares, interests = ensemble.contributions(history, items), ensemble.interest_share(history, items)

    assert shares is not None
    assert interests.any()
    np.testing.assert_allclose(
        shares.sum(axis=0) + interests, ensemble.score_items(history, items), rtol=1e-3, atol=1e-4
    )


def test_save_load_and_attach_change_nothing(
    parts: dict[str, VectorRecommender], world: Dataset, tmp_path: Path
) -> None:
    ensemble = ensemble_of(parts, world, 0.4)
    histories = [world.history(user) for user in range(5)]

    ensemble.save(tmp_path)
    loaded = EnsembleRecommender.load(tmp_path, asdict(ensemble.config))
    loaded.attach(parts)

    np.testing.assert_array_equal(loaded.score_batch(histories), ensemble.score_batch(histories))


def test_it_refuses_to_work_without_its_parts(parts: dict[str, VectorRecommender], world: Dataset) -> None:
    with pytest.raises(NotFittedError, match="attach als and two_tower"):
        EnsembleRecommender(EnsembleConfig.default()).fit(world)
    with pytest.raises(NotFittedError, match="ensemble needs two_tower"):
        EnsembleRecommender(EnsembleConfig.default()).attach({"als": parts["als"]})


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="als_share"):
        EnsembleConfig.default(als_share=1.1)


def test_covariance_in_blocks_is_that_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(2, 3, (1000, 6)).astype(np.float32)
    monkeypatch.setattr("recsys.recommenders.ensemble.ROWS_AT_ONCE", 64)

    np.testing.assert_allclose(covariance(vectors), np.cov(vectors.T, bias=True), rtol=1e-4)
