from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from inference_als import ALSInference
from recsys.artifacts.layout import DOCUMENTED_FILES
from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError, InvalidRequestError, NotFoundError
from recsys.recommenders.als import ALSRecommender


@pytest.fixture
def five_files(models_dir: Path, tmp_path: Path) -> Path:
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in DOCUMENTED_FILES:
        shutil.copy(models_dir / name, alone / name)
    return alone


def test_it_answers_als_with_the_services_dictionary(models_dir: Path, world: Dataset) -> None:
    answer = ALSInference(models_dir / "als_v1.pkl").recommend(user_id="u03", limit=5)

    assert answer["method_used"] == "als"
    assert answer["user_id"] == "u03"
    assert answer["interaction_count"] == len(world.history(3).item_indices)
    assert answer["degraded"] is None
    assert [startup["rank"] for startup in answer["startups"]] == [1, 2, 3, 4, 5]
    assert set(answer["startups"][0]) == {"id", "rank", "score", "source", "reason"}
    acted_on = {world.item_mapping.ids[item] for item in world.history(3).item_indices}
    assert not acted_on & {startup["id"] for startup in answer["startups"]}


def test_a_path_inside_a_kept_release_is_that_release(models_dir: Path) -> None:
    kept = next((models_dir / "releases").iterdir())

    answer = ALSInference(str(kept / "als_v1.pkl")).recommend("u03")

    assert answer["model_version"] == kept.name


def test_the_five_files_alone_answer_and_admit_what_they_lack(five_files: Path) -> None:
    answer = ALSInference(five_files / "als_v1.pkl").recommend("u03")

    assert answer["method_used"] == "als"
    assert len(answer["startups"]) == 10
    assert "without a release manifest" in answer["degraded"]


def test_the_five_files_alone_rank_by_the_trained_factors(five_files: Path, world: Dataset) -> None:
    user = world.user_mapping.get("u03")
    scores = (
        np.load(five_files / "als_v1_item_factors.npy")
        @ np.load(five_files / "als_v1_user_factors.npy")[user]
    )

    answer = ALSInference(five_files / "als_v1.pkl").recommend("u03", limit=3)

    best = np.argsort(-scores, kind="stable")[:3]
    assert [startup["id"] for startup in answer["startups"]] == [
        world.item_mapping.ids[item] for item in best
    ]


def test_a_user_the_training_never_saw_is_named(models_dir: Path) -> None:
    with pytest.raises(NotFoundError, match="somebody was not in the training"):
        ALSInference(models_dir / "als_v1.pkl").recommend("somebody")


def test_a_limit_out_of_range_is_refused(models_dir: Path) -> None:
    with pytest.raises(InvalidRequestError, match="1 to 100"):
        ALSInference(models_dir / "als_v1.pkl").recommend("u03", limit=101)


def test_a_missing_file_is_a_model_loading_failure(five_files: Path) -> None:
    (five_files / "als_v1_user_factors.npy").unlink()

    with pytest.raises(ArtifactError, match=r"Model loading failed: .*als_v1_user_factors\.npy"):
        ALSInference(five_files / "als_v1.pkl")


def test_a_folder_is_a_path_too(models_dir: Path) -> None:
    assert ALSInference(models_dir).recommend("u03", limit=1)["method_used"] == "als"


def test_where_als_cannot_tell_what_is_popular_is_given_and_named(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ALSRecommender, "why_not", lambda *_: "no positive act")
    answer = ALSInference(models_dir).recommend("u03")
    assert answer["method_used"] == "popularity"
    assert answer["degraded"] == "no positive act"
    assert not any("taste" in startup["reason"] for startup in answer["startups"])
