"""Vectors of items brought to another length, to start item factors from.

All three methods project onto a basis of so many directions at right angles: `svd` those along which
the vectors are longest, `pca` those along which they differ most (the mean is taken out first),
`random` any (Johnson and Lindenstrauss, 1984). So the explained variance means the same in each: the
variance of what is left over that of what was there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.errors import ConfigError, DataError
from recsys.types import BoolArray, Float32Array, Float64Array

METHODS = ("svd", "pca", "random")
NOISE = 0.01  # standard deviation of a number nothing is known of, as of a start without texts


@dataclass(frozen=True)
class Projected:
    """`vectors` (n, factors) float32, and what was done: method, dimensions, explained variance."""

    vectors: Float32Array
    facts: dict[str, Any]


def check_they_differ(vectors: Float32Array | Float64Array) -> float:
    """The summed variance of the numbers of (n, d) vectors.

    Raises:
        DataError: all vectors are alike, or there is none, so they tell nothing.
    """
    variance = float(vectors.var(axis=0, dtype=np.float64).sum()) if len(vectors) else 0.0
    if variance <= 1e-12:
        raise DataError(
            f"The vectors of {len(vectors):,} items are all alike, so they tell nothing of them; "
            "check what made them."
        )
    return variance


def project(
    vectors: Float32Array, has_vector: BoolArray, *, factors: int, method: str, length: float, seed: int
) -> Projected:
    """Vectors of a length `factors`, all scaled by one number so that their mean length is `length`.

    The mean is the root of the mean square. What nothing is known of starts as it would without texts,
    at random with a standard deviation of 0.01: an item without a vector, and the numbers beyond the
    dimensions that there are.

    Args:
        vectors: (n, d) float32, a row an item.
        has_vector: (n,) whether an item's row says anything.
        factors: how many numbers a projected vector has.
        method: one of METHODS.
        length: mean length of the projected vectors of items that have one.
        seed: of the random directions and numbers.

    Raises:
        ConfigError: there is no such method.
        DataError: all vectors are alike, or none has a length, so they tell nothing.
    """
    if method not in METHODS:
        raise ConfigError(f"There is no projection {method!r}; there are {', '.join(METHODS)}.")
    rng = np.random.default_rng(seed)
    known = vectors[has_vector].astype(np.float64)
    variance = check_they_differ(known)
    centred = known - known.mean(axis=0) if method == "pca" else known
    projected = centred @ _basis(centred, factors, method, rng)
    explained = float(projected.var(axis=0).sum()) / variance
    mean_length = float(np.sqrt((projected**2).sum(axis=1).mean()))
    start = rng.normal(0.0, NOISE, (len(vectors), factors))
    start[has_vector, : projected.shape[1]] = projected * (length / max(mean_length, 1e-12))
    facts = {
        "projection": method,
        "original_dimensions": int(vectors.shape[1]),
        "projected_dimensions": int(projected.shape[1]),
        "explained_variance": round(explained, 6),
        "mean_length": length,
    }
    return Projected(start.astype(np.float32), facts)


def _basis(vectors: Float64Array, factors: int, method: str, rng: np.random.Generator) -> Float64Array:
    """(d, k) directions at right angles, k as asked or as many as there are."""
    d = vectors.shape[1]
    if method == "random":
        basis, _ = np.linalg.qr(rng.normal(size=(d, min(d, factors))))
        return np.asarray(basis, np.float64)
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    leading = directions[:, ::-1][:, : min(factors, d, len(vectors))]
    signs = np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(leading.shape[1])])
    return np.asarray(leading * signs, np.float64)
