"""The iterations of ALS, the same for every engine: one solves all users, then all items.

Both sides are looked at after each, so that what diverges is stopped there; now and then they are
written to a checkpoint, and measured on a validation part where there is one.
"""

from __future__ import annotations

import logging
import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.engines.checkpoints import Checkpoint, State
from recsys.engines.factors import Run, are_finite
from recsys.engines.start import Start
from recsys.errors import DataError
from recsys.progress import describe
from recsys.types import Float32Array, ProgressCallback, ProgressReport

logger = logging.getLogger(__name__)

# Of the lowest loss so far. No iteration can raise it but by rounding.
MAX_LOSS_RISE = 1.5

# NDCG of (n_users, factors) and (n_items, factors) on a validation part.
Measure = Callable[[Float32Array, Float32Array], float]


class Solver(Protocol):
    """What an engine does for the iterations, over factors that it holds."""

    @property
    def users(self) -> Float32Array:
        """(n_users, factors) as they are now."""

    @property
    def items(self) -> Float32Array:
        """(n_items, factors) as they are now."""

    def put(self, users: Float32Array | None, items: Float32Array) -> None:
        """Go on from copies of these; users that are None stay as they are."""

    def step(self, *, hold_items: bool) -> None:
        """Solve all users from the items, then, unless these are held, all items from the users.

        Raises:
            DataError: a system that cannot be solved.
        """

    def loss(self) -> float:
        """What the engine minimises, up to a factor of its own."""

    def not_finite(self, found: str) -> DataError:
        """The error that names the engine's parameters and the mend."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a fit is asked for beside its factors: where it begins, what it keeps and is stopped by.

    `measure` makes it stop early, by `patience`, and end with the factors that measured best.
    """

    start: Start | None = None
    checkpoint: Checkpoint | None = None
    measure: Measure | None = None


def iterate(
    solver: Solver, dataset: Dataset, config: ALSConfig, progress: ProgressCallback, course: Course
) -> Run:
    """Run the iterations: as many as the start or else the configuration says, at most.

    Each is reported with its number, seconds, the peak of this process's memory in MiB, the loss where
    `track_loss` asks for it and the NDCG where it was measured.

    Raises:
        DataError: the start does not fit, the factors grew beyond what a float32 holds, or the loss
            diverges.
    """
    start, checkpoint = course.start, course.checkpoint
    if start is not None:
        start.check(dataset.n_users, dataset.n_items, config.factors)
        solver.put(start.users, start.items)
    last = start.iterations if start is not None and start.iterations else config.iterations
    shapes = (dataset.n_users, config.factors), (dataset.n_items, config.factors)
    state = checkpoint.load(shapes) if checkpoint else None
    if state is not None:
        solver.put(state.users, state.items)
    run = Run(best=last)
    best: tuple[float, State] | None = None
    for iteration in range(state.iteration + 1 if state else 1, last + 1):
        began = time.perf_counter()
        solver.step(hold_items=iteration == 1 and start is not None and start.freeze_items_first)
        users, items = solver.users, solver.items
        if not are_finite(users, items):
            raise solver.not_finite(f"after iteration {iteration} a factor is not a finite number")
        facts = {"iteration": float(iteration)}
        if config.track_loss:
            facts["loss"] = solver.loss()
            _check_loss(iteration, facts["loss"], run.curve, solver)
        facts["seconds"] = round(time.perf_counter() - began, 3)
        facts["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if course.measure and (iteration % config.check_every == 0 or iteration == last):
            facts["ndcg"] = course.measure(users, items)
            if best is None or facts["ndcg"] > best[0]:
                best = facts["ndcg"], State(iteration, users.copy(), items.copy())
        if (
            checkpoint
            and config.checkpoint_every
            and (iteration % config.checkpoint_every == 0 or iteration == last)
        ):
            checkpoint.save(State(iteration, users, items))
        run.curve.append(facts)
        logger.info("als: %s", describe(facts))
        progress(ProgressReport("fitting als", iteration / last, facts=facts))
        if best is not None and iteration - best[1].iteration >= config.patience * config.check_every > 0:
            break
    if best is not None:
        run.best = best[1].iteration
        solver.put(best[1].users, best[1].items)
    return run


def _check_loss(iteration: int, loss: float, curve: list[dict[str, float]], solver: Solver) -> None:
    """Stop what diverges.

    Raises:
        DataError: the loss is no number, or rose.
    """
    before = [point["loss"] for point in curve]
    if not math.isfinite(loss):
        raise solver.not_finite(f"the loss of iteration {iteration} is {loss}")
    if before and loss > MAX_LOSS_RISE * min(before):
        raise solver.not_finite(f"the loss diverges: {loss:.4g} after {min(before):.4g}")
