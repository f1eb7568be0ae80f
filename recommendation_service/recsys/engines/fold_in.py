"""A user from a history, exactly: the least-squares problem all engines share.

Each engine says what its objective adds for a history (`FoldInTerms`); x then solves

    A x = Yt p,    A = D + Yt W Y,    D = gram_weight * diag(spectrum) + ridge I

with Y (n, d) the factors of the history's items, and D diagonal because the factors come rotated
(`recsys.engines.factors`). When the history is shorter than the vectors are long, one inverse of an
n x n matrix S instead of a d x d one tells everything:

    x = D^-1 Yt S p,    Y A^-1 = St Y D^-1,    S = (I + W K)^-1,    K = Y D^-1 Yt

No inverse of W is in it: an act may weigh nothing, or less.

Without one act A loses a matrix of rank 1 (Sherman and Morrison, 1950), so no other system need be
solved to know what x loses. With q = A^-1 y of the act, it is

    q (p - w x.y) / (1 - w y.q)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.types import Float32Array, Float64Array

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

    @classmethod
    def of_confidences(cls, weights: Float32Array, confidence: Float64Array, ridge: float) -> Self:
        """Of (n,) signed weights, their cells with these confidences; "not seen" has 1 (Hu et al., 2008)."""
        return cls(1.0, ridge, confidence - 1.0, np.where(weights > 0, confidence, 0.0))


class FoldIn:
    """One history folded in: its user, what each act adds, and what is lost without it.

    `user` (d,) float64 minimises the objective.
    """

    def __init__(self, spectrum: Float64Array, seen: Float64Array, terms: FoldInTerms) -> None:
        """Solve it.

        Args:
            spectrum: (d,) the diagonal of YtY over all items.
            seen: (n, d) factors of the history's items.
            terms: of this history.
        """
        self._spectrum, self._seen, self.terms = spectrum, seen, terms
        diagonal = terms.gram_weight * spectrum + terms.ridge
        solve = _by_acts if len(seen) < len(spectrum) else _by_factors
        self.user, self._work_out_moved = solve(diagonal, seen, terms)

    def with_ridge(self, ridge: float) -> FoldIn:
        """The same history under another ridge."""
        return FoldIn(self._spectrum, self._seen, replace(self.terms, ridge=ridge))

    def shares(self, targets: Float64Array) -> Float64Array:
        """(n, m) what each act adds to the score of each target: a column adds up to `targets @ user`.

        The score y x is linear in p, so an act's share is its p times what a unit of it would add. A
        dislike's own share is 0: it works through W, by making the shares of the likes smaller.

        Args:
            targets: (m, d) factors of the items asked about.
        """
        shares: Float64Array = (self._moved @ targets.T) * self.terms.linear[:, np.newaxis]
        return shares

    def lost(self, acts: NDArray[np.intp]) -> Float64Array:
        """(n_acts, d) what the user loses when one act alone is taken back: x less x without it.

        Args:
            acts: (n_acts,) positions in the history.
        """
        seen, moved, quadratic = self._seen[acts], self._moved[acts], self.terms.quadratic[acts]
        steps = self.terms.linear[acts] - quadratic * (seen @ self.user)
        steps /= 1.0 - quadratic * np.vecdot(seen, moved)
        lost: Float64Array = steps[:, np.newaxis] * moved
        return lost

    @cached_property
    def _moved(self) -> Float64Array:
        """(n, d) how far a unit of each act moves the user: the rows of Y A^-1."""
        return self._work_out_moved()


Solution = tuple[Float64Array, Callable[[], Float64Array]]  # x, and what works out Y A^-1


def _by_acts(diagonal: Float64Array, seen: Float64Array, terms: FoldInTerms) -> Solution:
    """By S, (n, n)."""
    scaled = seen / diagonal
    system = terms.quadratic[:, np.newaxis] * (scaled @ seen.T)
    system.flat[:: len(system) + 1] += 1.0
    inverse = np.linalg.inv(system)
    return (inverse @ terms.linear) @ scaled, lambda: inverse.T @ scaled


def _by_factors(diagonal: Float64Array, seen: Float64Array, terms: FoldInTerms) -> Solution:
    """By A, (d, d)."""
    system = (seen.T * terms.quadratic) @ seen
    system.flat[:: len(system) + 1] += diagonal
    return _solve(system, terms.linear @ seen), lambda: _solve(system, seen.T).T


def _solve(system: Float64Array, right: Float64Array) -> Float64Array:
    return np.asarray(np.linalg.solve(system, right), np.float64)
