"""The inner loops of mf, compiled: gradients of a batch without features or history, and Adam's step.

Each takes `part` and `parts` and does its share of the work, so that threads (the interpreter's lock is
free here) can do a share each. A row belongs to one share and its ratings are added in the order of the
batch, so that the bits do not depend on the number of threads. Numba keeps what it compiles on disk.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from recsys.recommenders.mf import MOST_RAW

FIRST_MOMENT, SECOND_MOMENT, EPSILON = 0.9, 0.999, 1e-8  # Adam's usual ones


@njit(cache=True, nogil=True)
def number_rows(index, place_of, rows, places, times):  # type: ignore[no-untyped-def]
    """Number the distinct rows of a batch in the order they come; returns how many there are.

    Args:
        index: (n,) int32 the row of each rating.
        place_of: (n_rows,) int32, all -1, and so left.
        rows, places, times: (n,) written: the distinct rows, each rating's place among them, how many
            ratings each has.
    """
    found = 0
    for n in range(len(index)):
        row = index[n]
        place = place_of[row]
        if place < 0:
            place = found
            place_of[row] = place
            rows[place] = row
            times[place] = 0
            found += 1
        times[place] += 1
        places[n] = place
    for place in range(found):
        place_of[rows[place]] = -1
    return found


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def slopes_of(  # type: ignore[no-untyped-def]
    user_index, item_index, points, users, user_biases, items, item_biases, drawn, dropped, offset,
    low, width, is_sigmoid, slopes, part, parts,
):  # fmt: skip
    """Write the gradient of the mean squared error by each rating's raw score into `slopes` (n,).

    `drawn` (n, factors) uint8 leaves out the factors below `dropped`; (0, 0) for no dropout. `width` is
    that of the range, used with a sigmoid.
    """
    n_ratings, factors = len(points), users.shape[1]
    kept = np.float32(256.0) / np.float32(256 - dropped)
    for n in range(n_ratings * part // parts, n_ratings * (part + 1) // parts):
        u, i = user_index[n], item_index[n]
        product = np.float32(0.0)
        if dropped > 0:
            for f in range(factors):
                product += users[u, f] * items[i, f] if drawn[n, f] >= dropped else np.float32(0.0)
            product *= kept
        else:
            for f in range(factors):
                product += users[u, f] * items[i, f]
        predicted = product + user_biases[u, 0] + item_biases[i, 0] + np.float32(offset)
        steepness = np.float32(1.0)
        if is_sigmoid:
            raw = min(max(predicted, np.float32(-MOST_RAW)), np.float32(MOST_RAW))
            share = np.float32(1.0) / (np.float32(1.0) + np.exp(-raw))
            predicted = np.float32(low) + np.float32(width) * share
            steepness = np.float32(width) * share * (np.float32(1.0) - share)
        slopes[n] = np.float32(2.0) * (predicted - points[n]) * steepness / np.float32(n_ratings)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def add_gradients(places, others, fixed, drawn, dropped, slopes, grads, bias_grads, part, parts):  # type: ignore[no-untyped-def]
    """Add up the gradients of one side's rows in `grads` (n_distinct, factors) and `bias_grads`.

    `others` (n,) the row of each rating in `fixed`, the other side's vectors; the rest as above.
    """
    factors = fixed.shape[1]
    kept = np.float32(256.0) / np.float32(256 - dropped)
    for place in range(part, len(grads), parts):
        grads[place] = np.float32(0.0)
        bias_grads[place, 0] = np.float32(0.0)
    for n in range(len(places)):
        place = places[n]
        if place % parts != part:
            continue
        other, slope = others[n], slopes[n]
        bias_grads[place, 0] += slope
        if dropped > 0:
            slope *= kept
            for f in range(factors):
                grads[place, f] += slope * fixed[other, f] if drawn[n, f] >= dropped else np.float32(0.0)
        else:
            for f in range(factors):
                grads[place, f] += slope * fixed[other, f]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def move_rows(values, first, second, decay, rows, shares, grads, rate, step, part, parts):  # type: ignore[no-untyped-def]
    """Adam's step number `step` (from 1) of some rows of a table, in place (Kingma & Ba, ICLR 2015).

    Args:
        values, first, second: (n_rows, width) float32 the table and Adam's moments.
        decay: (n_rows,) float32 the penalty of each row.
        rows: (n,) the rows to move, each once.
        shares: (n,) float32 how much of its penalty each pays.
        grads: (n, width) float32.
        rate: the learning rate.
    """
    first_kept, second_kept = np.float32(FIRST_MOMENT), np.float32(SECOND_MOMENT)
    first_new, second_new = np.float32(1 - FIRST_MOMENT), np.float32(1 - SECOND_MOMENT)
    scale = np.sqrt(1 - SECOND_MOMENT**step)
    length = np.float32(rate * scale / (1 - FIRST_MOMENT**step))
    epsilon = np.float32(EPSILON * scale)
    for n in range(part, len(rows), parts):
        row = rows[n]
        penalty = decay[row] * shares[n]
        for f in range(values.shape[1]):
            grad = grads[n, f] + penalty * values[row, f]
            m = first_kept * first[row, f] + first_new * grad
            v = second_kept * second[row, f] + second_new * grad * grad
            first[row, f] = m
            second[row, f] = v
            values[row, f] -= length * m / (np.sqrt(v) + epsilon)
