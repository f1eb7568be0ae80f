"""What a rating becomes as an act."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.importers.columns import CellError
from recsys.datasets.importers.rating_types import DEFAULT_RATING_TYPES, SKIPPED, RatingTypes
from recsys.datasets.weights import SIGNALS
from recsys.errors import ConfigError


@pytest.mark.parametrize(
    ("rating", "expected"),
    [
        *((0.5, "dislike"), (1, "dislike"), (2, "dislike"), (2.5, "dislike"), (3, "view"), (3.5, "view")),
        *((4, "like"), (4.5, "like"), (5, "favorite")),
    ],
)
def test_stars_become_acts_by_default(rating: float, expected: str) -> None:
    assert SIGNALS[DEFAULT_RATING_TYPES.codes(np.array([rating]))[0]] == expected


@given(
    types=st.dictionaries(st.integers(-5, 15), st.sampled_from((*SIGNALS, "skip")), min_size=1),
    ratings=st.lists(st.floats(-5, 20), min_size=1),
)
def test_a_rating_takes_the_type_of_the_highest_bound_it_reaches(
    types: dict[int, str], ratings: list[float]
) -> None:
    text = ", ".join(f"{bound}={name}" for bound, name in types.items())
    parsed = RatingTypes.parse(text)
    kept = [rating for rating in ratings if rating >= min(types)]

    expected = [types[max(bound for bound in types if bound <= rating)] for rating in kept]

    assert [(*SIGNALS, "skip")[code] for code in parsed.codes(np.array(kept))] == expected


def test_skipped_ratings_have_a_code_of_their_own() -> None:
    codes = RatingTypes.parse("0=skip,6=like").codes(np.array([0.0, 10.0]))
    assert codes.tolist() == [SKIPPED, SIGNALS.index("like")]


@pytest.mark.parametrize(("rating", "side"), [(0.0, "below 0.5"), (8.0, "above 5")])
def test_a_rating_the_map_does_not_cover_is_refused(rating: float, side: str) -> None:
    with pytest.raises(CellError, match=f"the rating {rating:g} is {side}") as caught:
        DEFAULT_RATING_TYPES.codes(np.array([3.0, rating]))
    assert caught.value.row == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not rating=type"),
        ("5", "'5' is not rating=type"),
        ("five=like", "'five=like' is not rating=type"),
        ("nan=like", "'nan=like' is not rating=type"),
        ("5=love", "The type 'love' is unknown; known: view, click"),
        ("5=like,5.0=view", "The rating 5.0 comes twice"),
    ],
)
def test_a_map_that_cannot_work_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RatingTypes.parse(text)
