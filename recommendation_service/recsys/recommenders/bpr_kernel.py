"""The inner loop of Bayesian personalized ranking (Rendle et al., UAI 2009), compiled.

One sample is a user, an item they like and one they do not; a step moves all three vectors along the
gradient of log sigmoid(x.p - x.n) less the squared lengths. Numba compiles it on first use and keeps
the result on disk. One thread, one generator: the same seed gives the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

MAX_TRIES = 16  # of a popular draw that hits what the user has seen, before a uniform one takes its place


@njit(cache=True, inline="always")
def _next(state):  # type: ignore[no-untyped-def]
    """64 random bits: xorshift64* (Vigna, 2016)."""
    bits = state[0]
    bits ^= bits >> np.uint64(12)
    bits ^= bits << np.uint64(25)
    bits ^= bits >> np.uint64(27)
    state[0] = bits
    return bits * np.uint64(0x2545F4914F6CDD1D)


@njit(cache=True, inline="always")
def _below(state, n):  # type: ignore[no-untyped-def]
    """A whole number from 0 to n - 1 (Lemire, 2019), n below 2 ** 32."""
    return np.int64(((_next(state) >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@njit(cache=True, inline="always")
def _share(state):  # type: ignore[no-untyped-def]
    """A number from 0 to below 1."""
    return np.float64(_next(state) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, inline="always")
def _holds(items, start, end, item):  # type: ignore[no-untyped-def]
    """Whether an ascending run of items holds one."""
    low, high = start, end
    while low < high:
        middle = (low + high) >> 1
        if items[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low < end and items[low] == item


@njit(cache=True, inline="always")
def draw_negative(state, u, seen, explicit, implicit, popularity, shares, n_items):  # type: ignore[no-untyped-def]
    """A negative of user u: its place in `sampling.KINDS`, and the item."""
    start, end = seen.starts[u], seen.starts[u + 1]
    # Which kind.
    n_explicit = explicit.starts[u + 1] - explicit.starts[u]
    n_implicit = implicit.starts[u + 1] - implicit.starts[u]
    of_popular = shares[2]
    if n_explicit == 0 and n_implicit == 0:
        of_popular += shares[0] + shares[1]
    drawn = _share(state)
    kind = 3
    if n_explicit > 0 and drawn < shares[0]:
        kind = 0
    elif n_implicit > 0 and shares[0] <= drawn < shares[0] + shares[1]:
        kind = 1
    elif drawn >= 1.0 - of_popular:
        kind = 2
    # Which item.
    j = np.int64(-1)
    if kind == 0:
        j = np.int64(explicit.items[explicit.starts[u] + _below(state, n_explicit)])
    elif kind == 1:
        j = np.int64(implicit.items[implicit.starts[u] + _below(state, n_implicit)])
    elif kind == 2:
        for _ in range(MAX_TRIES):
            j = np.searchsorted(popularity, _share(state), side="right")
            if j < n_items and not _holds(seen.items, start, end, j):
                break
            j = np.int64(-1)
    if j < 0:
        kind = 3
        j = _below(state, n_items)
        while _holds(seen.items, start, end, j):
            j = _below(state, n_items)
    return kind, j


@njit(cache=True, fastmath=True, error_model="numpy")
def run_epoch(  # type: ignore[no-untyped-def]
    users,
    liked,
    blocks,
    multiple,
    seen,
    explicit,
    implicit,
    popularity,
    shares,
    user_factors,
    item_factors,
    rate,
    item_rate,
    decay,
    state,
):
    """Draw and learn from samples, block by block; both factor matrices are changed in place.

    Args:
        users, liked: (n_positives,) int32 what is drawn from, a positive cell a place.
        blocks: (n_blocks + 1,) int64 where blocks of places start. Within one, places are drawn at
            random: the vectors of its users stay in the processor's cache.
        multiple: how many samples a place, on average.
        seen, explicit, implicit, popularity: as in `sampling.NegativePools`.
        shares: as by `sampling.shares_of`.
        user_factors, item_factors: float32, C order.
        rate, item_rate, decay: learning rates of users and items, and weight of the squared lengths.
        state: (1,) uint64 of the generator, not 0; moved on.

    Returns:
        Summed -log sigmoid, and of each of `sampling.KINDS` how many and their summed scores.
    """
    n_items, d = item_factors.shape
    counts, scores = np.zeros(4, np.int64), np.zeros(4)
    loss = 0.0
    rate32, item_rate32, decay32 = np.float32(rate), np.float32(item_rate), np.float32(decay)
    for block in range(len(blocks) - 1):
        first, size = blocks[block], blocks[block + 1] - blocks[block]
        for _sample in range(size * multiple):
            place = first + _below(state, size)
            u, i = users[place], liked[place]
            kind, j = draw_negative(state, u, seen, explicit, implicit, popularity, shares, n_items)
            # The step.
            x, p, n = user_factors[u], item_factors[i], item_factors[j]
            of_liked, of_other = np.float32(0.0), np.float32(0.0)
            for f in range(d):
                of_liked += x[f] * p[f]
                of_other += x[f] * n[f]
            margin = of_liked - of_other
            slope = np.float32(1.0) / (np.float32(1.0) + np.exp(margin))
            loss -= np.log(max(np.float32(1.0) - slope, np.float32(1e-38)))
            counts[kind] += 1
            scores[kind] += of_other
            for f in range(d):
                xf, pf, nf = x[f], p[f], n[f]
                x[f] = xf + rate32 * (slope * (pf - nf) - decay32 * xf)
                p[f] = pf + item_rate32 * (slope * xf - decay32 * pf)
                n[f] = nf - item_rate32 * (slope * xf + decay32 * nf)
    return loss, counts, scores
