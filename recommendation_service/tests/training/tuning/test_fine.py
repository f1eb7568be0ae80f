"""The fine stage: around what coarse chose, stopped early where others were better, resumable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recsys.errors import ConfigError
from recsys.experiments.trials import read_trials
from recsys.training.tuning.optuna_source import STARTUP_TRIALS, FineSource
from recsys.training.tuning.space import Range, complete
from recsys.training.tuning.study import Study
from recsys.training.tuning.workers import Job
from recsys.types import ProgressReport

GRID = {"factors": [4], "regularization": [0.1], "alpha": [10.0], "iterations": [6]}


def test_every_try_lies_around_the_best_of_coarse_and_the_choice_is_of_both_stages(
    open_study: Callable[..., Study], tmp_path: Path
) -> None:
    open_study().coarse(GRID)

    result = open_study().fine(n_trials=6)

    fine = [row for row in read_trials(tmp_path) if row.stage == "fine"]
    tried = [row for row in fine if row.seed == fine[0].seed]
    assert len(tried) == 6
    for row in tried:
        assert row.parameters["engine"] == "implicit"
        assert row.parameters["factors"] in (2, 4, 8)
        assert 1.0 <= row.parameters["alpha"] <= 30.0
        assert 0.1 / 4 <= row.parameters["regularization"] <= 0.1 * 4
        assert row.curve[0][0] == round(row.parameters["iterations"] / 3)  # a rung, looked at
    assert {row.stage for row in result.rows} == {"coarse", "fine"}
    assert result.choice.best.ndcg >= max(one.ndcg for one in result.choice.candidates)


def test_one_try_at_a_time_makes_the_same_search_again(
    open_study: Callable[..., Study], tmp_path: Path
) -> None:
    n_trials = STARTUP_TRIALS + 3  # beyond those drawn at random
    searches = []
    for folder in (tmp_path / "once", tmp_path / "again"):
        open_study(folder=folder).coarse(GRID)
        open_study(folder=folder).fine(n_trials)
        searches.append([(row.status, row.parameters, row.ndcg) for row in read_trials(folder)])

    assert len(searches[0]) > n_trials
    assert searches[0] == searches[1]


def test_a_fine_search_killed_on_its_way_goes_on_to_the_same_number_of_tries(
    open_study: Callable[..., Study], tmp_path: Path
) -> None:
    def stop_at_the_third(report: ProgressReport) -> None:
        if "fine: try 3 of" in report.stage:
            raise KeyboardInterrupt

    open_study().coarse(GRID)
    with pytest.raises(KeyboardInterrupt):
        open_study(progress=stop_at_the_third).fine(n_trials=4)

    result = open_study().fine(n_trials=4)
    again = open_study().fine(n_trials=4)

    fine = [row for row in read_trials(tmp_path) if row.stage == "fine"]
    assert len([row for row in fine if row.seed == fine[0].seed]) == 4
    assert result.n_known == 2
    assert (again.n_new, again.n_known) == (0, 4)


def test_without_coarse_the_command_that_makes_it_is_told(open_study: Callable[..., Study]) -> None:
    with pytest.raises(ConfigError, match="run recsys tune als --stage coarse on the same data first"):
        open_study().fine(n_trials=2)


def test_with_coarse_on_other_data_the_versions_of_the_log_are_told(
    open_study: Callable[..., Study],
) -> None:
    open_study().coarse(GRID)

    with pytest.raises(ConfigError, match=r"data version another .*the log has tries on 0123456789ab"):
        open_study(data_version="another").fine(n_trials=2)
    with pytest.raises(ConfigError, match="only by: 20% of the positive cells"):
        open_study(validation_split=0.3).fine(n_trials=2)


def source_of(ranges: dict[str, Range], refused: list[str], n_trials: int = 30) -> FineSource:
    return FineSource(
        "als",
        ranges,
        complete("als", {}),
        [],
        seed=1,
        n_trials=n_trials,
        on_refused=lambda values, why: refused.append(why),
    )


def test_a_try_is_stopped_where_the_others_were_better_at_the_same_step(tmp_path: Path) -> None:
    source = source_of({"alpha": Range(low=1.0, high=40.0)}, [])
    for figure in range(STARTUP_TRIALS):
        job = next(source)
        assert source.look(job, 5, 0.5 + figure / 100)
        source.tell(job, row_of(job, 0.6))

    worse, better = next(source), next(source)

    assert not source.look(worse, 5, 0.1)
    assert source.look(better, 5, 0.9)


def row_of(job: Job, ndcg: float):  # type: ignore[no-untyped-def]
    from recsys.experiments.trials import TrialRow

    return TrialRow("als", "fine", "done", 1, "v", job.parameters, "p", ndcg, ndcg)


def test_what_the_configuration_refuses_counts_as_a_try_and_the_search_goes_on() -> None:
    refused: list[str] = []
    source = source_of({"alpha": Range(low=-40.0, high=40.0)}, refused, n_trials=20)

    jobs = list(source)

    assert len(jobs) + len(refused) == 20
    assert jobs
    assert all("als.alpha" in why for why in refused)
    assert refused


def test_where_all_was_tried_before_it_ends() -> None:
    source = source_of({"factors": Range(choices=(4, 8))}, [])
    made = []
    for job in source:
        made.append(job.parameters["factors"])
        source.tell(job, row_of(job, 0.5))
    assert sorted(made) == [4, 8]
