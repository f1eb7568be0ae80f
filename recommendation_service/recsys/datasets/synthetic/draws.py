"""Random draws of many at once: ids, and picks from a distribution of each one's own."""

from __future__ import annotations

import numpy as np

from recsys.types import Float64Array, Int64Array, UInt8Array


def draw_uuids(rng: np.random.Generator, n: int) -> UInt8Array:
    """(n, 16) bytes of version 4 UUIDs."""
    raw = rng.integers(0, 256, (n, 16), dtype=np.uint8)
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    return raw


def format_uuids(raw: UInt8Array) -> tuple[str, ...]:
    """The usual text of (n, 16) bytes."""
    digits = raw.tobytes().hex()
    ids = (digits[start : start + 32] for start in range(0, len(digits), 32))
    return tuple(f"{i[:8]}-{i[8:12]}-{i[12:16]}-{i[16:20]}-{i[20:]}" for i in ids)


def draw_from_rows(rng: np.random.Generator, shares: Float64Array, rows: Int64Array) -> Int64Array:
    """(n,) a column for each row number in `rows`, by the shares (n_rows, n_columns) of its row.

    All rows lie end to end on one line, a unit of length each: a pick is a point on it.
    """
    n_rows, n_columns = shares.shape
    ends = np.cumsum(shares, axis=1)
    ends = ends / ends[:, -1:] + np.arange(n_rows)[:, None]
    points = rows + rng.random(len(rows))
    columns: Int64Array = np.searchsorted(ends.ravel(), points, side="right") - rows * n_columns
    picked: Int64Array = np.minimum(columns, n_columns - 1)
    return picked


def draw_shares(rng: np.random.Generator, shape: tuple[int, int], concentration: float) -> Float64Array:
    """(n_rows, n_columns) rows that add up to 1 (Dirichlet); the lower, the more one share rules."""
    drawn = rng.gamma(concentration, size=shape) + 1e-12
    shares: Float64Array = drawn / drawn.sum(axis=1, keepdims=True)
    return shares
