"""Columns of a table as numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from recsys.errors import DataError
from recsys.recommenders.mf_features import encode_features


def test_numbers_are_standardised_and_a_missing_one_is_the_mean() -> None:
    encoded = encode_features(pa.table({"age": [20, 40, None, 60]}))
    np.testing.assert_allclose(encoded[:, 0], [-1.2247449, 0, 0, 1.2247449], rtol=1e-6)
    assert encoded.dtype == np.float32


def test_a_category_is_a_column_a_value_and_a_missing_one_has_none() -> None:
    encoded = encode_features(pa.table({"job": ["b", "a", None, "b"]}))
    assert encoded.tolist() == [[0, 1], [1, 0], [0, 0], [0, 1]]


def test_the_values_of_a_list_share_a_length_of_one() -> None:
    encoded = encode_features(pa.table({"genres": [["x", "y"], ["y"], []]}))
    np.testing.assert_allclose(np.linalg.norm(encoded, axis=1), [1, 1, 0], rtol=1e-6)


def test_a_column_that_says_the_same_of_everybody_is_left_out() -> None:
    assert encode_features(pa.table({"kind": ["a", "a"], "size": [3, 3]})).shape == (2, 0)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([float("inf"), 1.0], "Column c has inf in row 0; it must be a finite number"),
        ([f"id {n}" for n in range(200)], "Column c has 200 values in 200 rows, as ids and free text have"),
        ([b"raw", b"bytes"], "Column c is of type binary; use numbers, text, or lists of text"),
    ],
)
def test_a_column_that_cannot_be_used_is_named(column: list[object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        encode_features(pa.table({"c": column}))
