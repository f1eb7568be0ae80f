"""Checkpoints of ALS: a training that was killed goes on from the last one when it is started again.

A file a fit, named after the hash of what decides its factors: cells, hyper-parameters and start. It
holds both sides after an iteration as the engine had them, so what comes out in the end is what would
have come out without the stop, bit for bit.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from recsys.datasets.files import UNREADABLE_NUMPY, sync_file
from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.engines.factors import are_finite
from recsys.engines.start import Start
from recsys.types import Float32Array

logger = logging.getLogger(__name__)

FOLDER = "checkpoints"  # in models/
KEPT_DAYS = 7.0  # of a training that was never started again
# These change no factor.
NOT_IN_KEY = ("track_loss", "check_every", "patience", "warm_iterations", "checkpoint_every", "normalize")


@dataclass(frozen=True, slots=True)
class State:
    """(n_users, factors) and (n_items, factors) float32 after `iteration`, from 1."""

    iteration: int
    users: Float32Array
    items: Float32Array


class Checkpoints:
    """Those of one training, which may fit als more than once, in one folder.

    They stay until `clear`: a fit that was finished before the kill is not done again either.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: dict[Path, Checkpoint] = {}
        for path in folder.glob("als-*"):
            with suppress(OSError):  # another training may have removed it
                if time.time() - path.stat().st_mtime > KEPT_DAYS * 86_400:
                    path.unlink()

    def of(self, dataset: Dataset, config: ALSConfig, start: Start | None) -> Checkpoint:
        """The one of this fit."""
        key = _key(dataset, config, start)
        path = self.folder / f"als-{key[:16]}.npz"
        return self._used.setdefault(path, Checkpoint(path, key))

    @property
    def how_to_go_on(self) -> str | None:
        """What a person who stopped the training should know; None where nothing was kept."""
        kept = [one for one in self._used.values() if one.saved > 0]
        if not kept:
            return None
        return (
            f"als is kept up to iteration {kept[-1].saved} in {self.folder}; the same command on the same "
            "data goes on from there."
        )

    def clear(self) -> None:
        """Remove them: the training is done."""
        for path in self._used:
            with suppress(OSError):
                path.unlink()
        self._used.clear()
        with suppress(OSError):  # others are in it
            self.folder.rmdir()


class Checkpoint:
    """The file of one fit; `saved` is the iteration it holds, 0 before there is one."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key, self.saved = path, key, 0

    def load(self, shapes: tuple[tuple[int, int], tuple[int, int]]) -> State | None:
        """What a stopped fit left behind.

        None where there is nothing, or a file that is damaged: that is told in the log, and the fit
        begins anew.

        Args:
            shapes: of the users and of the items.
        """
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                state = State(int(arrays["iteration"]), arrays["users"], arrays["items"])
                self._check(str(arrays["key"]), state, shapes)
        except FileNotFoundError:
            return None
        except UNREADABLE_NUMPY as error:
            logger.warning("checkpoint damaged, als begins anew path=%s reason=%s", self._path, error)
            return None
        self.saved = state.iteration
        logger.info("als goes on from a checkpoint iteration=%d path=%s", state.iteration, self._path)
        return state

    def save(self, state: State) -> None:
        """Write aside and rename; where that cannot be done the training goes on without, and says so."""
        aside = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                np.savez(file, key=self._key, iteration=state.iteration, users=state.users, items=state.items)
            sync_file(aside)
            aside.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                aside.unlink()
            logger.warning("checkpoint not written path=%s reason=%s", self._path, error)
            return
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


def _key(dataset: Dataset, config: ALSConfig, start: Start | None) -> str:
    decides = {name: value for name, value in asdict(config).items() if name not in NOT_IN_KEY}
    digest = hashlib.sha256(repr(sorted(decides.items())).encode())
    matrix = dataset.user_items
    arrays = [matrix.indptr, matrix.indices, matrix.data]
    if start is not None:
        digest.update(f"{start.freeze_items_first} {start.iterations} {start.features_ridge}".encode())
        arrays += [one for one in (start.items, start.users, start.features) if one is not None]
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
