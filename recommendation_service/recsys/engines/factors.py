"""The factor format every engine hands out: both sides in the eigenbasis of the items' Gram matrix.

An orthogonal rotation of users and items changes no score. This one makes YtY diagonal, which is
what a fold-in by `recsys.engines.fold_in` needs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recsys.types import Float32Array, Float64Array

ROWS_AT_ONCE = 8_192  # as float64: 33 MB with 512 factors
# Rounding a rotated matrix to float32 leaves at most 1.2e-7 of the first; the second is for
# directions so small that they are nothing but rounding.
MAX_COSINE = 1e-6
MAX_SHARE_OF_LARGEST = 1e-12


@dataclass(slots=True)
class Run:
    """What the iterations were: `curve` has a point an iteration, `best` is the one that was kept."""

    best: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Factors:
    """`users` (n_users, factors) and `items` (n_items, factors) float32, the library's model, its run."""

    users: Float32Array
    items: Float32Array
    model: Any
    run: Run


def gram_matrix(factors: Float32Array) -> Float64Array:
    """(d, d) float64 of YtY, in bounded memory."""
    gram = np.zeros((factors.shape[1], factors.shape[1]))
    for start in range(0, len(factors), ROWS_AT_ONCE):
        rows = factors[start : start + ROWS_AT_ONCE].astype(np.float64)
        gram += rows.T @ rows
    return gram


def is_diagonal(gram: Float64Array) -> bool:
    """Whether nothing beside the diagonal is more than the rounding of a float32."""
    diagonal = np.diagonal(gram)
    lengths = np.sqrt(diagonal)
    tolerance = MAX_COSINE * np.outer(lengths, lengths) + MAX_SHARE_OF_LARGEST * diagonal.max(initial=0.0)
    return bool((np.abs(gram - np.diag(diagonal)) <= tolerance).all())


def diagonalize(user_factors: Float32Array, item_factors: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Both sides rotated so that the items' Gram matrix is diagonal, largest first."""
    _, vectors = np.linalg.eigh(gram_matrix(item_factors))
    basis = np.ascontiguousarray(vectors[:, ::-1])
    return _rotate(user_factors, basis), _rotate(item_factors, basis)


def are_finite(*factors: Float32Array) -> bool:
    """Whether no factor overflowed; only such can be rotated."""
    return all(bool(np.isfinite(side).all()) for side in factors)


def available_cpus() -> int:
    """How many CPUs this process may use; the libraries by themselves count the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _rotate(factors: Float32Array, basis: Float64Array) -> Float32Array:
    rotated = np.empty_like(factors, dtype=np.float32, order="C")
    for start in range(0, len(factors), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        rotated[rows] = factors[rows].astype(np.float64) @ basis
    return rotated
