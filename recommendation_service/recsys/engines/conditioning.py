"""How well posed the systems of ALS are: the condition number of what every row's system shares.

The engines solve in float32. Of a number's seven digits a condition number of 10^6 leaves one.
"""

from __future__ import annotations

import numpy as np

from recsys.types import Float64Array

MAX_CONDITION_NUMBER = 1e6


def condition_number(gram: Float64Array, *, gram_weight: float, ridge: float) -> float:
    """The largest over the smallest eigenvalue of gram_weight * gram + ridge I; ridge is above 0.

    >>> condition_number(np.diag([9.0, 0.0]), gram_weight=1.0, ridge=1.0)
    10.0
    """
    eigenvalues = np.maximum(np.linalg.eigvalsh(gram), 0.0)  # below zero is rounding
    return float((gram_weight * eigenvalues[-1] + ridge) / (gram_weight * eigenvalues[0] + ridge))
