"""The smallest model within two per cent of the best, by the mean over three seeds."""

from __future__ import annotations

import pytest

from recsys.experiments.trials import TrialRow
from recsys.training.tuning.choice import choose, finalists

SEEDS = (1, 2, 3)


def row(factors: int, ndcg: float, seed: int = 1, *, status: str = "done", alpha: float = 1.0) -> TrialRow:
    parameters = {"factors": factors, "alpha": alpha}
    return TrialRow("als", "coarse", status, seed, "v", parameters, "p", ndcg, ndcg, best_epoch=10 * seed)


def over_seeds(factors: int, *figures: float) -> list[TrialRow]:
    return [row(factors, ndcg, seed) for seed, ndcg in zip(SEEDS, figures, strict=False)]


@pytest.mark.parametrize(
    ("small", "chosen"), [(0.0981, 32), (0.0980, 32), (0.0979, 128), (0.1001, 32), (0.05, 128)]
)
def test_the_smaller_wins_within_two_per_cent_and_not_beyond(small: float, chosen: int) -> None:
    rows = [*over_seeds(128, 0.1, 0.1, 0.1), *over_seeds(32, small, small, small)]

    choice = choose(rows, SEEDS)

    assert choice is not None
    assert choice.chosen.size == chosen


def test_the_mean_over_the_seeds_decides_not_a_lucky_one() -> None:
    rows = [*over_seeds(64, 0.12, 0.09, 0.09), *over_seeds(64, 0.11, 0.11, 0.11)]
    lucky = [TrialRow(**{**_fields(one), "parameters": {"factors": 64, "alpha": 2.0}}) for one in rows[:3]]

    choice = choose([*lucky, *rows[3:]], SEEDS)

    assert choice is not None
    assert choice.best.ndcg == pytest.approx(0.11)
    assert choice.chosen.best_epoch == 20


def _fields(one: TrialRow) -> dict[str, object]:
    return {name: getattr(one, name) for name in TrialRow.__dataclass_fields__}


def test_what_lacks_a_seed_is_no_candidate() -> None:
    assert choose(over_seeds(64, 0.1, 0.1), SEEDS) is None
    assert choose([], SEEDS) is None
    assert choose([row(64, 0.1, seed, status="pruned") for seed in SEEDS], SEEDS) is None


def test_finalists_are_the_best_of_each_size_that_may_still_come_near() -> None:
    rows = [row(32, 0.097), row(32, 0.09, alpha=2.0), row(64, 0.0959), row(128, 0.1), row(8, 0.099, seed=2)]

    assert [(one.parameters["factors"], one.ndcg) for one in finalists(rows, 1)] == [(32, 0.097), (128, 0.1)]
