"""ALS by the `irspack` library: regularization that grows with a user's or an item's number of acts
(Rendle et al., RecSys 2022).

The confidence of a positive cell is its weight, on top of alpha0 for every cell there is. There is
no alpha on the weights: alpha0 and regularization are already relative to them. Training sees
positive cells alone, for the library knows no preference of 0. With n the number of positive cells
of the user, a fold-in minimises

      sum over positive cells of  weight (x y - 1)^2
    + sum over dislikes of        dislike (x y)^2,    dislike = max(|weight|, 4 alpha0)
    + alpha0 sum over all items of (x y)^2
    + regularization (alpha0 n_items + n)^nu |x|^2

so a dislike counts as "no" with at least 5 times the confidence of "not seen", as with `implicit`,
and it does not make the user's regularization larger.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.engines.factors import Factors, available_cpus, diagonalize
from recsys.engines.fold_in import FoldInTerms
from recsys.engines.iterations import Course, iterate
from recsys.errors import DataError
from recsys.types import Float32Array, ProgressCallback


def fit_factors(
    dataset: Dataset, config: ALSConfig, progress: ProgressCallback, course: Course | None = None
) -> Factors:
    """Factorize the positive cells. Bit-identical for one seed, whatever the number of threads.

    Raises:
        DataError: the start does not fit, the factors grew beyond what a float32 holds, or the loss
            diverges.
    """
    solver = _Solver(dataset, config)
    run = iterate(solver, dataset, config, progress, course or Course())
    users, items = diagonalize(solver.users, solver.items)
    solver.put(users, items)
    return Factors(users, items, solver.model, run)


def ridge(n_likes: int, config: ALSConfig, n_items: int) -> float:
    """What the objective above adds to the diagonal for a history with so many likes."""
    return float(config.regularization * (config.alpha0 * n_items + n_likes) ** config.nu)


def fold_in_terms(weights: Float32Array, config: ALSConfig, n_items: int) -> FoldInTerms:
    """The objective above for a history of (n,) signed weights, in a catalogue of `n_items`."""
    size = np.abs(weights.astype(np.float64))
    liked = weights > 0
    return FoldInTerms(
        gram_weight=config.alpha0,
        ridge=ridge(int(np.count_nonzero(liked)), config, n_items),
        quadratic=np.where(liked, size, np.maximum(size, (config.least_dislike - 1.0) * config.alpha0)),
        linear=np.where(liked, size, 0.0),
    )


def save_model(model: Any, path: Path) -> None:
    """Pickle the library's model, for people to explore; nothing of ours reads it back."""
    path.write_bytes(pickle.dumps(model))


class _Solver:
    """The library's model, and its epochs."""

    def __init__(self, dataset: Dataset, config: ALSConfig) -> None:
        from irspack import IALSRecommender  # trains only; an answering service lacks it

        self._config = config
        self.model = IALSRecommender(
            dataset.positive,
            n_components=config.factors,
            alpha0=config.alpha0,
            reg=config.regularization,
            nu=config.nu,
            random_seed=config.seed,
            n_threads=available_cpus(),
        )
        self.model.start_learning()
        self._trainer = self.model.trainer_as_ials.core_trainer

    @property
    def users(self) -> Float32Array:
        factors: Float32Array = self._trainer.user
        return factors

    @property
    def items(self) -> Float32Array:
        factors: Float32Array = self._trainer.item
        return factors

    def put(self, users: Float32Array | None, items: Float32Array) -> None:
        if users is not None:
            self._trainer.user = users
        self._trainer.item = items

    def step(self, *, hold_items: bool) -> None:
        held = self.items.copy() if hold_items else None
        try:
            self.model.run_epoch()
        except RuntimeError as error:  # a system it cannot solve
            raise self.not_finite(str(error)) from error
        if held is not None:
            self._trainer.item = held  # the library solves both sides or none

    def loss(self) -> float:
        return float(self.model.trainer_as_ials.compute_loss())

    def not_finite(self, found: str) -> DataError:
        return DataError(
            f"als found no finite factors with regularization={self._config.regularization} and "
            f"alpha0={self._config.alpha0} ({found}); raise als.regularization or check the largest weights."
        )
