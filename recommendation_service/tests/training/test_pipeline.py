from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.artifacts.manifest import Manifest
from recsys.artifacts.release import open_current
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset, save_dataset
from recsys.errors import DataError
from recsys.recommenders.ensemble import EnsembleRecommender
from recsys.training.pipeline import TrainingPlan, TrainingResult, train_and_publish
from recsys.types import ProgressReport

SMALL = {
    "als": {"factors": 4, "iterations": 5},
    "content": {"dimensions": 4},
    "two_tower": {"dimensions": 4, "epochs": 2},
}


@pytest.fixture
def train(world: Dataset, tmp_path: Path) -> Callable[..., TrainingResult]:
    def run(dataset: Dataset = world, **changes: object) -> TrainingResult:
        progress = changes.pop("progress", lambda report: None)
        plan = TrainingPlan.default(**{"overrides": SMALL, **changes})
        return train_and_publish(
            dataset, tmp_path / "models", plan, logs_dir=tmp_path / "logs", progress=progress
        )

    return run


def served_manifest(tmp_path: Path) -> Manifest:
    manifest = open_current(tmp_path / "models").manifest
    assert manifest is not None
    return manifest


def test_what_was_measured_stands_in_the_manifest(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    result = train()

    manifest = served_manifest(tmp_path)
    assert manifest.version == result.version
    als = manifest.recommenders["als"]
    assert als.recipe["factors"] == 4
    assert als.metrics["metrics"]["ndcg@10"]["mean"] == pytest.approx(
        result.evaluations["als"].metrics["ndcg@10"]["mean"]
    )
    assert "global time cut" in als.metrics["protocol"]
    assert (
        als.metrics["baseline"]["ndcg@10"]
        == manifest.recommenders["popularity"].metrics["metrics"]["ndcg@10"]
    )
    assert als.score_range["std"] > 0
    assert {"recall@20", "recall@50"} <= set(als.metrics["other_cutoffs"]["metrics"])
    assert {"coverage@10", "novelty@20", "popularity_bias@50"} <= set(als.metrics["lists"])
    assert set(als.metrics["by_item_popularity"]) == {"head", "mid", "tail"}
    better = als.metrics["improvement_over_popularity_percent"]["ndcg@20"]
    assert better["low"] <= better["mean"] <= better["high"]


def test_the_published_model_is_refit_on_all_acts(
    train: Callable[..., TrainingResult], world: Dataset, tmp_path: Path
) -> None:
    train()

    popularity = open_current(tmp_path / "models").recommenders["popularity"]
    acted_on = np.flatnonzero(np.bincount(world.positive.indices, minlength=world.n_items))
    assert (popularity.score_batch([world.history(0)])[0][acted_on] > 0).all()


def test_als_beats_popularity_where_taste_decides(train: Callable[..., TrainingResult]) -> None:
    evaluations = train().evaluations

    lift = evaluations["als"].lift_over(evaluations["popularity"], "ndcg@10")
    assert lift["low"] > 0


def test_every_run_is_a_line_of_the_experiments_log(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    result = train()

    lines = [json.loads(line) for line in (tmp_path / "logs" / "experiments.jsonl").read_text().splitlines()]
    assert [line["recommender"] for line in lines] == [
        "popularity",
        "content",
        "als",
        "two_tower",
        "ensemble",
    ]
    assert {line["release"] for line in lines} == {result.version}


def test_a_run_that_cannot_be_recorded_is_published_with_a_warning(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    (tmp_path / "logs" / "experiments.jsonl").mkdir(parents=True)

    result = train()

    (warning,) = [warning for warning in result.warnings if "not recorded" in warning]
    assert "experiments.jsonl cannot be written (Is a directory)" in warning
    assert open_current(tmp_path / "models").version == result.version


def test_progress_rises_to_one_and_names_the_stages(train: Callable[..., TrainingResult]) -> None:
    reports: list[ProgressReport] = []

    train(progress=reports.append)

    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    assert "publishing" in {report.stage for report in reports}


def test_without_a_catalogue_content_is_left_out_and_said(
    train: Callable[..., TrainingResult], world: Dataset, tmp_path: Path
) -> None:
    result = train(replace(world, catalogue=None))

    assert "content" not in open_current(tmp_path / "models").recommenders
    assert "catalogue.parquet" in result.warnings[0]


def test_without_times_the_split_is_at_random_and_says_so(
    train: Callable[..., TrainingResult], world: Dataset
) -> None:
    result = train(replace(world, last_event_at=None))

    assert "at random" in result.evaluations["als"].protocol


def test_a_test_split_of_zero_measures_nothing_and_publishes(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    result = train(test_split=0)

    assert result.evaluations == {}
    assert served_manifest(tmp_path).version == result.version


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[0.0, 0.0]], "No interactions found"),
        ([[2.0]], "collect more interactions"),
        ([[-1.0, -1.0], [-1.0, 0.0]], "dislikes"),
        ([[np.nan, 1.0]], "not a finite number"),
    ],
)
def test_data_nothing_can_be_learned_from_is_refused_and_the_served_release_stays(
    train: Callable[..., TrainingResult], tmp_path: Path, weights: list[list[float]], message: str
) -> None:
    served = train().version
    matrix = csr_matrix(np.array(weights, np.float32))
    hopeless = Dataset(matrix, IdMap("abcdef"[: matrix.shape[0]]), IdMap("uvwxyz"[: matrix.shape[1]]))

    with pytest.raises(DataError, match=message):
        train(hopeless)

    assert served_manifest(tmp_path).version == served


def test_a_release_that_measures_worse_is_published_with_a_warning(
    train: Callable[..., TrainingResult], world: Dataset
) -> None:
    train()

    worse = train(overrides={"als": {"factors": 4, "iterations": 1, "regularization": 1e6}})

    assert any(warning.startswith("als measures worse") for warning in worse.warnings)


def test_a_recommender_of_another_dataset_that_is_dropped_is_named(
    train: Callable[..., TrainingResult], world: Dataset
) -> None:
    train()

    result = train(replace(world, user_items=world.user_items * 2), recommenders=["popularity"], test_split=0)

    assert [warning.split(":")[0] for warning in result.warnings] == [
        "als is no longer served",
        "content is no longer served",
        "ensemble is no longer served",
        "two_tower is no longer served",
    ]


def test_epochs_and_blend_are_chosen_on_a_validation_part_and_told(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    train()

    entries = served_manifest(tmp_path).recommenders
    two_tower, ensemble = entries["two_tower"], entries["ensemble"]
    curve = two_tower.facts["chosen"]["learning_curve"]
    assert [point["epoch"] for point in curve] == [1, 2]
    assert two_tower.recipe["epochs"] == max(curve, key=lambda point: point["ndcg"])["epoch"]
    tried = ensemble.facts["chosen"]["ndcg@10_by_als_share"]
    assert str(ensemble.recipe["als_share"]) == max(tried, key=tried.__getitem__)
    assert "global time cut" in ensemble.facts["chosen"]["validation"]


def test_a_blend_that_was_given_is_kept(train: Callable[..., TrainingResult], tmp_path: Path) -> None:
    train(overrides={**SMALL, "ensemble": {"als_share": 0.77}})

    assert served_manifest(tmp_path).recommenders["ensemble"].recipe["als_share"] == 0.77


def test_the_ensemble_is_put_together_anew_when_one_part_is_trained_alone(
    train: Callable[..., TrainingResult], world: Dataset, tmp_path: Path
) -> None:
    train()
    before = open_current(tmp_path / "models")

    result = train(recommenders=["als"], overrides={"als": {"factors": 3, "iterations": 5}})

    after = open_current(tmp_path / "models")
    assert set(after.recommenders) == set(before.recommenders)
    assert any("put together from what is new and what is served" in w for w in result.warnings)
    ensemble = after.recommenders["ensemble"]
    assert isinstance(ensemble, EnsembleRecommender)
    assert ensemble.als is after.recommenders["als"]
    assert ensemble.config == before.recommenders["ensemble"].config
    assert ensemble.item_vectors().shape[1] == 3 + 4


def test_where_nobody_has_two_acts_the_others_are_trained_and_it_is_said(
    train: Callable[..., TrainingResult], world: Dataset, tmp_path: Path
) -> None:
    one_each = replace(
        world,
        user_items=csr_matrix(np.eye(6, dtype=np.float32)),
        user_mapping=IdMap(f"u{user}" for user in range(6)),
        item_mapping=IdMap(world.item_mapping.ids[:6]),
        last_event_at=None,
        event_types=None,
    )

    result = train(one_each, test_split=0)

    assert set(open_current(tmp_path / "models").recommenders) == {"popularity", "content", "als"}
    assert any(w.startswith("two_tower is not trained: nobody has two positive") for w in result.warnings)
    assert any(w.startswith("ensemble is not trained: two_tower is not") for w in result.warnings)


def test_data_too_small_for_a_validation_part_is_trained_as_configured(
    train: Callable[..., TrainingResult], world: Dataset
) -> None:
    few = replace(
        world,
        user_items=csr_matrix(np.array([[2.0, 0.0], [2.0, 2.0]], np.float32)),
        user_mapping=IdMap(["a", "b"]),
        item_mapping=IdMap(["s00", "s01"]),
        last_event_at=None,
    )

    result = train(few, test_split=0, validation_split=0.01)

    assert any("as configured, not chosen on a validation part" in warning for warning in result.warnings)


def test_als_is_stopped_early_where_patience_asks_for_it(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    train(
        recommenders=("popularity", "als"),
        overrides={"als": {"factors": 4, "iterations": 40, "check_every": 1, "patience": 2}},
    )

    als = served_manifest(tmp_path).recommenders["als"]
    curve = als.facts["chosen"]["learning_curve"]
    best = max(curve, key=lambda point: point["ndcg"])
    assert als.recipe["iterations"] == best["iteration"] == len(curve) - 2
    assert set(curve[0]) == {"iteration", "ndcg", "seconds"}


def test_iterations_are_chosen_for_the_start_that_will_be_used(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    curves = []
    for vectors in ("none", "tfidf"):
        als = {"factors": 4, "iterations": 4, "check_every": 1, "patience": 4}
        train(
            recommenders=("popularity", "als"),
            overrides={"als": als, "text_start": {"vectors": vectors, "freeze_items_first": True}},
        )
        chosen = served_manifest(tmp_path).recommenders["als"].facts["chosen"]
        curves.append([point["ndcg"] for point in chosen["learning_curve"]])

    assert curves[0][0] != curves[1][0]


@pytest.mark.parametrize("while_a_kernel_is_loaded", [False, True])
def test_ctrl_c_keeps_a_checkpoint_says_how_to_go_on_and_the_next_training_does(
    train: Callable[..., TrainingResult], tmp_path: Path, while_a_kernel_is_loaded: bool
) -> None:
    def stop(report: ProgressReport) -> None:
        if report.stage == "fitting als" and report.facts.get("iteration") == 4:
            if while_a_kernel_is_loaded:  # numba's way
                raise SystemError from KeyboardInterrupt()
            raise KeyboardInterrupt

    plan = {
        "recommenders": ("popularity", "als"),
        "overrides": {"als": {"factors": 4, "iterations": 6, "checkpoint_every": 3}},
    }
    with pytest.raises(KeyboardInterrupt) as stopped:
        train(progress=stop, **plan)
    assert any("kept up to iteration 3 in" in note for note in stopped.value.__notes__)

    told: list[ProgressReport] = []
    train(progress=told.append, **plan)

    def iterations(stage: str) -> list[float]:
        return [r.facts["iteration"] for r in told if r.stage == stage and "iteration" in r.facts]

    assert iterations("fitting als to measure it") == []  # it was finished
    assert iterations("fitting als") == [4, 5, 6]
    assert not (tmp_path / "models" / "checkpoints").exists()


def test_ctrl_c_keeps_bpr_too_and_the_next_training_publishes_what_one_without_would(
    train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    """Stopped while it chooses the epochs, and again while it fits what is published."""
    plan = {
        "recommenders": ("popularity", "two_tower", "bpr"),
        "overrides": {
            "bpr": {"factors": 4, "epochs": 12, "check_every": 3, "checkpoint_every": 2},
            "two_tower": SMALL["two_tower"],
        },
    }
    told: list[str] = []
    train(progress=lambda report: told.append(report.stage), **plan)
    whole = served_manifest(tmp_path).recommenders["bpr"]
    factors = open_current(tmp_path / "models").recommenders["bpr"].item_vectors().copy()

    def stop_at(report_of_stage: str, number: int) -> Callable[[ProgressReport], None]:
        seen: list[str] = []

        def stop(report: ProgressReport) -> None:
            seen.append(report.stage)
            if seen.count(report_of_stage) == number:
                raise KeyboardInterrupt

        return stop

    for stage in ("choosing on a validation part", "fitting bpr"):
        with pytest.raises(KeyboardInterrupt) as stopped:
            train(progress=stop_at(stage, told.count(stage)), **plan)
        (note,) = stopped.value.__notes__
        assert "bpr is kept up to epoch" in note
        assert note.endswith("two_tower would start over.")
    again: list[str] = []
    train(progress=lambda report: again.append(report.stage), **plan)

    assert again.count("fitting bpr to measure it") < told.count("fitting bpr to measure it")
    assert again.count("choosing on a validation part") < told.count("choosing on a validation part")
    assert served_manifest(tmp_path).recommenders["bpr"].recipe == whole.recipe
    resumed = open_current(tmp_path / "models").recommenders["bpr"].item_vectors()
    assert resumed.tobytes() == factors.tobytes()
    assert not (tmp_path / "models" / "checkpoints").exists()


def test_a_training_killed_outright_goes_on_too(world: Dataset, tmp_path: Path) -> None:
    save_dataset(world, tmp_path / "data")
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from recsys.datasets.user_items import load_dataset\n"
        "from recsys.training.pipeline import TrainingPlan, train_and_publish\n"
        "def tell(report):\n"
        "    iteration = report.facts.get('iteration')\n"
        "    if iteration: print(report.stage, int(iteration), flush=True)\n"
        "    if iteration == 5 and sys.argv[2] == 'kill': os.kill(os.getpid(), signal.SIGKILL)\n"
        "folder = Path(sys.argv[1])\n"
        "plan = TrainingPlan.default(recommenders=('popularity', 'als'), test_split=0.0,\n"
        "    overrides={'als': {'factors': 4, 'iterations': 6, 'checkpoint_every': 2}})\n"
        "train_and_publish(load_dataset(folder / 'data'), folder / 'models', plan,\n"
        "    logs_dir=folder / 'logs', progress=tell)\n"
    )

    def run(how: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, str(tmp_path), how],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert run("kill").returncode == -signal.SIGKILL
    resumed = run("go on")

    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.split("\n")[:-1] == ["fitting als 5", "fitting als 6"]
    assert served_manifest(tmp_path).recommenders["als"].recipe["iterations"] == 6
