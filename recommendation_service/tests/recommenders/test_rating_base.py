"""What rating recommenders share: data that is checked, unknown sides told, a manifest that is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from recsys.config import SectionConfig
from recsys.datasets.ratings import RatingBatch, Ratings, load_ratings, save_ratings
from recsys.errors import ArtifactError, DataError, NotFittedError
from recsys.progress import ignore_progress
from recsys.recommenders.rating_base import RatingData, RatingRecommender, read_manifest
from recsys.types import Float32Array, Int32Array, ProgressCallback


@dataclass(frozen=True)
class MeanConfig(SectionConfig):
    section: ClassVar[str] = "mean"


class MeanRecommender(RatingRecommender):
    """The least there can be: the mean for everything."""

    name: ClassVar[str] = "mean"

    def __init__(self) -> None:
        self.config = MeanConfig()
        self.mean = 0.0

    def fit(
        self,
        data: RatingData,
        validation: Ratings | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Self:
        self.remember(data)
        self.mean = float(data.ratings.points.mean())
        return self

    def predict(self, user_index: Int32Array, item_index: Int32Array) -> Float32Array:
        return self.clip(np.full(len(user_index), self.mean, np.float32))

    def score_users(self, user_index: Int32Array) -> Float32Array:
        return np.full((len(user_index), self.n_items), self.mean, np.float32)

    def save(self, folder: Path) -> dict[str, Any]:
        return {**super().save(folder), "mean": self.mean}

    @classmethod
    def load(cls, folder: Path) -> Self:
        recommender, manifest = cls(), read_manifest(folder)
        recommender.recall(folder, manifest)
        recommender.mean = manifest["facts"]["mean"]
        return recommender


def ratings_of(rows: list[tuple[int, int, float]]) -> Ratings:
    users, items, points = zip(*rows, strict=True) if rows else ((), (), ())
    return Ratings(np.array(users, np.int32), np.array(items, np.int32), np.array(points, np.float32), None)


DATA = RatingData(ratings_of([(0, 0, 1.0), (0, 2, 5.0), (2, 0, 3.0)]), 3, 4, (1.0, 5.0))


def test_who_had_a_rating_is_known_and_nobody_else() -> None:
    recommender = MeanRecommender().fit(DATA)
    users = np.array([0, 2, 1, -1, 0, 0, 3], np.int32)
    items = np.array([0, 2, 0, 0, -1, 1, 0], np.int32)
    assert recommender.is_known(users, items).tolist() == [True, True, False, False, False, False, False]
    assert recommender.rests_on(users, items).tolist() == ["factors"] * 2 + ["biases"] * 5


def test_what_was_noted_survives_saving(tmp_path: Path) -> None:
    fitted = MeanRecommender().fit(DATA)
    manifest = {"recommender": "mean", "recipe": {}, "facts": fitted.save(tmp_path)}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    loaded = MeanRecommender.load(tmp_path)

    assert (loaded.n_users, loaded.n_items, loaded.range) == (3, 4, (1.0, 5.0))
    assert loaded.known_users.tolist() == [True, False, True]
    assert loaded.known_items.tolist() == [True, False, True, False]


def test_nothing_is_known_before_fitting(tmp_path: Path) -> None:
    nothing = np.zeros(1, np.int32)
    for ask in (lambda r: r.is_known(nothing, nothing), lambda r: r.save(tmp_path)):
        with pytest.raises(NotFittedError, match="mean is not fitted"):
            ask(MeanRecommender())


def test_points_are_clipped_to_the_range() -> None:
    recommender = MeanRecommender().fit(DATA)
    assert recommender.clip(np.array([-3.0, 2.5, 9.0], np.float32)).tolist() == [1.0, 2.5, 5.0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no ratings to learn from"),
        ([(3, 0, 1.0)], "The user indices do not fit 1 ratings of 3 users"),
        ([(0, -1, 1.0)], "The item indices do not fit"),
        (
            [(0, 0, 3.0), (1, 2, 5.5)],
            "outside 1 to 5 or are no number; the first, user 1 with item 2, is 5.5",
        ),
        ([(0, 0, np.nan)], "user 0 with item 0, is nan"),
        ([(1, 0, 3.0), (0, 1, 2.0), (1, 0, 4.0)], r"1 \(user, item\) pairs are rated twice"),
    ],
)
def test_ratings_that_cannot_be_learned_from_are_refused(
    rows: list[tuple[int, int, float]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        RatingData(ratings_of(rows), 3, 4, (1.0, 5.0))


def test_pairs_may_come_in_any_order() -> None:
    assert RatingData(ratings_of([(1, 0, 3.0), (0, 1, 2.0)]), 3, 4, (1.0, 5.0)).n_users == 3


@pytest.mark.parametrize(
    ("extras", "message"),
    [
        ({"range": (5.0, 1.0)}, "low end must be below"),
        ({"range": (1.0, np.inf)}, "low end must be below"),
        ({"user_features": pa.table({"age": [1, 2]})}, "user features have 2 rows for 3 users"),
        ({"item_features": pa.table({"year": [1, 2, 3]})}, "item features have 3 rows for 4 items"),
        ({"history": csr_matrix((4, 3))}, "history has shape"),
    ],
)
def test_what_does_not_fit_the_ratings_is_refused(extras: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        RatingData(**{"ratings": DATA.ratings, "n_users": 3, "n_items": 4, "range": (1.0, 5.0), **extras})


def test_a_folder_of_ratings_brings_its_range(tmp_path: Path) -> None:
    save_ratings([RatingBatch(["a", "b"], ["x", "y"], [2.0, 9.5])], tmp_path)
    data = RatingData.of_dataset(load_ratings(tmp_path))
    assert (data.n_users, data.n_items, data.range, len(data.ratings)) == (2, 2, (2.0, 9.5), 2)
    batch = RatingBatch(["a", "b"], ["x", "y"], [2.0, 9.5])
    save_ratings([batch], tmp_path, source={"scale": (1.0, 10.0)})
    assert RatingData.of_dataset(load_ratings(tmp_path)).range == (1.0, 10.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "train there first"),
        ("{", "is not JSON"),
        ("[]", "lacks a recipe"),
        ('{"recipe": {}}', "lacks a recipe"),
        ('{"recipe": {}, "facts": {"range": [5, 1]}}', "lacks a recipe"),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match=message):
        read_manifest(tmp_path)
