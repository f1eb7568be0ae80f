"""Ratings with their texts as the signed cells every recommender here learns from.

A cell is a confidence from 1 to 6: the rating on a scale of 1 to 5, plus what its text tells (0 to 1, see
`comment_quality`), which parts a five that was meant from a five that was clicked. Its sign is the
preference: a rating above 3 is liked, one of 3 or less is not, however much was written about it. So the
held-back positive cells of a split are what people rated above 3, and a negative cell is preference 0 with
that confidence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.ratings import RATINGS_FILE, RatingDataset, load_ratings
from recsys.datasets.user_items import Dataset
from recsys.errors import DataError
from recsys.types import Float32Array, Float64Array

LOWEST_RATING, HIGHEST_RATING = 1.0, 5.0
LIKED_ABOVE = 3.0  # on that scale: 4 and 5 of whole stars
LOWEST_CONFIDENCE, HIGHEST_CONFIDENCE = 1.0, 6.0


def load_reviews(folder: Path) -> Dataset:
    """The rating folder of `recsys import` as a dataset of signed confidences.

    Its manifest says under `ratings` which scale the points were taken to be on, and of how many a text
    tells something.

    Raises:
        DataError: a file is missing or damaged, or all ratings are alike on a scale that is not 1 to 5.
    """
    return make_review_dataset(load_ratings(folder, with_quality=True), source=str(folder / RATINGS_FILE))


def make_review_dataset(source_ratings: RatingDataset, *, source: str) -> Dataset:
    """As `load_reviews`, from what is in memory; `source` is named in an error.

    Raises:
        DataError: all ratings are alike on a scale that is not 1 to 5.
    """
    ratings = source_ratings.ratings
    low, high = rating_scale(ratings.points, source)
    quality = ratings.text_quality
    stars = rescale(ratings.points, low, high)
    shape = (len(source_ratings.user_mapping), len(source_ratings.item_mapping))
    indptr = np.concatenate(([0], np.cumsum(np.bincount(ratings.user_index, minlength=shape[0]))))

    def matrix(values: Float32Array | Float64Array) -> csr_matrix:
        return csr_matrix((values, ratings.item_index, indptr), shape)

    facts = {
        "scale": [low, high],
        "with_text": 0 if quality is None else int((quality > 0).sum()),
        "mean_text_quality": None if quality is None else round(float(quality.mean()), 4),
    }
    return Dataset(
        matrix(signed_confidence(stars, quality)),
        source_ratings.user_mapping,
        source_ratings.item_mapping,
        last_event_at=None if ratings.rated_at is None else matrix(ratings.rated_at),
        catalogue=source_ratings.catalogue,
        manifest={"ratings": facts},
    )


def rating_scale(points: Float32Array, source: str) -> tuple[float, float]:
    """Lowest and highest point of the scale: 1 to 5 where all lie within, else the extremes found.

    Half stars from 0.5 to 5 are on that of 1 to 5 too: 3 stars are 3, and what is below 1 counts as 1.

    Raises:
        DataError: all are alike outside 1 to 5: no scale can be told.
    """
    low, high = float(points.min()), float(points.max())
    is_of_halves = low >= 0 and high == HIGHEST_RATING
    if is_of_halves or (low >= LOWEST_RATING and high <= HIGHEST_RATING):
        return LOWEST_RATING, HIGHEST_RATING
    if low == high:
        raise DataError(
            f"All ratings in {source} are {low:g}: that is neither on a scale of 1 to 5 nor tells another; "
            "import them as acts (manage.py import_interactions)."
        )
    return low, high


def rescale(points: Float32Array, low: float, high: float) -> Float64Array:
    """(n,) points of a scale from `low` to `high` on that of 1 to 5; those beyond count as its ends.

    >>> rescale(np.array([1, 4, 10], np.float32), 1, 10).tolist()
    [1.0, 2.333333333333333, 5.0]
    """
    share = np.clip((points.astype(np.float64) - low) / (high - low), 0.0, 1.0)
    stars: Float64Array = LOWEST_RATING + share * (HIGHEST_RATING - LOWEST_RATING)
    return stars


def signed_confidence(stars: Float64Array, text_quality: Float32Array | None) -> Float32Array:
    """(n,) float32 of size 1 to 6: rating + quality of its text; below zero where it is not liked.

    >>> signed_confidence(np.array([5.0, 5.0, 2.0]), np.array([0.0, 0.75, 0.5], np.float32)).tolist()
    [5.0, 5.75, -2.5]
    """
    confidence = stars if text_quality is None else stars + text_quality
    return np.where(stars > LIKED_ABOVE, confidence, -confidence).astype(np.float32)
