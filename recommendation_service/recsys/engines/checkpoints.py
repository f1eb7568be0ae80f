"""Checkpoints: a training that was killed goes on from the last one when it is started again.

A file a fit, named after the hash of what decides its factors: cells, hyper-parameters and start. It
holds both sides after an iteration or epoch as the fit had them, and whatever else it changes, so what
comes out in the end is what would have come out without the stop, bit for bit.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsys.config import SectionConfig
from recsys.datasets.files import UNREADABLE_NUMPY, sync_file
from recsys.datasets.user_items import Dataset
from recsys.engines.factors import are_finite
from recsys.engines.start import Start
from recsys.types import Float32Array

logger = logging.getLogger(__name__)

FOLDER = "checkpoints"  # in models/
OF_ALL = ("key", "iteration", "users", "items")  # the arrays of every file
KEPT_DAYS = 7.0  # of a training that was never started again
# These change no factor; the second ones none where nothing is held back to stop by.
NOT_IN_KEY = ("track_loss", "warm_iterations", "checkpoint_every", "normalize")
OF_EARLY_STOPPING = ("check_every", "patience")


@dataclass(frozen=True, slots=True)
class State:
    """(n_users, factors) and (n_items, factors) float32 after `iteration`, from 1.

    `more` is what else a fit needs to go on: arrays of numbers or text by name.
    """

    iteration: int
    users: Float32Array
    items: Float32Array
    more: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def accept(state: State) -> None:
    """Nothing more to check."""


class Checkpoints:
    """Those of one training, which may fit a recommender more than once, in one folder.

    They stay until `clear`: a fit that was finished before the kill is not done again either.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: dict[Path, Checkpoint] = {}
        self._begun: dict[str, None] = {}
        for path in folder.glob("*-*"):
            with suppress(OSError):  # another training may have removed it
                if time.time() - path.stat().st_mtime > KEPT_DAYS * 86_400:
                    path.unlink()

    def of(
        self,
        dataset: Dataset,
        config: SectionConfig,
        start: Start | None,
        *,
        held_back: csr_matrix | None = None,
        also: Sequence[NDArray[Any]] = (),
        unit: str = "iteration",
    ) -> Checkpoint:
        """The one of this fit.

        Args:
            dataset: what is learned from.
            config: of the recommender.
            start: where it begins, if not at random.
            held_back: the cells it is stopped early by, if it is.
            also: what else decides its factors.
            unit: what it is counted in, for the messages.
        """
        key = _key(dataset, config, start, held_back, also)
        path = self.folder / f"{config.section}-{key[:16]}.npz"
        return self._used.setdefault(path, Checkpoint(path, key, config.section, unit))

    def begin(self, name: str) -> None:
        """Note that a fit of this recommender began, be it one that keeps nothing."""
        self._begun[name] = None

    @property
    def how_to_go_on(self) -> str | None:
        """What a person who stopped the training should know; None where no fit began."""
        kept = {one.name: f"up to {one.unit} {one.saved}" for one in self._used.values() if one.saved > 0}
        lost = [name for name in self._begun if name not in kept]
        told = []
        if kept:
            each = ", ".join(f"{name} is kept {how_far}" for name, how_far in kept.items())
            told.append(f"{each} in {self.folder}; the same command on the same data goes on from there.")
        if lost:
            told.append(f"{' and '.join(lost)} would start over.")
        return " ".join(told) or None

    def clear(self) -> None:
        """Remove them: the training is done."""
        for path in self._used:
            with suppress(OSError):
                path.unlink()
        self._used.clear()
        with suppress(OSError):  # others are in it
            self.folder.rmdir()


class Checkpoint:
    """The file of one fit; `saved` is the iteration or epoch it holds, 0 before there is one."""

    def __init__(self, path: Path, key: str, name: str, unit: str) -> None:
        self._path, self._key, self.saved = path, key, 0
        self.name, self.unit = name, unit

    def load(
        self, shapes: tuple[tuple[int, int], tuple[int, int]], check: Callable[[State], None] = accept
    ) -> State | None:
        """What a stopped fit left behind.

        None where there is nothing, or a file that is damaged: that is told in the log, and the fit
        begins anew.

        Args:
            shapes: of the users and of the items.
            check: of what the state holds beside them; raises one of UNREADABLE_NUMPY.
        """
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                more = {name: arrays[name] for name in arrays.files if name not in OF_ALL}
                state = State(int(arrays["iteration"]), arrays["users"], arrays["items"], more)
                self._check(str(arrays["key"]), state, shapes)
                check(state)
        except FileNotFoundError:
            return None
        except UNREADABLE_NUMPY as error:
            logger.warning(
                "checkpoint damaged, %s begins anew path=%s reason=%s", self.name, self._path, error
            )
            return None
        self.saved = state.iteration
        logger.info(
            "%s goes on from a checkpoint %s=%d path=%s", self.name, self.unit, state.iteration, self._path
        )
        return state

    def save(self, state: State) -> None:
        """Write aside and rename; where that cannot be done the training goes on without, and says so."""
        aside = self._path.with_suffix(f".{os.getpid()}")
        of_all = (self._key, state.iteration, state.users, state.items)
        arrays: dict[str, Any] = {**dict(zip(OF_ALL, of_all, strict=True)), **state.more}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                np.savez(file, **arrays)
            sync_file(aside)
            aside.replace(self._path)
        except OSError as error:
            logger.warning("checkpoint not written path=%s reason=%s", self._path, error)
            return
        finally:  # a Ctrl-C may come here too
            with suppress(OSError):
                aside.unlink()
        self.saved = state.iteration

    def _check(self, key: str, state: State, shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
        if key != self._key:
            raise ValueError("it is of another fit")
        if (state.users.shape, state.items.shape) != shapes or state.iteration < 1:
            raise ValueError(f"it holds {state.users.shape} and {state.items.shape}, not {shapes}")
        if any(side.dtype != np.float32 for side in (state.users, state.items)) or not are_finite(
            state.users, state.items
        ):
            raise ValueError("its factors are not finite float32 numbers")


def _key(
    dataset: Dataset,
    config: SectionConfig,
    start: Start | None,
    held_back: csr_matrix | None,
    also: Sequence[NDArray[Any]],
) -> str:
    left_out = NOT_IN_KEY if held_back is not None else (*NOT_IN_KEY, *OF_EARLY_STOPPING)
    decides = {name: value for name, value in asdict(config).items() if name not in left_out}
    digest = hashlib.sha256(repr(sorted(decides.items())).encode())
    arrays = list(also)
    for matrix in (dataset.user_items, held_back):
        if matrix is not None:
            arrays += [matrix.indptr, matrix.indices, matrix.data]
    if start is not None:
        digest.update(f"{start.freeze_items_first} {start.iterations} {start.features_ridge}".encode())
        arrays += [one for one in (start.items, start.users, start.features) if one is not None]
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
