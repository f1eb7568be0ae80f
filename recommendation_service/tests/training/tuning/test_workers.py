"""Processes for tries: no more than cores and memory allow, and one that dies costs its try alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys.errors import UnavailableError
from recsys.training.tuning.space import complete
from recsys.training.tuning.study import Study
from recsys.training.tuning.workers import (
    Ended,
    Job,
    allowed_jobs,
    estimate_bytes,
    run_jobs,
)


@pytest.mark.parametrize(
    ("asked", "cores", "free", "jobs"), [(None, 4, 100, 4), (2, 4, 100, 2), (9, 4, 100, 4), (4, 4, 25, 2)]
)
def test_never_more_than_cores_or_than_memory_holds(
    asked: int | None, cores: int, free: int, jobs: int
) -> None:
    assert allowed_jobs(asked, cores=cores, each_bytes=10, free=free) == jobs


def test_not_even_one_is_refused_with_the_numbers() -> None:
    with pytest.raises(UnavailableError, match="needs about 600 MiB and 500 MiB are free; end other"):
        allowed_jobs(1, cores=4, each_bytes=600 * 2**20, free=500 * 2**20)


def test_longer_vectors_need_more(open_study: Callable[..., Study]) -> None:
    validation = open_study().validation
    n_rows = sum(validation.train.user_items.shape)

    assert estimate_bytes(validation, 128) - estimate_bytes(validation, 64) >= 64 * 4 * n_rows


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
