"""A user from a history, exactly: the least-squares problem all engines share.

Each engine says what its objective adds for a history (`FoldInTerms`); x then solves

    (D + Yt W Y) x = Yt p,    D = gram_weight * diag(spectrum) + ridge I

with Y (n, d) the factors of the history's items, and D diagonal because the factors come rotated
(`recsys.engines.factors`). When the history is shorter than the vectors are long, the same x is

    x = D^-1 Yt s,    (I + W K) s = p,    K = Y D^-1 Yt

an n x n system instead of d x d. No inverse of W is in it: an act may weigh nothing, or less.

Without one act the matrix A on the left loses a matrix of rank 1 (Sherman and Morrison, 1950), so no
other system need be solved to know what x loses. With q = A^-1 y of the act, it is

    q (p - w x.y) / (1 - w y.q)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsys.types import Float64Array

# Of a dislike, times that of "not seen" (whose preference is 0 too): at 1 it would say nothing, and
# below it would help the item.
MIN_DISLIKE_CONFIDENCE = 5.0


@dataclass(frozen=True, slots=True)
class FoldInTerms:
    """What an engine's objective adds for one history of n cells.

    `gram_weight` multiplies YtY and `ridge` the identity (above 0); `quadratic` (n,) is what each
    cell adds to the quadratic form, the diagonal of W, and `linear` (n,) its coefficient p in the
    right-hand side: 0 for a dislike, whose preference is 0.
    """

    gram_weight: float
    ridge: float
    quadratic: Float64Array
    linear: Float64Array


def solve_user(spectrum: Float64Array, seen: Float64Array, terms: FoldInTerms) -> Float64Array:
    """(d,) the user that minimises the objective.

    Args:
        spectrum: (d,) the diagonal of YtY over all items.
        seen: (n, d) factors of the history's items.
        terms: of this history.
    """
    user: Float64Array = _solve_rows(spectrum, seen, terms, terms.linear[:, np.newaxis])[0]
    return user


def solve_losses(
    spectrum: Float64Array,
    seen: Float64Array,
    terms: FoldInTerms,
    acts: NDArray[np.intp],
    *,
    ridge_without: float,
) -> Float64Array:
    """(n_acts, d) what the user loses when one act alone is taken back: x less x without it, exactly.

    Args:
        spectrum, seen, terms: as in `solve_user`.
        acts: (n_acts,) positions in the history.
        ridge_without: of the history without any one of these acts.
    """
    chosen = np.zeros((len(seen), len(acts) + 1))
    chosen[:, 0] = terms.linear
    chosen[acts, np.arange(1, len(acts) + 1)] = 1.0
    rows = _solve_rows(spectrum, seen, replace(terms, ridge=ridge_without), chosen)
    user, moved = rows[0], rows[1:]  # x, and q of each act
    taken, quadratic = seen[acts], terms.quadratic[acts]
    steps = terms.linear[acts] - quadratic * (taken @ user)
    steps /= 1.0 - quadratic * np.einsum("ij,ij->i", taken, moved)
    lost: Float64Array = steps[:, np.newaxis] * moved
    if ridge_without != terms.ridge:
        lost += solve_user(spectrum, seen, terms) - user
    return lost


def solve_shares(
    spectrum: Float64Array, seen: Float64Array, targets: Float64Array, terms: FoldInTerms
) -> Float64Array:
    """(n, m) what each act adds to each target's score: a column adds up to `targets @ x`.

    The score y x is linear in p, so an act's share is its p times what a unit of it would add. A
    dislike's own share is 0: it works through W, by making the shares of the likes smaller.

    Args:
        spectrum, seen, terms: as in `solve_user`.
        targets: (m, d) factors of the items asked about.
    """
    if len(seen) < len(spectrum):
        return _shares_by_acts(spectrum, seen, targets, terms)
    return _shares_by_factors(spectrum, seen, targets, terms)


def _solve_rows(
    spectrum: Float64Array, seen: Float64Array, terms: FoldInTerms, right: Float64Array
) -> Float64Array:
    """(k, d) rows A^-1 Yt r, one for each column r of `right` (n, k)."""
    if len(seen) < len(spectrum):
        scaled = seen / _diagonal(spectrum, terms)
        return _solve(_act_system(scaled, seen, terms), right).T @ scaled
    return _solve(_factor_system(spectrum, seen, terms), seen.T @ right).T


def _shares_by_acts(
    spectrum: Float64Array, seen: Float64Array, targets: Float64Array, terms: FoldInTerms
) -> Float64Array:
    scaled = seen / _diagonal(spectrum, terms)
    units = _solve(_act_system(scaled, seen, terms).T, scaled @ targets.T)
    return units * terms.linear[:, np.newaxis]


def _shares_by_factors(
    spectrum: Float64Array, seen: Float64Array, targets: Float64Array, terms: FoldInTerms
) -> Float64Array:
    units = seen @ _solve(_factor_system(spectrum, seen, terms), targets.T)
    return units * terms.linear[:, np.newaxis]


def _act_system(scaled: Float64Array, seen: Float64Array, terms: FoldInTerms) -> Float64Array:
    """I + W K, (n, n)."""
    system = terms.quadratic[:, np.newaxis] * (scaled @ seen.T)
    system.flat[:: len(system) + 1] += 1.0
    return system


def _factor_system(spectrum: Float64Array, seen: Float64Array, terms: FoldInTerms) -> Float64Array:
    """D + Yt W Y, (d, d)."""
    system = (seen.T * terms.quadratic) @ seen
    system.flat[:: len(system) + 1] += _diagonal(spectrum, terms)
    return system


def _diagonal(spectrum: Float64Array, terms: FoldInTerms) -> Float64Array:
    return terms.gram_weight * spectrum + terms.ridge


def _solve(system: Float64Array, right: Float64Array) -> Float64Array:
    return np.asarray(np.linalg.solve(system, right), np.float64)
