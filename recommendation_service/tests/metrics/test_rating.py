"""Rating metrics: worked out by hand, then properties; what cannot be compared is refused."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recsys.errors import DataError
from recsys.metrics import rating
from recsys.metrics.rating import accuracy, mae, rating_metrics, rmse

POINTS = st.floats(-1e3, 1e3, width=32)


@pytest.mark.parametrize(
    ("predicted", "actual", "expected"),
    [
        ([3.0, 3.0], [3.0, 3.0], (0.0, 0.0, 1.0)),
        ([1.0, 5.0], [3.0, 3.0], (2.0, 2.0, 0.0)),
        ([3.5, 2.5, 4.0, 1.0], [3.0, 3.0, 3.0, 3.0], (np.sqrt(5.5 / 4), 1.0, 0.5)),  # 0.5 off is within 0.5
    ],
)
def test_figures_worked_out_by_hand(
    predicted: list[float], actual: list[float], expected: tuple[float, float, float]
) -> None:
    a, b = np.array(predicted), np.array(actual)
    assert (rmse(a, b), mae(a, b), accuracy(a, b)) == pytest.approx(expected)
    assert tuple(rating_metrics(a, b).values()) == pytest.approx(expected)


@given(arrays(np.float32, 7, elements=POINTS), arrays(np.float32, 7, elements=POINTS))
def test_rmse_is_at_least_mae_and_both_are_symmetric(a: np.ndarray, b: np.ndarray) -> None:
    assert rmse(a, b) >= mae(a, b) * (1 - 1e-12)
    assert rmse(a, b) == rmse(b, a)
    assert 0 <= accuracy(a, b) <= accuracy(a, b, within=2e3) == 1.0


def test_it_is_over_all_pairs_in_double_precision() -> None:
    predicted = np.full(3_000_000, 0.1, np.float32)
    assert rmse(predicted, np.zeros(3_000_000, np.float32)) == pytest.approx(
        float(np.float32(0.1)), rel=1e-12
    )


@pytest.mark.parametrize("metric", [rmse, mae, accuracy])
@pytest.mark.parametrize(
    ("predicted", "actual", "message"),
    [
        ([], [], "no pairs to compare"),
        ([1.0], [1.0, 2.0], "one prediction a pair"),
        ([[1.0]], [[1.0]], "one prediction a pair"),
        ([1.0, np.nan], [1.0, 2.0], "Pair number 2 has the prediction nan"),
        ([1.0, 2.0], [np.inf, 2.0], "Pair number 1 has the prediction 1.0 for inf"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    metric: object, predicted: list[float], actual: list[float], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        metric(np.array(predicted), np.array(actual))  # type: ignore[operator]


def test_the_examples_in_the_docstrings_hold() -> None:
    results = doctest.testmod(rating)
    assert results.attempted >= 4
    assert results.failed == 0
