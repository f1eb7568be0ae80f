"""The folder of a rating recommender: complete, checked when it is read, and never half written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recsys.artifacts.rating_artifact import load_rating_artifact, save_rating_artifact
from recsys.datasets.id_map import IdMap
from recsys.datasets.ratings import Ratings
from recsys.errors import ArtifactError
from recsys.recommenders.rating_base import RatingData
from recsys.recommenders.svd import SVDConfig, SVDRecommender

N_USERS, N_ITEMS = 12, 9


@pytest.fixture
def ratings() -> Ratings:
    users, items = np.nonzero(np.random.default_rng(0).random((N_USERS, N_ITEMS)) < 0.5)
    points = ((users + items) % 5 + 1).astype(np.float32)
    return Ratings(users.astype(np.int32), items.astype(np.int32), points, None)


@pytest.fixture
def saved(tmp_path: Path, ratings: Ratings) -> Path:
    fitted = SVDRecommender(SVDConfig.default(factors=3)).fit(
        RatingData(ratings, N_USERS, N_ITEMS, (1.0, 5.0))
    )
    save_rating_artifact(
        fitted,
        tmp_path / "films",
        learned_from=ratings,
        user_mapping=IdMap(f"u{u}" for u in range(N_USERS)),
        item_mapping=IdMap(f"i{i}" for i in range(N_ITEMS)),
        item_names=tuple(f"Film {i}" for i in range(N_ITEMS)),
        about={"category": "films"},
    )
    return tmp_path / "films"


def test_a_folder_answers_by_itself(saved: Path, ratings: Ratings) -> None:
    artifact = load_rating_artifact(saved, "svd")

    fitted = SVDRecommender(SVDConfig.default(factors=3)).fit(
        RatingData(ratings, N_USERS, N_ITEMS, (1.0, 5.0))
    )
    users = np.arange(N_USERS, dtype=np.int32)
    np.testing.assert_array_equal(artifact.recommender.score_users(users), fitted.score_users(users))
    assert artifact.user_mapping.ids[3] == "u3"
    assert artifact.item_names is not None
    assert artifact.item_names[2] == "Film 2"
    for user in range(N_USERS):
        assert artifact.rated_by(user).tolist() == ratings.item_index[ratings.user_index == user].tolist()
    assert artifact.manifest["category"] == "films"
    assert {"recommender", "recipe", "code_version", "libraries", "files"} <= set(artifact.manifest)
    assert all(path.suffix in (".npy", ".json") for path in saved.iterdir())


def test_another_recommenders_folder_is_refused(saved: Path) -> None:
    with pytest.raises(ArtifactError, match="holds a svd, not a mf"):
        load_rating_artifact(saved, "mf")


@pytest.mark.parametrize(
    "name", ["user_factors.npy", "item_mapping.json", "rated_points.npy", "item_names.json"]
)
def test_a_flipped_bit_and_a_missing_file_are_found(saved: Path, name: str) -> None:
    whole = bytearray((saved / name).read_bytes())
    whole[-1] ^= 1
    (saved / name).write_bytes(whole)
    with pytest.raises(ArtifactError, match=f"{name} is not the file its manifest was written for"):
        load_rating_artifact(saved)
    (saved / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        load_rating_artifact(saved)


def test_a_manifest_without_files_is_refused(saved: Path) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    del manifest["files"]
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="not name -> facts"):
        load_rating_artifact(saved)


def test_a_failure_while_writing_leaves_what_was_there(saved: Path, ratings: Ratings) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    fitted = load_rating_artifact(saved).recommender
    too_few = IdMap(["a"])
    with pytest.raises(TypeError):
        save_rating_artifact(
            fitted,
            saved,
            learned_from=ratings,
            user_mapping=too_few,
            item_mapping=too_few,
            about={"category": object()},
        )
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
