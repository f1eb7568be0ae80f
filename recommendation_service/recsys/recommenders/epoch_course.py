"""How far a training by epochs is: its learning curve, its best look, and the checkpoints to go on from."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.engines.checkpoints import Checkpoint, State
from recsys.types import Float32Array

BEST, TOLD = "best_", "told"  # names in a checkpoint, beside those of the arrays that are learned


class EpochCourse:
    """What a training by epochs knows of itself beside what it learns.

    `curve` has a point an epoch; `best` are copies of what is kept at the end where a look at a
    validation part can stop it, made after `best_epoch`. `stop` is set by the look that does.
    """

    def __init__(self, checkpoint: Checkpoint | None, every: int) -> None:
        self.curve: list[dict[str, float]] = []
        self.best: tuple[Float32Array, ...] = ()
        self.best_epoch = 0
        self.stop = False
        self._checkpoint, self._every = checkpoint, every
        self._rng = np.random.default_rng(0)
        self._learned: Mapping[str, NDArray[Any]] = {}
        self._began = time.monotonic()

    def epochs(self, n: int, rng: np.random.Generator, learned: Mapping[str, NDArray[Any]]) -> range:
        """The epochs, from 0, that are left of n.

        Where a checkpoint of the same fit is found, the generator and the arrays are put back to what
        they were after it.

        Args:
            n: how many at most.
            rng: what the epochs draw from.
            learned: all that they change, in place; (n_users, factors) `users` and (n_items, factors)
                `items` float32 among it.
        """
        self._rng, self._learned = rng, learned
        if self._checkpoint is None:
            return range(n)
        state = self._checkpoint.load((learned["users"].shape, learned["items"].shape), self._check)
        if state is None:
            return range(n)
        for name, array in learned.items():
            array[...] = _arrays(state)[name]
        told = json.loads(str(state.more[TOLD]))
        rng.bit_generator.state = told["generator"]
        self.curve += told["curve"]
        self.best_epoch, self.stop = told["best_epoch"], told["stop"]
        n_best = sum(name.startswith(BEST) for name in state.more)
        self.best = tuple(state.more[f"{BEST}{place}"] for place in range(n_best))
        self._began -= self.curve[-1]["seconds"]
        return range(state.iteration, state.iteration if self.stop else n)

    def seconds(self) -> float:
        """Since the first epoch began; what came between a stop and going on does not count."""
        return round(time.monotonic() - self._began, 3)

    def save(self, epoch: int, n: int) -> None:
        """Write a checkpoint where one is due after this epoch of n, both from 1."""
        if self._checkpoint is None or (epoch % self._every and epoch < n and not self.stop):
            return
        told = {
            "generator": self._rng.bit_generator.state,
            "curve": self.curve,
            "best_epoch": self.best_epoch,
            "stop": self.stop,
        }
        more = {name: array for name, array in self._learned.items() if name not in ("users", "items")}
        more |= {f"{BEST}{place}": array for place, array in enumerate(self.best)}
        more[TOLD] = np.array(json.dumps(told))
        self._checkpoint.save(State(epoch, self._learned["users"], self._learned["items"], more))

    def _check(self, state: State) -> None:
        """Raise what a damaged file does if it is not what `save` writes for this fit."""
        told = json.loads(str(state.more[TOLD]))
        type(self._rng.bit_generator)().state = told["generator"]
        if len(told["curve"]) != state.iteration or not {"best_epoch", "stop"} <= set(told):
            raise ValueError("its learning curve is of another epoch")
        for name, array in self._learned.items():
            found = _arrays(state)[name]
            if (found.shape, found.dtype) != (array.shape, array.dtype):
                raise ValueError(
                    f"its {name} is {found.shape} {found.dtype}, not {array.shape} {array.dtype}"
                )


def _arrays(state: State) -> dict[str, NDArray[Any]]:
    return {"users": state.users, "items": state.items, **state.more}
