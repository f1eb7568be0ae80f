"""A user from a history, exactly: the least-squares problem all engines share.

Each engine says what its objective adds for a history (`FoldInTerms`); x then solves

    (D + Yt W Y) x = Yt p,    D = gram_weight * diag(spectrum) + ridge I

with Y (n, d) the factors of the history's items, and D diagonal because the factors come rotated
(`recsys.engines.factors`). When the history is shorter than the vectors are long, the same x is

    x = D^-1 Yt s,    (I + W K) s = p,    K = Y D^-1 Yt

an n x n system instead of d x d. No inverse of W is in it: an act may weigh nothing, or less.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    right-hand side: 0 for a dislike, whose preference is 0. Neither depends on the other cells;
    the ridge may, on how many of each sign there are.
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
    if len(seen) < len(spectrum):
        return _solve_by_acts(spectrum, seen, terms)
    return _solve_by_factors(spectrum, seen, terms)


def solve_shares(
    spectrum: Float64Array, seen: Float64Array, targets: Float64Array, terms: FoldInTerms
) -> Float64Array:
    """(n, m) what each act adds to each target's score: a column adds up to `targets @ x`.

    The score y x is linear in p, so an act's share is its p times what a unit of it would add. A
    dislike's own share is 0: it works through W, on what the likes add.

    Args:
        spectrum, seen, terms: as in `solve_user`.
        targets: (m, d) factors of the items asked about.
    """
    return _units(spectrum, seen, targets, terms) * terms.linear[:, np.newaxis]


def scores_without(
    spectrum: Float64Array,
    seen: Float64Array,
    targets: Float64Array,
    terms: FoldInTerms,
    acts: NDArray[np.intp],
) -> Float64Array:
    """(n_acts, m) each target's score when one act alone is taken out of the history.

    Taking cell j out takes w_j y_j y_jt off the system and p_j y_j off its right-hand side, so that by
    Sherman and Morrison, with A the system of the whole history and v = A^-1 y_j,

        x without j = x - v (p_j - w_j y_j x) / (1 - w_j y_j v)

    Args:
        spectrum, seen, targets: as in `solve_shares`.
        terms: of the whole history, with the ridge of one without the act.
        acts: rows of `seen`.
    """
    units = _units(spectrum, seen, np.concatenate((seen, targets)), terms)
    scores, own = terms.linear @ units, units[acts, acts]
    weights = terms.quadratic[acts]
    steps = (terms.linear[acts] - weights * scores[acts]) / (1.0 - weights * own)
    without: Float64Array = scores[len(seen) :] - steps[:, np.newaxis] * units[acts, len(seen) :]
    return without


def _solve_by_acts(spectrum: Float64Array, seen: Float64Array, terms: FoldInTerms) -> Float64Array:
    scaled = seen / _diagonal(spectrum, terms)
    return _solve(_act_system(scaled, seen, terms), terms.linear) @ scaled


def _units(
    spectrum: Float64Array, seen: Float64Array, targets: Float64Array, terms: FoldInTerms
) -> Float64Array:
    """(n, m) what a unit of each act's p adds to each target's score: Y A^-1 Tt."""
    if len(seen) < len(spectrum):
        scaled = seen / _diagonal(spectrum, terms)
        return _solve(_act_system(scaled, seen, terms).T, scaled @ targets.T)
    return seen @ _solve(_factor_system(spectrum, seen, terms), targets.T)


def _solve_by_factors(spectrum: Float64Array, seen: Float64Array, terms: FoldInTerms) -> Float64Array:
    return _solve(_factor_system(spectrum, seen, terms), terms.linear @ seen)


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
