from __future__ import annotations

import pytest

from recsys.training.figures import judge


@pytest.mark.parametrize(
    ("precision", "mean_average", "n_interactions", "verdict"),
    [
        (0.2, 0.12, 5_000, "Good"),
        (0.2, 0.05, 5_000, "Fair"),
        (0.05, 0.02, 5_000, "Poor"),
        (0.05, 0.02, 999, "Only 999 interactions"),
        (0.2, 0.12, 999, "Good"),
    ],
)
def test_the_verdict_is_the_guides(
    precision: float, mean_average: float, n_interactions: int, verdict: str
) -> None:
    means = {"precision@10": precision, "map@10": mean_average}

    assert judge(means, n_interactions).startswith(verdict)
