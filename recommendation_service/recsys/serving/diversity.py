"""Lists whose startups are not all alike, by maximal marginal relevance (Carbonell and Goldstein, 1998)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys.types import Float32Array, Float64Array

SHORTLIST_PER_PLACE = 5
LEAST_SHORTLIST = 50


def shortlist_size(limit: int) -> int:
    """How many candidates a list of `limit` is chosen from."""
    return max(SHORTLIST_PER_PLACE * limit, LEAST_SHORTLIST)


def most_diverse(
    relevance: Float64Array, vectors: Float32Array, limit: int, *, diversity: float
) -> NDArray[np.intp]:
    """The places of a shortlist in the order in which they are chosen, at most `limit`.

    Each is the one with the highest (1 - diversity) x relevance - diversity x the cosine with the
    most alike chosen before; ties go to the earlier in the shortlist.

    Args:
        relevance: (n,) any scale; the lowest of the shortlist counts 0 and the highest 1.
        vectors: (n, d) of length 1, or 0 for what nothing is known of: that is like nothing.
        limit: how many to choose.
        diversity: from 0, which only sorts by relevance, to 1, which looks at likeness alone.
    """
    spread = float(np.ptp(relevance)) if len(relevance) else 0.0
    scaled = (relevance - relevance.min(initial=np.inf)) / (spread or 1.0)
    gains = (1.0 - diversity) * scaled
    cosines = vectors @ vectors.T
    most_alike = np.full(len(gains), -np.inf)
    chosen: list[int] = []
    for _ in range(min(limit, len(gains))):
        penalties = diversity * most_alike if chosen else 0.0
        best = int(np.argmax(gains - penalties))
        chosen.append(best)
        gains[best] = -np.inf
        most_alike = np.maximum(most_alike, cosines[best])
    return np.array(chosen, np.intp)
