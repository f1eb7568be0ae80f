"""Tries side by side, each in a process of its own with its share of the cores.

A process is started afresh and not forked, for a fork after a fit with threads hangs. What it runs
out of (memory, most often) ends that process and its try alone. All end with the search: by their
parent, or, where that was killed, at the next word they would say to it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from recsys.datasets.splits import Split
from recsys.errors import RecsysError, UnavailableError
from recsys.training.tuning.measure import Measured, Stopped, measure

logger = logging.getLogger(__name__)

BASE_BYTES = 400 * 2**20  # of a process with NumPy, SciPy and the library that fits
COPIES = 4  # of the cells and of the factors: read, transposed, rotated, the best so far


@dataclass(frozen=True, slots=True)
class Job:
    """A try to make; `is_stoppable`: it is looked at on the way."""

    parameters: Mapping[str, Any]
    seed: int
    is_stoppable: bool = False
    number: int = -1  # Optuna's


@dataclass(frozen=True, slots=True)
class Ended:
    """How a try ended: `measured` where it was; why it was not in `error`; `is_dead`: with its process."""

    measured: Measured | None = None
    error: str = ""
    is_pruned: bool = False
    is_dead: bool = False


def estimate_bytes(validation: Split, size: int) -> int:
    """Roughly the most memory that a try holds: its copies of the cells, and factors of this length."""
    train = validation.train
    matrices = [
        train.user_items,
        validation.test,
        *([train.last_event_at] if train.last_event_at is not None else []),
    ]
    cells = sum(m.data.nbytes + m.indices.nbytes + m.indptr.nbytes for m in matrices)
    factors = 4 * size * sum(train.user_items.shape)
    return BASE_BYTES + COPIES * (cells + factors)


def allowed_jobs(asked: int | None, *, cores: int, each_bytes: int, free: int | None) -> int:
    """How many tries run side by side: as many as asked, but no more than cores or than memory holds.

    `free` bytes, None where the system does not tell.

    Raises:
        UnavailableError: not even one fits.
    """
    fitting = cores if free is None else free // each_bytes
    if fitting < 1:
        raise UnavailableError(
            f"A try needs about {each_bytes / 2**20:,.0f} MiB and {(free or 0) / 2**20:,.0f} MiB are free; "
            "end other programs, search smaller factors, or tune on fewer users."
        )
    wanted = cores if asked is None else min(asked, cores)
    if fitting < wanted:
        logger.warning("fewer tries at once wanted=%d memory holds=%d", wanted, fitting)
    return int(min(wanted, fitting))


def run_jobs(
    recommender: str,
    validation: Split,
    next_job: Callable[[], Job | None],
    *,
    n_jobs: int,
    on_look: Callable[[Job, int, float], bool],
    on_end: Callable[[Job, Ended], None],
) -> None:
    """Ask for jobs until there are none, `n_jobs` at a time; whoever is told something is told here.

    Args:
        recommender: its name.
        validation: what every try learns from and is measured on.
        next_job: the next, or None: no more.
        n_jobs: how many processes.
        on_look: told of a look at a stoppable try; False stops it.
        on_end: told how it ended.
    """
    cores = sorted(os.sched_getaffinity(0))
    shares = [cores[place::n_jobs] for place in range(n_jobs)]
    workers: dict[Connection, _Worker] = {}
    try:
        idle = [_Worker(recommender, validation, share) for share in shares]
        while True:
            while idle and (job := next_job()) is not None:
                worker = idle.pop()
                worker.start(job)
                workers[worker.connection] = worker
            if not workers:
                break
            for connection in wait(list(workers)):
                worker = workers[connection]  # type: ignore[index]
                ended = worker.listen(on_look)
                if ended is None:
                    continue
                del workers[worker.connection]
                on_end(worker.job, ended)
                idle.append(_Worker(recommender, validation, worker.cores) if ended.is_dead else worker)
    finally:
        for worker in (*workers.values(), *locals().get("idle", ())):
            worker.end()


class _Worker:
    """A process and the line to it; started with its first job."""

    def __init__(self, recommender: str, validation: Split, cores: list[int]) -> None:
        self._of = recommender, validation
        self.cores = cores
        self._process: multiprocessing.process.BaseProcess | None = None

    def start(self, job: Job) -> None:
        self.job = job
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self.connection, theirs = context.Pipe()
            self._process = context.Process(
                target=_work, args=(theirs, *self._of, self.cores), daemon=True, name="recsys-try"
            )
            self._process.start()
            theirs.close()
        self.connection.send(job)

    def listen(self, on_look: Callable[[Job, int, float], bool]) -> Ended | None:
        """What its next word means; None while it goes on."""
        try:
            word = self.connection.recv()
            if isinstance(word, Ended):
                return word
            self.connection.send(on_look(self.job, *word))
        except (EOFError, ConnectionError):
            return self._died()
        return None

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self.connection.close()

    def _died(self) -> Ended:
        assert self._process is not None  # noqa: S101 - for the type checker
        self._process.join()
        code = self._process.exitcode or 0
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        why = ", as the kernel does where memory ran out" if code == -signal.SIGKILL else ""
        self.connection.close()
        return Ended(error=f"its process ended by {how}{why}", is_dead=True)


def _work(connection: Connection, recommender: str, validation: Split, cores: list[int]) -> None:
    """The process: a job after another, until nobody is there to give one."""
    from threadpoolctl import threadpool_limits

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent ends it
    os.sched_setaffinity(0, cores)
    threadpool_limits(len(cores))

    def look(step: int, figure: float) -> None:
        connection.send((step, figure))
        if not connection.recv():
            raise Stopped

    try:
        while True:
            job: Job = connection.recv()
            connection.send(_try(recommender, job, validation, look if job.is_stoppable else None))
    except (EOFError, ConnectionError):
        return


def _try(recommender: str, job: Job, validation: Split, look: Callable[[int, float], None] | None) -> Ended:
    try:
        return Ended(measure(recommender, job.parameters, job.seed, validation, look=look))
    except Stopped:
        return Ended(is_pruned=True)
    except (RecsysError, MemoryError) as error:
        return Ended(error=str(error) or "memory ran out")
