"""ALS on an NVIDIA GPU: the CUDA kernels of `implicit`, by the same steps as on the CPU.

The library's own `fit` on a GPU leaves `alpha` out and draws another start. Here the confidences are
made before, and the start is the CPU's, so both solve the same problem; factors differ by rounding.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from recsys.errors import ConfigError
from recsys.types import Float32Array

MEND = "set als.use_gpu to false, or train where there is one"


def import_gpu() -> Any:
    """`implicit.gpu`, where it can compute.

    Raises:
        ConfigError: the library has no CUDA build here, or there is no device.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        import implicit.gpu
    if implicit.gpu.HAS_CUDA:
        return implicit.gpu
    said = f" ({told[0].message})" if told else ""
    lacks = "finds no CUDA device" if implicit.gpu.HAS_RMM else "has no RMM, which its CUDA build needs"
    raise ConfigError(f"als.use_gpu is true but implicit {lacks}{said}; {MEND}.")


class GpuSides:
    """Cells and factors of both sides on the device."""

    def __init__(self, user_items: csr_matrix, regularization: float, cg_steps: int) -> None:
        """`user_items` (n_users, n_items) float32 of confidences, below zero where disliked."""
        self._gpu = import_gpu()
        self._user_items = self._gpu.CSRMatrix(user_items)
        self._item_users = self._gpu.CSRMatrix(user_items.T.tocsr())
        self._solver = self._gpu.LeastSquaresSolver()
        self._regularization, self._cg_steps = regularization, cg_steps
        self._users = self._items = self._gram = None

    def put(self, users: Float32Array, items: Float32Array) -> None:
        """Copy (n_users, factors) and (n_items, factors) to the device."""
        self._users, self._items = (
            self._gpu.Matrix(np.ascontiguousarray(side, np.float32)) for side in (users, items)
        )
        self._gram = self._gpu.Matrix.zeros(users.shape[1], users.shape[1])

    def solve_users(self) -> Float32Array:
        """(n_users, factors) from the items."""
        return self._solve(self._user_items, self._users, self._items)

    def solve_items(self) -> Float32Array:
        """(n_items, factors) from the users."""
        return self._solve(self._item_users, self._items, self._users)

    def _solve(self, cells: Any, solved: Any, fixed: Any) -> Float32Array:
        self._solver.calculate_yty(fixed, self._gram, self._regularization)
        self._solver.least_squares(cells, solved, self._gram, fixed, self._cg_steps)
        on_host: Float32Array = solved.to_numpy()
        return on_host
