"""Feature columns: one size for all, ids refused, what is missing or useless told."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.features.feature_columns import MAX_DEVIATIONS, FeatureColumns, fit_and_encode


def fit(columns: dict[str, object], **kinds: str) -> FeatureColumns:
    return FeatureColumns.fit(pa.table(columns), owner="user", kinds=kinds)


def test_a_number_in_the_millions_is_as_large_as_any_other() -> None:
    table = pa.table({"salary": [1e6, 2e6, 3e6], "age": [1, 2, 3]})
    encoded = FeatureColumns.fit(table, owner="user").encode(table)
    np.testing.assert_allclose(encoded[:, 0], encoded[:, 1])
    np.testing.assert_allclose(encoded.std(axis=0), 1.0)


@pytest.mark.parametrize("name", ["id", "user_id", "userID", "ITEM_ID", "uuid", "movieId", "film id"])
def test_an_id_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(
        DataError, match=f"The user feature '{name}' is an id by its name.*Take the column out"
    ):
        fit({name: [7.5, 3.1, 9.9]})
    with pytest.raises(DataError, match="an id by its name"):
        fit({name: [7.5, 3.1, 9.9]}, **{name: "number"})


def test_a_name_that_only_ends_like_an_id_is_none() -> None:
    assert fit({"paid": [1.0, 2.0], "bid": [1.0, 3.0], "humid": [0.0, 1.0]}).names == ("paid", "bid", "humid")


def test_an_id_is_refused_by_its_values() -> None:
    with pytest.raises(DataError, match="'number' is consecutive whole numbers, each once"):
        fit({"number": np.random.default_rng(0).permutation(30) + 100})
    assert fit({"rank": np.arange(30)}, rank="number").names == ("rank",)  # who says so may


def test_a_shared_id_may_be_a_category() -> None:
    table = {"region_id": [7] * 10 + [9] * 10}
    assert fit(table, region_id="category").names == ("region_id=7", "region_id=9")


def test_categories_booleans_and_tags_become_centred_columns() -> None:
    table = pa.table(
        {
            "job": ["cook"] * 6 + ["nurse"] * 5 + ["astronaut"],
            "is_new": [True, False] * 6,
            "genres": [["War", "Drama"]] * 6 + [["Drama"]] * 3 + [[]] * 3,
        }
    )
    columns = FeatureColumns.fit(table, owner="item")
    assert columns.names == ("job=cook", "job=nurse", "job=(other)", "is_new", "genres=Drama", "genres=War")
    encoded = columns.encode(table)
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(encoded[0, :3], [0.5, -5 / 12, -1 / 12])
    np.testing.assert_allclose(encoded[-1, 4:], [-0.75, -0.5])  # no tag is a fact too


def test_tags_may_stand_in_one_text() -> None:
    table = {"genres": ["War|Drama"] * 5 + ["Comedy"] * 5}
    assert fit(table, genres="tags").names == ("genres=Comedy", "genres=Drama", "genres=War")


def test_a_category_has_a_cap_and_the_rest_is_other() -> None:
    jobs = [f"job {number:03}" for number in range(80) for _ in range(5 + number)]
    names = fit({"job": jobs}).names
    assert len(names) == 51
    assert names[0] == "job=job 079"
    assert names[-1] == "job=(other)"


def test_constant_columns_are_dropped_and_named() -> None:
    columns = fit(
        {
            "age": [1.0, 2.0, 3.0],
            "planet": ["Earth"] * 3,
            "year": [1999] * 3,
            "empty": pa.array([None] * 3, pa.float64()),
            "name": ["a", "b", "c"],
            "huge": [1e300, 1e300 * (1 + 1e-15), 1e300],
        }
    )
    assert columns.names == ("age",)
    assert columns.dropped["planet"] == "constant: it has one value"
    assert columns.dropped["year"] == "constant: 1999 in every row"
    assert columns.dropped["empty"] == "no value at all"
    assert columns.dropped["name"] == "constant: all 3 values are rare"
    assert "constant" in columns.dropped["huge"]


def test_what_is_missing_stands_at_the_mean_and_says_so() -> None:
    table = pa.table({"age": [10.0, None, 30.0, float("nan")], "job": ["a", "b", None, ""] * 1})
    columns = FeatureColumns.fit(table, owner="user")
    assert columns.names == ("age", "age=(missing)", "job=(other)", "job=(missing)")
    encoded = columns.encode(table)
    np.testing.assert_allclose(encoded[:, 0], [-1, 0, 1, 0])
    np.testing.assert_allclose(encoded[:, 1], [-0.5, 0.5, -0.5, 0.5])
    np.testing.assert_allclose(encoded[:, 3], [-0.5, -0.5, 0.5, 0.5])


def test_what_training_never_saw_tells_nothing_and_is_held_within_bounds() -> None:
    columns = fit({"age": [10.0, 20.0, 30.0] * 4, "job": ["a"] * 6 + ["b"] * 6})
    encoded = columns.encode(pa.table({"age": [1e308, -1e308, None], "job": ["c", None, "a"]}))
    np.testing.assert_allclose(encoded[:, 0], [MAX_DEVIATIONS, -MAX_DEVIATIONS, 0])
    np.testing.assert_allclose(encoded[:, 1:], [[0, 0], [0, 0], [0.5, -0.5]])


def test_the_encoding_survives_json() -> None:
    table = pa.table({"age": [1.0, None, 3.0], "job": ["a", "b", "b"], "old": [1, 1, 1]})
    columns = FeatureColumns.fit(table, owner="user")
    again = FeatureColumns.from_json(json.loads(json.dumps(columns.as_json())))
    assert again == columns
    np.testing.assert_array_equal(again.encode(table), columns.encode(table))


@pytest.mark.parametrize(
    "damage",
    [
        lambda j: j.pop("columns"),
        lambda j: j["columns"][0].pop("mean"),
        lambda j: j["columns"][0].update(deviation=0.0),
        lambda j: j["columns"][0].update(mean=float("nan")),
        lambda j: j["columns"][0].update(values=["x"]),
    ],
)
def test_a_damaged_encoding_is_refused(damage: object) -> None:
    stored = fit({"age": [1.0, 2.0]}).as_json()
    damage(stored)  # type: ignore[operator]
    with pytest.raises(ArtifactError, match="feature columns are damaged"):
        FeatureColumns.from_json(stored)


@pytest.mark.parametrize(
    ("columns", "kinds", "error", "message"),
    [
        ({"age": [1.0, float("inf")]}, {}, DataError, "'age' is infinite in 1 rows, the first row 1"),
        ({"age": ["x", "2"]}, {"age": "number"}, DataError, "'age' cannot be read as numbers"),
        ({"born": pa.array([0, 1], pa.timestamp("s"))}, {}, DataError, r"'born' has the type timestamp\[s\]"),
        ({"age": [1, 2]}, {"agee": "number"}, ConfigError, "no user feature 'agee'.*there are age"),
        ({"age": [1, 2]}, {"age": "float"}, ConfigError, "cannot be a 'float'; say one of number"),
        ({"age": [1, 2]}, {"age": "tags"}, DataError, "has 1 where tags are to stand"),
        ({"job": [["a"]] * 2}, {"job": "category"}, DataError, "has lists; say that it holds tags"),
    ],
)
def test_what_cannot_be_encoded_is_told(
    columns: dict[str, object], kinds: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fit(columns, **kinds)


def test_a_column_that_comes_twice_or_not_at_all_is_told() -> None:
    twice = pa.Table.from_arrays([pa.array([1, 2]), pa.array([3, 4])], names=["age", "age"])
    with pytest.raises(DataError, match="the column 'age' more than once"):
        FeatureColumns.fit(twice, owner="user")
    with pytest.raises(DataError, match="lack the column 'age'; they have height"):
        fit({"age": [1, 2]}).encode(pa.table({"height": [1]}))


def test_an_ignored_column_is_named_as_such() -> None:
    columns = fit({"user_id": [1, 2], "age": [3, 4]}, user_id="ignore")
    assert (columns.names, columns.dropped) == (("age",), {"user_id": "asked to be ignored"})


def test_the_rows_that_are_known_decide_and_all_are_encoded(caplog: pytest.LogCaptureFixture) -> None:
    table = pa.table({"age": [10.0, 30.0, 1e9], "year": [1999, 1999, 2001], "job": ["a", "a", "b"]})
    with caplog.at_level("INFO"):
        columns, encoded = fit_and_encode(table, np.array([True, True, False]), owner="user")
    assert columns.names == ("age",)
    np.testing.assert_allclose(encoded[:, 0], [-1, 1, MAX_DEVIATIONS])
    assert columns.summary() == (
        "1 columns of age; left out: year (constant: 1999 in every row), job (constant: it has one value)"
    )
    assert caplog.messages == [f"user features: {columns.summary()}"]


@given(st.lists(st.none() | st.floats(allow_infinity=False), min_size=1, max_size=30))
def test_any_numbers_become_finite_and_small(numbers: list[float | None]) -> None:
    table = pa.table({"x": pa.array(numbers, pa.float64())})
    encoded = FeatureColumns.fit(table, owner="user").encode(table)
    assert np.isfinite(encoded).all()
    assert np.abs(encoded).max(initial=0) <= MAX_DEVIATIONS
