"""Ratings and their texts as signed confidences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.comment_quality import comment_quality
from recsys.datasets.ratings import RatingBatch, load_ratings, save_ratings
from recsys.datasets.reviews import load_reviews, rescale, signed_confidence
from recsys.datasets.user_items import Dataset
from recsys.errors import DataError

PRAISE = "sturdy zip, soft fabric, the colour matches the photo"


def reviews_of(folder: Path, *batches: RatingBatch, catalogue: Catalogue | None = None) -> Dataset:
    save_ratings(batches, folder, catalogue=catalogue)
    return load_reviews(folder)


def test_a_cell_is_rating_plus_what_its_text_tells_signed_by_the_rating(tmp_path: Path) -> None:
    dataset = reviews_of(
        tmp_path,
        RatingBatch(["ann", "ann"], ["bag", "cup"], [5.0, 2.0], [10.0, 20.0], [PRAISE, "broke in a day"]),
        RatingBatch(["bob"], ["cup"], [5.0], [30.0], [""]),
    )

    told, complaint = comment_quality(PRAISE), comment_quality("broke in a day")
    expected = [[5 + told, -(2 + complaint)], [0, 5.0]]
    np.testing.assert_allclose(dataset.user_items.toarray(), expected, rtol=1e-6)
    assert dataset.user_items.dtype == np.float32
    assert dataset.last_event_at is not None
    assert dataset.last_event_at.toarray().tolist() == [[10.0, 20.0], [0.0, 30.0]]
    assert dataset.user_mapping.ids == ("ann", "bob")
    assert dataset.manifest["ratings"] == {
        "scale": [1.0, 5.0],
        "with_text": 2,
        "mean_text_quality": round((told + complaint) / 3, 4),
    }


def test_of_a_pair_rated_twice_the_latest_rating_has_its_own_text(tmp_path: Path) -> None:
    dataset = reviews_of(
        tmp_path, RatingBatch(["ann", "ann"], ["bag", "bag"], [1.0, 5.0], [20.0, 10.0], ["", PRAISE])
    )

    assert dataset.user_items.toarray().tolist() == [[-1.0]]


def test_without_texts_the_confidence_is_the_rating_and_the_catalogue_comes_along(tmp_path: Path) -> None:
    catalogue = Catalogue((CatalogueItem("bag", "Bag"), CatalogueItem("hat", "Hat")))

    dataset = reviews_of(tmp_path, RatingBatch(["ann"], ["bag"], [3.0]), catalogue=catalogue)

    assert dataset.user_items.toarray().tolist() == [[-3.0]]
    assert dataset.last_event_at is None
    assert dataset.all_items.ids == ("bag", "hat")
    assert dataset.manifest["ratings"]["mean_text_quality"] is None


@given(
    stars=st.lists(st.floats(1, 5, width=32), min_size=1, max_size=30),
    quality=st.floats(0, 1, width=32),
)
def test_a_confidence_is_from_1_to_6_and_only_the_rating_signs_it(stars: list[float], quality: float) -> None:
    points = np.array(stars, np.float64)

    signed = signed_confidence(points, np.full(len(points), quality, np.float32))

    assert ((np.abs(signed) >= 1.0) & (np.abs(signed) <= 6.0)).all()
    assert ((signed > 0) == (points > 3.0)).all()


@pytest.mark.parametrize(
    ("points", "scale", "stars"),
    [
        ([2.0, 4.0], [1.0, 5.0], [2.0, 4.0]),  # a one or a five nobody gave is still on the scale
        ([0.5, 5.0, 3.0], [1.0, 5.0], [1.0, 5.0, 3.0]),  # half stars: 3 stay 3, and are not liked
        ([0.0, 4.5], [0.0, 4.5], [1.0, 5.0]),
        ([1.0, 10.0, 5.5], [1.0, 10.0], [1.0, 5.0, 3.0]),
        ([0.0, 1.0], [0.0, 1.0], [1.0, 5.0]),
        ([-1.0, 1.0], [-1.0, 1.0], [1.0, 5.0]),
    ],
)
def test_another_scale_is_stretched_to_1_to_5(
    tmp_path: Path, points: list[float], scale: list[float], stars: list[float]
) -> None:
    users = [f"u{number}" for number in range(len(points))]

    dataset = reviews_of(tmp_path, RatingBatch(users, ["bag"] * len(points), points))

    assert dataset.manifest["ratings"]["scale"] == scale
    assert np.abs(dataset.user_items.toarray()[:, 0]).tolist() == stars
    assert rescale(np.array(points, np.float32), *scale).tolist() == stars


def test_ratings_all_alike_beyond_the_scale_are_refused(tmp_path: Path) -> None:
    save_ratings([RatingBatch(["ann", "bob"], ["bag", "bag"], [7.0, 7.0])], tmp_path)

    with pytest.raises(DataError, match=r"All ratings in .*ratings\.parquet are 7"):
        load_reviews(tmp_path)


def test_texts_are_read_only_when_they_are_asked_for(tmp_path: Path) -> None:
    save_ratings([RatingBatch(["ann"], ["bag"], [5.0], None, [PRAISE])], tmp_path)

    assert load_ratings(tmp_path).ratings.text_quality is None
    quality = load_ratings(tmp_path, with_quality=True).ratings.text_quality
    assert quality is not None
    assert quality.tolist() == pytest.approx([comment_quality(PRAISE)])


def test_texts_past_one_batch_stay_with_their_ratings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.datasets.ratings.TEXTS_AT_ONCE", 3)
    texts = ["", "good", "soft sturdy", PRAISE, "", "blue chair", "bad"]
    users = [f"u{number}" for number in range(len(texts))]

    dataset = reviews_of(tmp_path, RatingBatch(users, ["bag"] * len(texts), [4.0] * 7, None, texts))

    assert dataset.user_items.data.tolist() == pytest.approx([4 + comment_quality(text) for text in texts])
