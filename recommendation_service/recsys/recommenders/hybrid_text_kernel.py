"""The inner loop of hybrid_text, compiled: a sample of bpr whose pair is ordered twice.

Once by the items' own vectors, once by their projected text vectors; one user vector serves both. The
projection itself is not moved here: what it would gain is summed up by item.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from recsys.recommenders.bpr_kernel import _below, draw_negative


@njit(cache=True, fastmath=True, error_model="numpy")
def run_block(  # type: ignore[no-untyped-def]
    users,
    liked,
    multiple,
    seen,
    explicit,
    implicit,
    popularity,
    shares,
    user_factors,
    own,
    projected,
    gained,
    content_weight,
    rate,
    decay,
    state,
):
    """Draw and learn from samples of some likes; user factors and own vectors are changed in place.

    Args:
        users, liked: (n,) int32 what is drawn from, a like a place.
        multiple: how many samples a place, on average.
        seen, explicit, implicit, popularity: as in `sampling.NegativePools`.
        shares: as by `sampling.shares_of`.
        user_factors, own: float32, C order; `own` (n_items, d) the items' own vectors.
        projected: (n_items, d) float32 text vectors through the projection; only read.
        gained: (n_items, d) float32, added to: the gradient of the objective by `projected`.
        content_weight: of ordering by `projected`; 1 less it, of ordering by `own`.
        rate, decay: learning rate, and weight of the squared lengths.
        state: (1,) uint64 of the generator, not 0; moved on.

    Returns:
        Summed -log sigmoid by own vectors and by texts, and of each of `sampling.KINDS` how many and
        their summed weighted scores.
    """
    n_items, d = own.shape
    counts, scores = np.zeros(4, np.int64), np.zeros(4)
    own_loss, text_loss = 0.0, 0.0
    rate32, decay32 = np.float32(rate), np.float32(decay)
    text_share = np.float32(content_weight)
    own_share = np.float32(1.0) - text_share
    for _sample in range(len(users) * multiple):
        place = _below(state, len(users))
        u, i = users[place], liked[place]
        kind, j = draw_negative(state, u, seen, explicit, implicit, popularity, shares, n_items)
        x, p, n, cp, cn = user_factors[u], own[i], own[j], projected[i], projected[j]
        own_margin, text_margin, of_other = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for f in range(d):
            own_margin += x[f] * (p[f] - n[f])
            text_margin += x[f] * (cp[f] - cn[f])
            of_other += x[f] * (own_share * n[f] + text_share * cn[f])
        own_slope = np.float32(1.0) / (np.float32(1.0) + np.exp(own_margin))
        text_slope = np.float32(1.0) / (np.float32(1.0) + np.exp(text_margin))
        own_loss -= np.log(max(np.float32(1.0) - own_slope, np.float32(1e-38)))
        text_loss -= np.log(max(np.float32(1.0) - text_slope, np.float32(1e-38)))
        counts[kind] += 1
        scores[kind] += of_other
        own_slope *= own_share
        text_slope *= text_share
        for f in range(d):
            xf, pf, nf = x[f], p[f], n[f]
            x[f] = xf + rate32 * (own_slope * (pf - nf) + text_slope * (cp[f] - cn[f]) - decay32 * xf)
            p[f] = pf + rate32 * (own_slope * xf - decay32 * pf)
            n[f] = nf - rate32 * (own_slope * xf + decay32 * nf)
            gained[i, f] += text_slope * xf
            gained[j, f] -= text_slope * xf
    return own_loss, text_loss, counts, scores
