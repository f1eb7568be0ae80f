"""A scheduled training replaces what is served only when it is not worse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.artifacts.layout import served_version
from recsys.artifacts.publish import Trained
from recsys.datasets.id_map import IdMap
from recsys.datasets.synthetic.world import build_dataset, make_world
from recsys.datasets.user_items import Dataset
from recsys.recommenders.popularity import PopularityRecommender
from recsys.training.gate import check_lists
from recsys.training.pipeline import TrainingPlan, TrainingResult, train_and_publish
from recsys.types import Float32Array, History, Int32Array, Recommendation

NOW_S = 1.79e9
GOOD = {
    "als": {"factors": 16, "iterations": 8, "alpha": 4.0, "regularization": 0.1},
    "content": {"dimensions": 16},
    "two_tower": {"dimensions": 16, "epochs": 3, "batch_users": 64},
}
WORSE = {**GOOD, "als": {**GOOD["als"], "regularization": 1e4}}
WITHOUT_TWO_TOWER = ("popularity", "content", "als")


@pytest.fixture(scope="session")
def crowd() -> Dataset:
    """320 people with tastes of their own, 120 startups."""
    return build_dataset(make_world(320, 120, seed=5, now_s=NOW_S))


@pytest.fixture
def train(crowd: Dataset, tmp_path: Path) -> Callable[..., TrainingResult]:
    def run(dataset: Dataset = crowd, *, gated: bool = True, **changes: object) -> TrainingResult:
        plan = TrainingPlan.default(
            **{"overrides": GOOD, "recommenders": WITHOUT_TWO_TOWER, **changes}  # the two-tower is slow
        )
        return train_and_publish(dataset, tmp_path / "models", plan, logs_dir=tmp_path / "logs", gated=gated)

    return run


def shuffled(dataset: Dataset, seed: int = 0) -> Dataset:
    """The same people and startups with as many acts each, but who acted on what is drawn anew."""
    rng = np.random.default_rng(seed)
    matrix = dataset.user_items
    users = np.repeat(np.arange(dataset.n_users), np.diff(matrix.indptr))
    drawn = csr_matrix((matrix.data, (users, rng.permutation(matrix.indices))), matrix.shape)
    drawn.sum_duplicates()
    times = rng.uniform(NOW_S - 8e6, NOW_S, drawn.nnz)
    return replace(
        dataset,
        user_items=drawn,
        last_event_at=csr_matrix((times, drawn.indices, drawn.indptr), drawn.shape),
        event_types=None,
    )


def one_user(dataset: Dataset) -> Dataset:
    """Everything that the first user did."""
    rows = slice(0, 1)
    assert dataset.last_event_at is not None
    return replace(
        dataset,
        user_items=dataset.user_items[rows],
        last_event_at=dataset.last_event_at[rows],
        event_types=None,
        user_mapping=IdMap(dataset.user_mapping.ids[:1]),
    )


def served(tmp_path: Path) -> str:
    return served_version(tmp_path / "models")


def test_the_first_training_is_published_and_one_like_it_too_without_fitting_twice(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    train()
    again = train()

    assert again.version == served(tmp_path)
    assert again.verdict.accepted
    assert "als: same recipe as served, so it is not fitted twice." in again.verdict.notes
    names = [check.name for check in again.verdict.checks]
    assert names == [
        "people",
        "content covers the catalogue",
        "als covers the catalogue",
        "als beats popularity",
        "popularity is sound",
        "content is sound",
        "als is sound",
    ]
    assert json.loads(json.dumps(again.verdict.to_json()))["accepted"] is True


def test_a_worse_recipe_is_refused_by_name_with_numbers_and_the_served_release_stays(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    good = train().version

    refused = train(overrides=WORSE)

    assert refused.version == ""
    assert served(tmp_path) == good
    (fault,) = [fault for fault in refused.verdict.faults if "the served recipe on the same data" in fault]
    assert fault.startswith("als measures ndcg@10 0.")
    assert "so a loss of 5% cannot be ruled out" in fault
    (check,) = [check for check in refused.verdict.checks if check.name == "als is not worse"]
    assert check.facts["low"] < check.facts["mean"] < check.facts["high"] < 0
    assert check.facts["users"] >= 200


def test_what_was_refused_is_in_the_log_of_experiments(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    train()
    train(overrides=WORSE)

    lines = [json.loads(line) for line in (tmp_path / "logs" / "experiments.jsonl").read_text().splitlines()]
    refused = [line for line in lines if line.get("refused")]
    assert [line["recommender"] for line in refused] == list(WITHOUT_TWO_TOWER)
    assert refused[2]["parameters"]["regularization"] == 1e4


def test_a_better_recipe_replaces_the_served_one(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    train(overrides=WORSE)  # nothing was served

    better = train()

    assert better.version == served(tmp_path)
    (check,) = [check for check in better.verdict.checks if check.name == "als is not worse"]
    assert check.facts["low"] > 0


def test_a_larger_loss_can_be_allowed(train: Callable[..., TrainingResult], tmp_path: Path) -> None:
    little = {**GOOD, "als": {**GOOD["als"], "iterations": 1}}
    good = train().version

    assert train(overrides=little).version == ""
    assert served(tmp_path) == good
    assert train(overrides=little, max_ndcg_loss=0.9).version == served(tmp_path) != good


def test_a_person_publishes_what_is_worse_and_is_warned(
    train: Callable[..., TrainingResult], crowd: Dataset, tmp_path: Path
) -> None:
    train()

    worse = train(shuffled(crowd), gated=False)

    assert worse.version == served(tmp_path)
    assert any("als measures" in w and "the same list for everybody" in w for w in worse.warnings)


@pytest.mark.parametrize("seed", range(3))
def test_acts_drawn_at_random_are_refused_by_name(
    train: Callable[..., TrainingResult], crowd: Dataset, tmp_path: Path, seed: int
) -> None:
    good = train().version

    refused = train(shuffled(crowd, seed))

    assert refused.version == ""
    assert served(tmp_path) == good
    assert any(
        fault.startswith("als measures ndcg@10")
        and "not shown to be better than the same list for everybody" in fault
        for fault in refused.verdict.faults
    )


def test_one_users_acts_are_refused_before_anything_is_fitted(
    train: Callable[..., TrainingResult], crowd: Dataset, tmp_path: Path
) -> None:
    good = train().version

    refused = train(one_user(crowd))

    assert (refused.version, refused.evaluations) == ("", {})
    assert refused.verdict.faults[0].startswith("All interactions are of one user")
    assert served(tmp_path) == good


def test_one_users_acts_are_not_served_first_either_unless_a_person_says_so(
    train: Callable[..., TrainingResult], crowd: Dataset
) -> None:
    assert train(one_user(crowd)).version == ""

    published = train(one_user(crowd), gated=False)
    assert published.version
    assert any(warning.startswith("All interactions are of one user") for warning in published.warnings)


def test_what_is_served_and_wanted_must_be_trained(
    train: Callable[..., TrainingResult], crowd: Dataset, tmp_path: Path
) -> None:
    good = train().version

    refused = train(replace(crowd, catalogue=None))

    assert refused.version == ""
    assert refused.verdict.faults == [
        "content is served but could not be trained on this dataset, and would no longer be served; the "
        "warnings say why."
    ]
    assert any("catalogue.parquet" in warning for warning in refused.warnings)
    assert served(tmp_path) == good


def test_few_test_users_are_judged_beside_popularity_alone_and_it_is_said(
    train: Callable[..., TrainingResult], world: Dataset, tmp_path: Path
) -> None:
    """Sixty people: too few to compare recipes, enough to tell taste from noise in this world."""
    small = {"als": {"factors": 4, "iterations": 5}, "content": {"dimensions": 4}}
    train(world, overrides=small)

    result = train(world, overrides={**small, "als": {"factors": 5, "iterations": 5}})

    assert result.version == served(tmp_path)
    assert any("too few to compare recipes" in note for note in result.verdict.notes)
    assert "als is not worse" not in {check.name for check in result.verdict.checks}
    assert "als beats popularity" in {check.name for check in result.verdict.checks}
    assert train(shuffled(world), overrides=small).version == ""


def test_where_als_was_no_better_than_popularity_before_it_may_be_so_again(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    """A hundred people in a world in which sixty startups are shown to all of them."""
    few = build_dataset(make_world(100, 60, seed=5, now_s=NOW_S))
    train(few)

    result = train(few)

    assert result.version == served(tmp_path)
    assert any("Nor was the served release when it was made" in note for note in result.verdict.notes)


def test_a_served_release_deleted_by_hand_is_replaced(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    good = train().version
    shutil.rmtree(tmp_path / "models" / "releases" / good)

    assert train(overrides=WORSE).version == served(tmp_path) != good


def test_where_it_was_deleted_the_newest_kept_release_speaks_for_it(
    train: Callable[..., TrainingResult], crowd: Dataset, tmp_path: Path
) -> None:
    train()
    shutil.rmtree(tmp_path / "models" / "releases" / train().version)

    assert train(one_user(crowd)).version == ""
    assert train(shuffled(crowd)).version == ""
    assert train().version == served(tmp_path)


def test_a_served_recipe_that_this_code_cannot_follow_is_said(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    version = train().version
    path = tmp_path / "models" / "releases" / version / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["recommenders"]["als"]["recipe"]["gone"] = 1
    path.chmod(0o644)
    path.write_text(json.dumps(manifest))

    result = train()

    assert result.version == served(tmp_path)
    assert any("als: the served recipe cannot be fitted any more" in note for note in result.verdict.notes)


def test_the_served_recipe_is_fitted_with_the_text_start_it_was_served_with(
    train: Callable[..., TrainingResult], crowd: Dataset, tmp_path: Path
) -> None:
    vectors = np.random.default_rng(0).normal(size=(crowd.n_items, 20)).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "v.ids.json").write_text(json.dumps(crowd.item_mapping.ids))
    from_texts = {**GOOD, "text_start": {"vectors": str(tmp_path / "v.npy"), "length": 0.5}}
    same, fitted_anew = "als: same recipe as served, so it is not fitted twice.", "als is not worse"
    train(overrides=from_texts)

    again, plain = train(overrides=from_texts), train()
    train(overrides=from_texts)
    (tmp_path / "v.npy").unlink()
    without_its_vectors = train()

    assert same in again.verdict.notes
    assert same not in plain.verdict.notes
    assert fitted_anew in {check.name for check in plain.verdict.checks}
    assert any("cannot be fitted any more" in n and "v.npy" in n for n in without_its_vectors.verdict.notes)
    assert same in train().verdict.notes


def test_the_ensemble_and_its_parts_are_judged_each(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    everything = {"recommenders": ("popularity", "als", "two_tower", "ensemble")}
    train(**everything)

    other_als = {**GOOD, "als": {**GOOD["als"], "factors": 24}}
    result = train(**everything, overrides=other_als, max_ndcg_loss=0.5)

    judged = {check.name for check in result.verdict.checks}
    assert {"als is not worse", "ensemble is not worse"} <= judged
    assert "two_tower is not worse" not in judged  # nothing about it changed
    assert set(result.learning_curves) == {"two_tower"}
    assert set(result.learning_curves["two_tower"][0]) == {"epoch", "loss", "ndcg", "seconds"}


class ForgetsWhatToLeaveOut(PopularityRecommender):
    """Offers everything, whatever it is told to leave out."""

    def recommend_batch(
        self, histories: Sequence[History], limit: int, *, exclude: Sequence[Int32Array] | None = None
    ) -> list[Recommendation]:
        return super().recommend_batch(histories, limit)


class HasLostItsScores(PopularityRecommender):
    """Scores that are no numbers."""

    def score_batch(self, histories: Sequence[History]) -> Float32Array:
        return super().score_batch(histories) * np.float32(np.nan)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (ForgetsWhatToLeaveOut, "to somebody who dislikes them"),
        (HasLostItsScores, "scores that are not finite"),
    ],
)
def test_lists_with_a_dislike_or_without_numbers_are_not_sound(
    world: Dataset, broken: type[PopularityRecommender], says: str
) -> None:
    def verdict_on(kind: type[PopularityRecommender]) -> list[str]:
        one = Trained(kind().fit(world), {}, 0.0, 0.0)
        return check_lists([one], world, k=40).faults

    assert verdict_on(PopularityRecommender) == []
    (fault,) = verdict_on(broken)
    assert says in fault
