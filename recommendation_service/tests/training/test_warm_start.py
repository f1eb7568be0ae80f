"""A training from the served factors: what it takes, what it measures, and when it begins anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.artifacts.layout import current_release_dir
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.text_start import TextStartConfig, make_start
from recsys.training.pipeline import TrainingPlan, TrainingResult, train_and_publish
from recsys.training.warm_start import warm_start
from recsys.types import ProgressReport

ALS: dict[str, object] = {
    "factors": 4,
    "iterations": 12,
    "warm_iterations": 2,
    "alpha": 10.0,
    "regularization": 0.1,
}


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., TrainingResult]:
    def run(
        dataset: Dataset,
        *,
        warm: bool,
        progress: Any = lambda report: None,
        texts: dict[str, object] | None = None,
        **als: object,
    ) -> TrainingResult:
        overrides = {"als": {**ALS, **als}, "text_start": texts or {}}
        plan = TrainingPlan.default(recommenders=("popularity", "als"), overrides=overrides, warm_start=warm)
        return train_and_publish(
            dataset, tmp_path / "models", plan, logs_dir=tmp_path / "logs", progress=progress
        )

    return run


@pytest.fixture
def grown(world: Dataset) -> Dataset:
    """The world with one user and one startup more, who act and are acted on."""
    matrix = world.user_items.tolil()
    matrix.resize((world.n_users + 1, world.n_items + 1))
    matrix[world.n_users, [0, 2, 4, world.n_items]] = 2.0
    matrix[[0, 2], world.n_items] = 3.5
    cells = csr_matrix(matrix, dtype=np.float32)
    cells.sort_indices()
    users, items = (*world.user_mapping.ids, "u-new"), (*world.item_mapping.ids, "s-new")
    return replace(
        world, user_items=cells, user_mapping=IdMap(users), item_mapping=IdMap(items), last_event_at=None
    )


def facts_of(tmp_path: Path) -> dict[str, Any]:
    folder = current_release_dir(tmp_path / "models")
    assert folder is not None
    entry: dict[str, Any] = json.loads((folder / "manifest.json").read_text())["recommenders"]["als"]
    return entry


def test_it_starts_from_the_served_factors_and_says_so_in_the_manifest(
    train: Callable[..., TrainingResult], world: Dataset, grown: Dataset, tmp_path: Path
) -> None:
    served = train(world, warm=False)

    result = train(grown, warm=True)

    entry = facts_of(tmp_path)
    assert entry["facts"]["start"] == {
        "release": served.version,
        "iterations": 2,
        "users_kept": world.n_users,
        "users_folded_in": 1,
        "items_kept": world.n_items,
        "items_folded_in": 1,
    }
    assert entry["recipe"]["iterations"] == 12  # the recipe is the same; how it was reached is a fact
    assert any(
        f"als starts from release {served.version}, 2 iterations" in note for note in result.verdict.notes
    )
    assert not any("random factors" in warning for warning in result.warnings)


def test_what_is_measured_has_not_seen_the_test_part(
    train: Callable[..., TrainingResult], world: Dataset
) -> None:
    """The served factors have seen it, so the fit that is measured starts without them."""
    first = train(world, warm=False)

    again = train(world, warm=True)

    assert again.evaluations["als"].metrics == first.evaluations["als"].metrics


def test_the_fit_that_is_published_runs_the_few_iterations(
    train: Callable[..., TrainingResult], world: Dataset
) -> None:
    train(world, warm=False)
    told: list[ProgressReport] = []

    train(world, warm=True, progress=told.append)

    def iterations(stage: str) -> list[float]:
        return [r.facts["iteration"] for r in told if r.stage == stage and "iteration" in r.facts]

    assert iterations("fitting als to measure it") == list(range(1, 13))
    assert iterations("fitting als") == [1, 2]


def test_with_nothing_served_it_begins_anew_and_nobody_is_warned(
    train: Callable[..., TrainingResult], world: Dataset, tmp_path: Path
) -> None:
    result = train(world, warm=True)

    assert "start" not in facts_of(tmp_path)["facts"]
    assert "als starts at random factors: no release is served yet." in result.verdict.notes
    assert not any("starts at random" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"factors": 5}, "factors 4, not 5"),
        ({"engine": "irspack", "alpha": 3.0}, "engine implicit, not irspack, alpha 10.0, not 3.0"),
    ],
)
def test_another_recipe_begins_anew_with_a_warning_that_says_why(
    train: Callable[..., TrainingResult],
    world: Dataset,
    tmp_path: Path,
    changed: dict[str, object],
    said: str,
) -> None:
    train(world, warm=False)

    result = train(world, warm=True, **changed)

    assert any(
        warning.startswith("als starts at random factors") and said in warning for warning in result.warnings
    )
    assert "start" not in facts_of(tmp_path)["facts"]


NEAR: dict[str, object] = {"vectors": "tfidf", "keep_near": True}


def test_items_are_kept_near_their_texts_from_the_served_factors_too(
    train: Callable[..., TrainingResult], world: Dataset, tmp_path: Path
) -> None:
    served = train(world, warm=False, texts=NEAR, engine="irspack")
    config = ALSConfig.default(**ALS, engine="irspack")
    texts = make_start(world, config, TextStartConfig.default(**NEAR))
    warm = warm_start(tmp_path / "models", world, config, texts).start
    assert warm is not None
    kept, left = ALSRecommender(config), ALSRecommender(config)
    kept.start_from(warm)
    left.start_from(replace(warm, features=None))

    result = train(world, warm=True, texts=NEAR, engine="irspack")

    folder = current_release_dir(tmp_path / "models")
    assert folder is not None
    published = np.load(folder / "als_v1_item_factors.npy")
    np.testing.assert_allclose(
        published, kept.fit(world).item_factors, atol=1e-5
    )  # threads add up in any order
    assert not np.allclose(published, left.fit(world).item_factors, atol=1e-4)
    facts = facts_of(tmp_path)["facts"]
    assert facts["start"]["release"] == served.version
    assert facts["start"]["vectors"] == "tfidf"
    assert facts["text_start"]["near_ridge"] == 1.0
    assert not result.warnings


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({}, NEAR, "items not kept near texts, not near_ridge 1.0"),
        (NEAR, {}, "near_ridge 1.0, not items not kept near texts"),
        (NEAR, {**NEAR, "near_ridge": 2.0}, "near_ridge 1.0, not near_ridge 2.0"),
    ],
)
def test_items_kept_near_texts_otherwise_begin_anew(
    train: Callable[..., TrainingResult],
    world: Dataset,
    before: dict[str, object],
    now: dict[str, object],
    said: str,
) -> None:
    train(world, warm=False, texts=before, engine="irspack")

    result = train(world, warm=True, texts=now, engine="irspack")

    assert any(said in warning for warning in result.warnings)


def test_a_damaged_release_is_no_start_and_the_training_mends_it(
    train: Callable[..., TrainingResult], world: Dataset, tmp_path: Path
) -> None:
    train(world, warm=False)
    folder = current_release_dir(tmp_path / "models")
    assert folder is not None
    damaged = folder / "als_v1_item_factors.npy"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.chmod(0o644)
    damaged.write_bytes(content)

    result = train(world, warm=True)

    assert any("cannot be read" in warning for warning in result.warnings)
    assert result.version
    assert "start" not in facts_of(tmp_path)["facts"]


def test_a_release_of_other_startups_alone_is_no_start(
    train: Callable[..., TrainingResult], world: Dataset
) -> None:
    train(world, warm=False)
    others = replace(
        world, item_mapping=IdMap(f"other-{index}" for index in range(world.n_items)), catalogue=None
    )

    result = train(others, warm=True)

    assert any("knows none of the" in warning for warning in result.warnings)
