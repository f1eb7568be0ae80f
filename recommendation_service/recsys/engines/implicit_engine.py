"""ALS by the `implicit` library (Hu, Koren, Volinsky, ICDM 2008; conjugate gradient after
Takacs, Pilaszy, Tikk, RecSys 2011).

Its confidence is alpha * |weight|, and 1 where nothing is stored; a stored negative cell has
preference 0. The objective it minimises, and the normal equations a fold-in must solve, are

    A = YtY + sum over cells of (confidence - 1) y yt + regularization I
    b = sum over positive cells of confidence y
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.engines.factors import Factors, available_cpus, diagonalize
from recsys.engines.fold_in import FoldInTerms
from recsys.engines.gpu import GpuSides
from recsys.engines.iterations import Course, iterate
from recsys.errors import DataError
from recsys.types import Float32Array, Float64Array, ProgressCallback

START_SCALE = 0.01  # random factors are uniform from 0 to this, as in the library


def fit_factors(
    dataset: Dataset, config: ALSConfig, progress: ProgressCallback, course: Course | None = None
) -> Factors:
    """Factorize the signed cells. Bit-identical for one seed, whatever the number of threads.

    Raises:
        DataError: the start does not fit, the factors grew beyond what a float32 holds, or the loss
            diverges.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        solver = _Solver(dataset, config)
        run = iterate(solver, dataset, config, progress, course or Course())
    model = solver.model
    model.user_factors, model.item_factors = diagonalize(model.user_factors, model.item_factors)
    return Factors(model.user_factors, model.item_factors, model, run)


def confidences(weights: Float32Array, config: ALSConfig) -> Float64Array:
    """(n,) confidence of each cell, in float64."""
    scaled = config.alpha * np.abs(weights.astype(np.float64))
    return np.where(weights < 0, np.maximum(scaled, config.least_dislike), scaled)


def ridge(n_likes: int, config: ALSConfig, n_items: int) -> float:
    """The same for every history."""
    return config.regularization


def fold_in_terms(weights: Float32Array, config: ALSConfig, n_items: int) -> FoldInTerms:
    """The equations above for a history of (n,) signed weights."""
    shrinks = ridge(int(np.count_nonzero(weights > 0)), config, n_items)
    return FoldInTerms.of_confidences(weights, confidences(weights, config), shrinks)


def save_model(model: Any, path: Path) -> None:
    """Pickle the library's model, for people to explore; nothing of ours reads it back."""
    path.write_bytes(pickle.dumps(model))


class _Solver:
    """The library's model, and the steps of its own `fit`."""

    def __init__(self, dataset: Dataset, config: ALSConfig) -> None:
        from implicit.cpu.als import AlternatingLeastSquares  # trains only; an answering service lacks it

        self._config = config
        self.model = AlternatingLeastSquares(
            factors=config.factors,
            regularization=config.regularization,
            alpha=config.alpha,
            iterations=config.iterations,
            random_state=config.seed,
            num_threads=available_cpus(),
        )
        raised = _raise_dislikes(dataset.user_items, config)
        self._user_items = np.float32(config.alpha) * raised
        self._item_users = self._user_items.T.tocsr()
        rng = np.random.default_rng(config.seed)
        for side, rows in (("user_factors", dataset.n_users), ("item_factors", dataset.n_items)):
            drawn = rng.random((rows, config.factors), dtype=np.float32)
            setattr(self.model, side, drawn * np.float32(START_SCALE))
        self._gpu: GpuSides | None = None
        if config.use_gpu:
            self._gpu = GpuSides(self._user_items, config.regularization, self.model.cg_steps)
            self._gpu.put(self.users, self.items)

    @property
    def users(self) -> Float32Array:
        factors: Float32Array = self.model.user_factors
        return factors

    @property
    def items(self) -> Float32Array:
        factors: Float32Array = self.model.item_factors
        return factors

    def put(self, users: Float32Array | None, items: Float32Array) -> None:
        if users is not None:
            self.model.user_factors = np.array(users, np.float32, order="C")
        self.model.item_factors = np.array(items, np.float32, order="C")
        if self._gpu:
            self._gpu.put(self.users, self.items)

    def step(self, *, hold_items: bool) -> None:
        if self._gpu:
            self.model.user_factors = self._gpu.solve_users()
            if not hold_items:
                self.model.item_factors = self._gpu.solve_items()
            return
        self._solve(self._user_items, self.users, self.items)
        if not hold_items:
            self._solve(self._item_users, self.items, self.users)

    def loss(self) -> float:
        from implicit.cpu import _als

        model = self.model
        cells, factors = self._user_items, (model.user_factors, model.item_factors)
        return float(
            _als.calculate_loss(cells, *factors, model.regularization, num_threads=model.num_threads)
        )

    def not_finite(self, found: str) -> DataError:
        return DataError(
            f"als found no finite factors with regularization={self._config.regularization} and "
            f"alpha={self._config.alpha} ({found}); raise als.regularization or check the largest weights."
        )

    def _solve(self, cells: csr_matrix, solved: Float32Array, fixed: Float32Array) -> None:
        model = self.model
        model.solver(cells, solved, fixed, model.regularization, num_threads=model.num_threads)


def _raise_dislikes(user_items: csr_matrix, config: ALSConfig) -> csr_matrix:
    """The same matrix with dislikes strong enough to matter."""
    floor = config.least_dislike / config.alpha
    data = np.where(user_items.data < 0, np.minimum(user_items.data, -floor), user_items.data)
    return csr_matrix((data.astype(np.float32), user_items.indices, user_items.indptr), user_items.shape)
