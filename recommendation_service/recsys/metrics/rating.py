"""Rating metrics over all pairs at once: how far predicted points lie from those that were given.

Every function takes `predicted` and `actual`, both (n_pairs,) finite numbers of the same pairs, and
returns one float over all of them: not the mean of a figure a user, so that somebody with a single
rating weighs no more than that rating.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.errors import DataError
from recsys.types import Float64Array

Points = NDArray[np.floating[Any]]

ACCURATE_WITHIN = 0.5
ACCURACY_MEANING = f"accuracy: share of pairs predicted within {ACCURATE_WITHIN} of the points given"


def rmse(predicted: Points, actual: Points) -> float:
    """The root of the mean squared error.

    Raises:
        DataError: there are no pairs, the two have different lengths, or a value is not finite.

    Example:
        >>> rmse(np.array([4.0, 1.0]), np.array([4.0, 3.0]))  # sqrt((0 + 4) / 2)
        1.4142135623730951
    """
    return float(np.sqrt(np.mean(_errors(predicted, actual) ** 2)))


def mae(predicted: Points, actual: Points) -> float:
    """The mean absolute error.

    Raises:
        DataError: as `rmse`.

    Example:
        >>> mae(np.array([4.0, 1.0]), np.array([4.0, 3.0]))
        1.0
    """
    return float(np.mean(np.abs(_errors(predicted, actual))))


def accuracy(predicted: Points, actual: Points, within: float = ACCURATE_WITHIN) -> float:
    """The share of pairs predicted within so many points, the bound itself included.

    Raises:
        DataError: as `rmse`.

    Example:
        >>> accuracy(np.array([4.5, 1.0, 3.6]), np.array([4.0, 3.0, 3.0]))  # 1 of 3
        0.3333333333333333
    """
    return float(np.mean(np.abs(_errors(predicted, actual)) <= within))


def rating_metrics(predicted: Points, actual: Points) -> dict[str, float]:
    """The three by name.

    Example:
        >>> rating_metrics(np.array([4.0, 1.0]), np.array([4.0, 3.0]))
        {'rmse': 1.4142135623730951, 'mae': 1.0, 'accuracy': 0.5}
    """
    return {
        "rmse": rmse(predicted, actual),
        "mae": mae(predicted, actual),
        "accuracy": accuracy(predicted, actual),
    }


def _errors(predicted: Points, actual: Points) -> Float64Array:
    if predicted.shape != actual.shape or predicted.ndim != 1:
        raise DataError(
            f"There are predictions of shape {predicted.shape} for points of shape {actual.shape}; "
            "give one prediction a pair."
        )
    if len(predicted) == 0:
        raise DataError("There are no pairs to compare; give at least one rating to test on.")
    errors: Float64Array = predicted.astype(np.float64) - actual
    bad = np.flatnonzero(~np.isfinite(errors))
    if len(bad):
        raise DataError(
            f"Pair number {bad[0] + 1:,} has the prediction {predicted[bad[0]]} for {actual[bad[0]]} points; "
            "both must be finite numbers."
        )
    return errors
