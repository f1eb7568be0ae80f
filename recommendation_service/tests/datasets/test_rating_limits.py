"""What of a source of ratings is kept."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.rating_limits import RatingLimits, choose_rows, clean, count_repeats, repeats
from recsys.datasets.ratings import RatingBatch
from recsys.errors import ConfigError, DataError

pairs = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=60)


def as_arrays(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    users, items = np.array(rows, np.int32).T
    return users, items


@given(rows=pairs, k=st.integers(2, 4))
def test_the_core_is_the_largest_in_which_everybody_has_k_pairs(rows: list[tuple[int, int]], k: int) -> None:
    kept = set(rows)
    while True:  # one at a time, until nobody is short
        users, items = Counter(u for u, _ in kept), Counter(i for _, i in kept)
        short = {(u, i) for u, i in kept if users[u] < k or items[i] < k}
        if not short:
            break
        kept -= short
    limits = RatingLimits(k_core=k)

    if not kept:
        with pytest.raises(DataError, match=f"Nothing is left of {len(rows)} ratings by k-core {k}"):
            choose_rows(*as_arrays(rows), limits)
        return
    assert choose_rows(*as_arrays(rows), limits).tolist() == [pair in kept for pair in rows]


@given(rows=pairs)
def test_a_repeat_is_a_pair_that_came_before(rows: list[tuple[int, int]]) -> None:
    came_before = [pair in rows[:n] for n, pair in enumerate(rows)]
    assert repeats(*as_arrays(rows)).tolist() == came_before
    assert count_repeats(*as_arrays(rows)) == sum(came_before)


def test_the_caps_take_random_users_and_the_most_rated_items() -> None:
    users, items = as_arrays([(u, i) for u, i in product(range(20), range(10)) if u >= 2 * i])
    limits = RatingLimits(max_users=5, max_items=3, seed=1)

    keep = choose_rows(users, items, limits)

    assert len(set(users[keep])) <= 5
    counts = Counter(items[np.isin(users, list(set(users[keep])))].tolist())
    assert set(items[keep]) == {item for item, _ in counts.most_common(3)}
    assert (keep == choose_rows(users, items, limits)).all()
    assert set(users[keep]) != set(users[choose_rows(users, items, RatingLimits(max_users=5, seed=2))])


def test_a_sample_is_of_the_size_asked_for() -> None:
    users, items = as_arrays(list(product(range(10), range(10))))
    assert choose_rows(users, items, RatingLimits(sample=30)).sum() == 30
    assert choose_rows(users, items, RatingLimits(sample=300)).all()


@pytest.mark.parametrize(
    ("limits", "points", "changed"),
    [
        (RatingLimits(), [3, 7, -1], {"zeros_dropped": 2}),
        (RatingLimits(zeros="keep"), [0, 3, 7, 0, -1], {}),
        (RatingLimits(scale=(1, 5)), [3, 5, 1], {"zeros_dropped": 2, "clipped": 2}),
        (RatingLimits(zeros="keep", scale=(1, 5)), [0, 3, 5, 0, 1], {"clipped": 2}),
    ],
)
def test_zeros_are_dropped_and_points_clipped_and_both_counted(
    limits: RatingLimits, points: list[float], changed: dict[str, int]
) -> None:
    batch = RatingBatch(list("abcde"), list("vwxyz"), [0, 3, 7, 0, -1], np.arange(5.0), list("12345"))
    counted: Counter[str] = Counter()

    (cleaned,) = clean([batch], limits, counted)

    assert cleaned.ratings.tolist() == points
    assert +counted == changed
    if limits.zeros == "drop":
        assert cleaned.user_ids.to_pylist() == ["b", "c", "e"]
        assert cleaned.rated_at.tolist() == [1, 2, 4]
        assert cleaned.texts.to_pylist() == ["2", "3", "5"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"zeros": "ignore"}, "zeros is 'ignore'; it must be one of drop, keep"),
        ({"scale": (5, 1)}, "goes from 5 to 1; write it like 1:5"),
        ({"scale": (1, np.inf)}, "goes from 1 to inf"),
        ({"scale": (1, 1e39)}, "goes from 1 to 1e"),
        ({"seed": -1}, "seed is -1; it must be a whole number from 0"),
        ({"k_core": 0}, "k_core is 0; it must be a whole number from 1"),
        ({"sample": 0}, "sample is 0"),
    ],
)
def test_limits_that_mean_nothing_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RatingLimits(**values)
