"""The half-steps of feature_als: exact least squares of many small systems, grouped by size.

A row (a user or an item) with n ratings solves

    A z = S^T t + n D m,    A = S^T S + n D

S (n, d): the other side's factors and a 1 for the row's own bias; t (n,): what is left of the
points; D: the penalties, a diagonal; m: where the row's features put it. Because D is scaled by n,
the condition number of A is at most (mean |s|^2 + max D) / min D, whatever n: no row is ill
conditioned for having few ratings, or many.

A bound on |z| is met by raising that row's own penalty: z(v) = (A + v I)^-1 (S^T t + n D m) with the
smallest v >= 0 that brings it inside, the exact minimum over the ball (the trust-region subproblem).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.ratings import Ratings
from recsys.types import Float64Array, Int32Array, Int64Array

CELLS_AT_ONCE = 1 << 22  # float64 cells gathered together: 32 MB
MIN_FILL = 0.75  # rows solved together have at least this share of the longest one's ratings
EXACT_AT_ONCE = 64  # systems whose eigenvalues are found together
BISECTIONS = 200  # a bracket of any size halved down to neighbouring floats


@dataclass(frozen=True, slots=True)
class Side:
    """The ratings grouped by one side's rows: CSR `starts` (n_rows + 1,), `others` the other side's index,
    `points` less the mean; `counts` (n_rows,) ratings a row, `shortest_first` the rows by them."""

    starts: Int64Array
    others: Int32Array
    points: Float64Array
    counts: Int64Array
    shortest_first: Int64Array


@dataclass(frozen=True, slots=True)
class Solved:
    """`vectors` (n_rows, d) and the `squared_error` they leave over all ratings; `condition`: the largest
    condition number of the rows' systems (before any penalty was raised, which only lowers it) and the
    `worst` row; `n_raised` rows that met the bound."""

    vectors: Float64Array
    squared_error: float
    condition: float
    worst: int
    n_raised: int


@dataclass(slots=True)
class _Worst:
    condition: float = 0.0
    row: int = -1


def build_sides(ratings: Ratings, n_users: int, n_items: int, mean: float) -> tuple[Side, Side]:
    """The same ratings by user and by item."""
    points = ratings.points.astype(np.float64) - mean
    by_user = _group(ratings.user_index, ratings.item_index, points, n_users, n_items)
    by_item = _group(ratings.item_index, ratings.user_index, points, n_items, n_users)
    return by_user, by_item


def solve_rows(
    side: Side,
    fixed: Float64Array,
    penalties: Float64Array,
    prior: Float64Array,
    max_norm: float | None = None,
) -> Solved:
    """Minimise the objective over one side's vectors, all others held.

    Args:
        side: the ratings of these rows.
        fixed: (n_others, d) factors of the other side, its bias last.
        penalties: (d,) diagonal of D, all above 0.
        prior: (n_rows, d) where the features put each row; a row without a rating gets this.
        max_norm: no vector longer than this.
    """
    vectors = prior.copy() if max_norm is None else shorten(prior, max_norm)
    worst, n_raised, error = _Worst(), 0, 0.0
    # One row more, of zeros, for the places where a group's shorter rows have no rating.
    design = np.vstack((fixed, np.zeros(fixed.shape[1])))
    design[:-1, -1] = 1.0
    other_biases = np.append(fixed[:, -1], 0.0)
    diagonal = np.arange(len(penalties))
    for rows in _groups(side, fixed.shape[1]):
        counts = side.counts[rows].astype(np.float64)
        seen, targets = _gather(side, rows, design, other_biases)
        systems = seen.transpose(0, 2, 1) @ seen  # (n_group, d, d)
        right = (seen.transpose(0, 2, 1) @ targets[:, :, None])[:, :, 0]
        smallest = counts * _least_eigenvalues(systems[:, -1] / counts[:, None], penalties)
        scaled = counts[:, None] * penalties
        systems[:, diagonal, diagonal] += scaled
        right += scaled * prior[rows]
        solved = np.linalg.solve(systems, right[:, :, None])[:, :, 0]
        _note_worst(worst, rows, systems, smallest)
        if max_norm is not None:
            long = np.flatnonzero(np.linalg.norm(solved, axis=1) > max_norm)
            n_raised += len(long)
            solved[long] = shorten(solve_within(systems[long], right[long], max_norm), max_norm)  # rounding
        targets -= (seen @ solved[:, :, None])[:, :, 0]
        error += float(np.vdot(targets, targets))
        vectors[rows] = solved
    return Solved(vectors, error, worst.condition, worst.row, n_raised)


def solve_within(systems: Float64Array, right: Float64Array, max_norm: float) -> Float64Array:
    """(n, d) minima of z A z / 2 - b z over |z| <= max_norm, for rows whose free minimum lies outside.

    Args:
        systems: (n, d, d) symmetric, positive definite.
        right: (n, d).
        max_norm: the bound, above 0.
    """
    eigenvalues, basis = np.linalg.eigh(systems)
    rotated = (basis.transpose(0, 2, 1) @ right[:, :, None])[:, :, 0]
    low = np.zeros(len(right))
    high = np.linalg.norm(right, axis=1) / max_norm  # |z(v)| <= |b| / v
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        outside = np.linalg.norm(rotated / (eigenvalues + middle[:, None]), axis=1) > max_norm
        low, high = np.where(outside, middle, low), np.where(outside, high, middle)
        if ((low + high) / 2 == middle).all():
            break
    solved: Float64Array = (basis @ (rotated / (eigenvalues + high[:, None]))[:, :, None])[:, :, 0]
    return solved


def shorten(vectors: Float64Array, max_norm: float) -> Float64Array:
    """The same vectors, those longer than `max_norm` brought to that length."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors * np.where(lengths > max_norm, max_norm / np.maximum(lengths, max_norm), 1.0)


def _group(rows: Int32Array, others: Int32Array, points: Float64Array, n_rows: int, n_others: int) -> Side:
    # The position, counted from 1, survives as data; a point of 0 would be dropped.
    places = np.arange(1, len(rows) + 1)
    grouped = csr_matrix((places, (rows, others)), (n_rows, n_others))
    counts = np.diff(grouped.indptr).astype(np.int64)
    order = np.argsort(counts, kind="stable")
    starts = grouped.indptr.astype(np.int64)
    return Side(starts, grouped.indices.astype(np.int32), points[grouped.data - 1], counts, order)


def _groups(side: Side, width: int) -> Iterator[Int64Array]:
    """Rows to solve together: nearly equally many ratings, and no more than fit the memory set aside.

    Those with the fewest come first: among them is the worst conditioned row, and whoever comes after it
    is told from it by a bound.
    """
    order, counts = side.shortest_first, side.counts[side.shortest_first]
    start = int(np.searchsorted(counts, 1))
    while start < len(order):
        alike = int(np.searchsorted(counts, counts[start] / MIN_FILL, side="right"))
        longest = int(counts[alike - 1])
        fits = max(1, CELLS_AT_ONCE // (width * max(longest, width)))
        end = min(start + fits, alike)
        yield order[start:end]
        start = end


def _gather(
    side: Side, rows: Int64Array, design: Float64Array, other_biases: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """(n_group, longest, d) and (n_group, longest): S and t of each row, zeros past its last rating."""
    places = np.arange(side.counts[rows].max())
    filled = places < side.counts[rows][:, None]
    where = np.where(filled, side.starts[rows][:, None] + places, 0)
    others = np.where(filled, side.others[where], len(design) - 1)
    targets = np.where(filled, side.points[where] - other_biases[others], 0.0)
    return design[others], targets


def _least_eigenvalues(means: Float64Array, penalties: Float64Array) -> Float64Array:
    """(n,) what no eigenvalue of A / n lies below, from the means (n, d) of the rows of S.

    The last entry of a row of S is 1, so S^T S / n is at least v v^T with v the mean row, and A / n at
    least D + v v^T. With p the smallest penalty of the factors and b that of the bias, that is at least
    diag(p, .., p, b) + v v^T, whose eigenvalues are p and those of a 2 x 2 matrix.
    """
    of_factors, of_bias = penalties[:-1].min(), penalties[-1]
    squared = np.einsum("nd,nd->n", means[:, :-1], means[:, :-1])
    trace = of_factors + squared + of_bias + 1.0
    determinant = of_factors * of_bias + of_factors + of_bias * squared
    smaller = 2 * determinant / (trace + np.sqrt(np.maximum(trace**2 - 4 * determinant, 0.0)))
    least: Float64Array = np.minimum(of_factors, smaller)
    return least


def _note_worst(worst: _Worst, rows: Int64Array, systems: Float64Array, smallest: Float64Array) -> None:
    """Find the exact largest condition number with few eigenvalue problems.

    No eigenvalue lies below `smallest`, none above |A| nor, closer, the root of |A^2| (Frobenius): only rows
    whose quotient is above the largest exact condition number so far need theirs.
    """
    suspects = np.flatnonzero(_lengths(systems) > worst.condition * smallest)
    systems, smallest = systems[suspects], smallest[suspects]
    bounds = np.sqrt(_lengths(systems @ systems)) / smallest
    order = np.argsort(-bounds, kind="stable")
    for start in range(0, len(order), EXACT_AT_ONCE):
        part = order[start : start + EXACT_AT_ONCE]
        part = part[bounds[part] > worst.condition]
        if len(part) == 0:
            return
        eigenvalues = np.linalg.eigvalsh(systems[part])
        # Rounding must not find a smaller eigenvalue than there can be.
        conditions = eigenvalues[:, -1] / np.maximum(eigenvalues[:, 0], smallest[part])
        largest = int(conditions.argmax())
        if conditions[largest] > worst.condition:
            worst.condition, worst.row = float(conditions[largest]), int(rows[suspects[part[largest]]])


def _lengths(matrices: Float64Array) -> Float64Array:
    """(n,) Frobenius norms."""
    lengths: Float64Array = np.sqrt(np.einsum("nij,nij->n", matrices, matrices))
    return lengths
