"""Tries side by side, each in a process of its own with its share of the cores.

A process is started afresh and not forked, for a fork after a fit with threads hangs. A try that would
not fit into memory is not begun; what runs out of it nevertheless ends its process and its try alone. All end
with the search: by their parent, or, where that was killed, at the next word they would say to it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from recsys.config import SectionConfig
from recsys.datasets.splits import Split
from recsys.errors import DataError, RecsysError, UnavailableError
from recsys.recommenders.table import make_recommender
from recsys.training.memory import check_fit, estimate_fit_bytes
from recsys.training.tuning.measure import Measured, Stopped, measure

logger = logging.getLogger(__name__)

BASE_BYTES = 100 * 2**20  # of a process with NumPy and SciPy; 60 MiB were measured
COPIES = 2  # of the data: as it comes and as it is read
ID_BYTES = 100  # of a user or an item in a mapping


@dataclass(frozen=True, slots=True)
class Job:
    """A try to make; `is_stoppable`: it is looked at on the way."""

    parameters: Mapping[str, Any]
    seed: int
    is_stoppable: bool = False
    number: int = -1  # Optuna's


@dataclass(frozen=True, slots=True)
class Ended:
    """How a try ended: `measured` where it was, else why it was not in `error`.

    `is_dead`: with its process; `lacks_memory`: another time it may go well.
    """

    measured: Measured | None = None
    error: str = ""
    is_pruned: bool = False
    is_dead: bool = False
    lacks_memory: bool = False


def estimate_try_bytes(recommender: str, validation: Split, parameters: Mapping[str, Any]) -> int:
    """Roughly the most memory that the process of a try holds: itself, its copy of the data, and the fit."""
    train = validation.train
    matrices = [
        train.user_items,
        validation.test,
        *([train.last_event_at] if train.last_event_at is not None else []),
    ]
    cells = sum(m.data.nbytes + m.indices.nbytes + m.indptr.nbytes for m in matrices)
    ids = ID_BYTES * (train.n_users + len(train.all_items))
    config: SectionConfig = make_recommender(recommender, **parameters).config
    return BASE_BYTES + COPIES * (cells + ids) + estimate_fit_bytes(recommender, train, config)


def allowed_jobs(asked: int | None, *, cores: int, needed: Sequence[int], free: int | None) -> int:
    """How many tries run side by side: as many as asked, but no more than cores or than memory holds.

    Args:
        asked: None: as many as there are cores.
        cores: of this process.
        needed: bytes, of every kind of try. One that does not fit by itself says so when it is its turn.
        free: bytes; None where the system does not tell.

    Raises:
        UnavailableError: not even the smallest fits.
    """
    wanted = cores if asked is None else min(asked, cores)
    if free is None:
        return wanted
    fitting = [each for each in needed if each <= free]
    if not fitting:
        raise UnavailableError(
            f"A try needs about {min(needed) / 2**20:,.0f} MiB and {free / 2**20:,.0f} MiB are free; "
            "end other programs, search smaller factors, or tune on fewer users or items (--max-users N, "
            "--max-items N)."
        )
    held = free // max(fitting)
    if held < wanted:
        logger.warning("fewer tries at once wanted=%d memory holds=%d", wanted, held)
    return int(min(wanted, held))


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
    idle: list[_Worker] = []
    try:
        idle += [_Worker(recommender, validation, share) for share in shares]
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
        for worker in (*workers.values(), *idle):
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
            with _without_interrupts():
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


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """What is started here never hears Ctrl-C, which a terminal sends to all; its parent ends it."""
    resource_tracker.ensure_running()  # the first process starts it, and lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection, recommender: str, validation: Split, cores: list[int]) -> None:
    """The process: a job after another, until nobody is there to give one."""
    from threadpoolctl import threadpool_limits

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
        check_fit(make_recommender(recommender, **job.parameters), validation.train)
    except DataError as error:
        return Ended(error=str(error), lacks_memory=True)
    try:
        return Ended(measure(recommender, job.parameters, job.seed, validation, look=look))
    except Stopped:
        return Ended(is_pruned=True)
    except MemoryError as error:
        return Ended(error=f"memory ran out: {error}", lacks_memory=True)
    except RecsysError as error:
        return Ended(error=str(error))
