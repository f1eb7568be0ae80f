from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.datasets.splits import split_for_training
from recsys.datasets.user_items import Dataset
from recsys.evaluation.evaluate import evaluate
from recsys.recommenders.table import make_recommender
from recsys.training.figures import format_figures, judge


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


def test_figures_of_nobody_are_called_that(world: Dataset) -> None:
    split = split_for_training(world, 0.2, 0)
    evaluations = {
        name: evaluate(make_recommender(name).fit(split.train), split) for name in ("popularity", "als")
    }
    nobody = replace(evaluations["als"], answered=np.zeros_like(evaluations["als"].answered))

    text = format_figures({**evaluations, "als": nobody}, "als", 10)

    assert (
        text.strip() == f"Nothing could be measured: als can answer none of the {nobody.n_users} test users."
    )


def test_each_is_told_how_far_it_is_above_popularity_over_the_same_users(world: Dataset) -> None:
    split = split_for_training(world, 0.2, 0)
    evaluations = {
        name: evaluate(make_recommender(name).fit(split.train), split) for name in ("popularity", "als")
    }

    text = format_figures(evaluations, "als", 10)

    answered = evaluations["als"].answered
    means = [one.per_user["ndcg@10"][answered].mean() for one in evaluations.values()]
    assert f"Above popularity in ndcg@10: als {100 * (means[1] / means[0] - 1):+.1f} % (" in text
    assert "Above popularity" not in format_figures({"als": evaluations["als"]}, "als", 10)
