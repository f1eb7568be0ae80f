"""Processes for tries: no more than cores and memory allow, and one that dies costs its try alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys.errors import UnavailableError
from recsys.recommenders.table import make_recommender
from recsys.training.memory import estimate_fit_bytes
from recsys.training.tuning.space import complete
from recsys.training.tuning.study import Study
from recsys.training.tuning.workers import (
    Ended,
    Job,
    _try,
    allowed_jobs,
    estimate_try_bytes,
    run_jobs,
)

MB = 2**20


@pytest.mark.parametrize(
    ("asked", "cores", "free", "jobs"), [(None, 4, 100, 4), (2, 4, 100, 2), (9, 4, 100, 4), (4, 4, 25, 2)]
)
def test_never_more_than_cores_or_than_memory_holds(
    asked: int | None, cores: int, free: int, jobs: int
) -> None:
    assert allowed_jobs(asked, cores=cores, needed=[10, 4], free=free) == jobs
    assert allowed_jobs(asked, cores=cores, needed=[10], free=None) == min(asked or cores, cores)


def test_a_try_that_does_not_fit_by_itself_does_not_slow_the_others() -> None:
    assert allowed_jobs(4, cores=4, needed=[10, 1000], free=45) == 4


def test_not_even_one_is_refused_with_the_numbers() -> None:
    with pytest.raises(UnavailableError, match=r"needs about 600 MiB and 500 MiB are free; .*--max-users"):
        allowed_jobs(1, cores=4, needed=[600 * MB, 700 * MB], free=500 * MB)


def test_a_try_is_reckoned_as_its_fit_and_the_process_it_is_made_in(open_study: Callable[..., Study]) -> None:
    validation = open_study().validation

    for name, parameters in (("als", {"factors": 512}), ("two_tower", {}), ("hybrid_text", {"factors": 256})):
        config = make_recommender(name, **parameters).config  # type: ignore[arg-type]
        fit = estimate_fit_bytes(name, validation.train, config)
        assert fit + 60 * MB < estimate_try_bytes(name, validation, parameters) < fit + 120 * MB


def test_a_try_that_would_not_fit_is_not_begun(
    open_study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.training.memory.free_bytes", lambda: 100 * MB)
    study = open_study()

    small = _try("als", Job(complete("als", {"factors": 8, "iterations": 2}), 1), study.validation, None)
    large = _try(
        "als", Job(complete("als", {"factors": 4096, "engine": "irspack"}), 1), study.validation, None
    )

    assert small.measured is not None
    assert large.lacks_memory
    assert "als needs about" in large.error
    assert "--max-users" in large.error


def test_a_process_that_is_killed_costs_its_try_and_no_other(open_study: Callable[..., Study]) -> None:
    parameters = complete("als", {"factors": 2, "iterations": 3})
    jobs = iter([Job(parameters, seed, is_stoppable=True) for seed in range(3)])
    ended: dict[int, Ended] = {}

    def kill_the_second(job: Job, step: int, figure: float) -> bool:
        if job.seed == 1:
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            for child in children:
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGKILL)
        return True

    run_jobs(
        "als",
        open_study().validation,
        lambda: next(jobs, None),
        n_jobs=1,
        on_look=kill_the_second,
        on_end=lambda job, how: ended.update({job.seed: how}),
    )

    assert ended[0].measured is not None
    assert ended[1].is_dead
    assert "signal 9, as the kernel does where memory ran out" in ended[1].error
    assert ended[2].measured is not None


def test_a_try_that_is_not_worth_going_on_with_is_stopped(open_study: Callable[..., Study]) -> None:
    parameters = complete("bpr", {"factors": 2, "epochs": 40, "check_every": 1, "patience": 40})
    jobs = iter([Job(parameters, 1, is_stoppable=True)])
    looks: list[int] = []
    ended: list[Ended] = []

    def stop_at_the_third(job: Job, step: int, figure: float) -> bool:
        looks.append(step)
        return step < 3

    run_jobs(
        "bpr",
        open_study().validation,
        lambda: next(jobs, None),
        n_jobs=1,
        on_look=stop_at_the_third,
        on_end=lambda job, how: ended.append(how),
    )

    assert looks == [1, 2, 3]
    assert ended == [Ended(is_pruned=True)]
