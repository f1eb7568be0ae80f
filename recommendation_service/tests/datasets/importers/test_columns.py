"""Columns of any file become ids, points, types and times, or a refusal that names the row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.importers.columns import (
    CellError,
    choose_columns,
    parse_ids,
    parse_ratings,
    parse_texts,
    parse_times,
    parse_types,
)
from recsys.datasets.weights import SIGNALS
from recsys.errors import DataError

moments = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def choose(available: tuple[str, ...], named: dict[str, str] | None = None) -> dict[str, str]:
    return choose_columns(
        Path("f.csv"),
        available,
        required=("user", "item", "rating"),
        optional=("timestamp", "text"),
        named=named or {},
    )


@pytest.mark.parametrize(
    ("available", "chosen"),
    [
        (("userId", "movieId", "rating", "timestamp"), ("userId", "movieId", "rating", "timestamp")),
        (("User-ID", "ISBN", "Book-Rating"), ("User-ID", "ISBN", "Book-Rating")),
        (
            ("rating", "title", "text", "asin", "parent_asin", "user_id", "timestamp"),
            ("user_id", "parent_asin", "rating", "timestamp", "text"),
        ),
    ],
)
def test_the_usual_names_are_known(available: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    assert tuple(choose(available).values()) == chosen


def test_a_column_named_by_the_caller_wins_over_the_usual_name() -> None:
    assert choose(("user", "who", "item", "rating"), {"user": "who"})["user"] == "who"


@pytest.mark.parametrize(
    ("available", "named", "message"),
    [
        (("user", "rating"), {}, "no column for the item; it has: user, rating"),
        (("user", "item", "rating"), {"user": "who"}, "no column 'who' for the user"),
        (("user", "item", "rating"), {"usr": "user"}, "no column 'usr' to name; known: user, item"),
        (("user", "item", "rating"), {"user": "item"}, "'item' of f.csv is named twice, for user and item"),
    ],
)
def test_a_column_that_is_not_there_is_named(
    available: tuple[str, ...], named: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        choose(available, named)


def test_ids_are_text_without_the_space_around_them() -> None:
    assert parse_ids(pa.array([" a", "b "]), "user").to_pylist() == ["a", "b"]
    assert parse_ids(pa.array([7, 8]), "user").to_pylist() == ["7", "8"]
    assert parse_ids(pa.array([7.0, 8.0]), "user").to_pylist() == ["7", "8"]  # pandas, after a missing one


@pytest.mark.parametrize(
    ("values", "row", "problem"),
    [
        (["a", None], 1, "it has no user"),
        (["a", "b", "  "], 2, "it has no user"),
        (["x" * 65], 0, "longer than 64 characters"),
        (["a", "b\0c"], 1, "holds a NUL character"),
    ],
)
def test_an_unusable_id_is_refused(values: list[str | None], row: int, problem: str) -> None:
    with pytest.raises(CellError, match=problem) as caught:
        parse_ids(pa.array(values), "user")
    assert caught.value.row == row


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_ratings_are_the_same_as_numbers_and_as_text(values: list[float]) -> None:
    np.testing.assert_array_equal(parse_ratings(pa.array(values)), values)
    np.testing.assert_array_equal(parse_ratings(pa.array([f" {value!r}" for value in values])), values)


def test_a_rating_beyond_float32_is_refused() -> None:
    with pytest.raises(CellError, match=r"beyond 3\.4e\+38") as caught:
        parse_ratings(pa.array([1.0, -1e39]))
    assert caught.value.row == 1


@given(
    good=st.lists(st.sampled_from(["1", "2.5", "-3"]), max_size=50),
    bad=st.sampled_from(["", "five", "nan", "inf", "1,5"]),
    after=st.lists(st.sampled_from(["1", "x", "nan"]), max_size=5),
)
def test_the_first_rating_that_is_not_a_number_is_named(good: list[str], bad: str, after: list[str]) -> None:
    unreadable = bad not in ("nan", "inf")
    later = [text for text in after if unreadable or text != "x"]  # readable ones are looked at later
    with pytest.raises(CellError) as caught:
        parse_ratings(pa.array([*good, bad, *later]))
    assert caught.value.row == len(good)


def test_types_are_positions_in_the_signals() -> None:
    assert parse_types(pa.array(list(SIGNALS))).tolist() == list(range(len(SIGNALS)))
    assert parse_types(pa.array([" View", "DISLIKE"])).tolist() == [0, 3]


@pytest.mark.parametrize("bad", ["buy", "", None])
def test_an_unknown_type_is_refused(bad: str | None) -> None:
    with pytest.raises(CellError, match="is unknown; known: view, click") as caught:
        parse_types(pa.array(["view", bad]))
    assert caught.value.row == 1


@given(st.lists(moments, min_size=1))
def test_a_time_means_the_same_however_it_is_written(values: list[datetime]) -> None:
    expected = [value.timestamp() for value in values]
    naive = [value.replace(tzinfo=None) for value in values]
    zoned = [value.astimezone(tz=None).isoformat() for value in values]

    for column in (
        pa.array(values),
        pa.array(naive),
        pa.array([value.isoformat(timespec="microseconds") for value in naive]),
        pa.array(zoned),
    ):
        np.testing.assert_allclose(parse_times(column), expected, rtol=0, atol=1e-6)


@given(st.lists(st.integers(0, 4_000_000_000), min_size=1))
def test_a_number_of_seconds_is_read_from_numbers_and_text(seconds: list[int]) -> None:
    np.testing.assert_array_equal(parse_times(pa.array(seconds)), seconds)
    np.testing.assert_array_equal(parse_times(pa.array([str(value) for value in seconds])), seconds)


@pytest.mark.parametrize("factor", [1_000, 1_000_000, 1_000_000_000])
def test_finer_units_of_time_are_told_by_their_size(factor: int) -> None:
    seconds = int(datetime(2024, 5, 11, tzinfo=UTC).timestamp())
    assert parse_times(pa.array([seconds * factor])).tolist() == [seconds]


def test_days_without_a_time_are_their_first_moment() -> None:
    expected = datetime(2024, 5, 11, tzinfo=UTC).timestamp()
    assert parse_times(pa.array(["2024-05-11"])).tolist() == [expected]
    assert parse_times(pa.array([(datetime(2024, 5, 11, tzinfo=UTC)).date()])).tolist() == [expected]


@pytest.mark.parametrize(
    ("values", "row", "problem"),
    [
        (["2024-01-01", "2024-01-99"], 1, "'2024-01-99' is not written as those before it"),
        (["2024-01-01", ""], 1, "it has no timestamp"),
        ([1, None], 1, "it has no timestamp"),
        ([datetime.now(UTC), None], 1, "it has no timestamp"),
        (["1", "soon"], 1, "the timestamp 'soon' is not a number"),
        ([5, -1], 1, "before 1970"),
    ],
)
def test_an_unusable_time_is_refused(values: list[object], row: int, problem: str) -> None:
    with pytest.raises(CellError, match=problem) as caught:
        parse_times(pa.array(values))
    assert caught.value.row == row


def test_texts_keep_their_place_when_one_is_missing() -> None:
    assert parse_texts(pa.array(["good", None, ""])).to_pylist() == ["good", "", ""]


def test_zones_are_counted_in() -> None:
    east = datetime(2024, 5, 11, 2, tzinfo=UTC) - timedelta(hours=2)
    assert parse_times(pa.array(["2024-05-11T02:00:00+02:00"])).tolist() == [east.timestamp()]
