"""The iterations of ALS, the same for every engine: one solves all users, then all items."""

from __future__ import annotations

from typing import Protocol

from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.engines.factors import are_finite
from recsys.engines.start import Start
from recsys.errors import DataError
from recsys.types import Float32Array, ProgressCallback, ProgressReport


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

    def not_finite(self, found: str) -> DataError:
        """The error that names the engine's parameters and the mend."""


def iterate(
    solver: Solver, dataset: Dataset, config: ALSConfig, progress: ProgressCallback, start: Start | None
) -> None:
    """Run `config.iterations` iterations, from a start if one is given.

    Raises:
        DataError: the start does not fit, or the factors grew beyond what a float32 holds.
    """
    if start is not None:
        start.check(dataset.n_users, dataset.n_items, config.factors)
        solver.put(start.users, start.items)
    for iteration in range(1, config.iterations + 1):
        solver.step(hold_items=iteration == 1 and start is not None and start.freeze_items_first)
        if not are_finite(solver.users, solver.items):
            raise solver.not_finite("a factor is not a finite number")
        progress(ProgressReport("fitting als", iteration / config.iterations))
