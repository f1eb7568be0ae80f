"""Many users from their histories at once: the equations of `fold_in`, a stack of systems a solve.

Histories are sorted by length and padded to the longest of their block. A padded cell weighs nothing
and wishes for nothing, so it changes no user; what it costs is small among histories of one length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from recsys.engines.fold_in import FoldInTerms
from recsys.types import Float32Array, Float64Array, Int32Array, Int64Array

NUMBERS_AT_ONCE = 1 << 20  # of the padded histories' factors, or of the systems, in float64: 8 MiB


def fold_in_batch(
    spectrum: Float64Array,
    item_factors: Float32Array,
    items: Sequence[Int32Array],
    terms: Sequence[FoldInTerms],
) -> Float32Array:
    """The users of many histories, each the one `FoldIn` finds alone.

    Args:
        spectrum: (d,) the diagonal of YtY over all items.
        item_factors: (n_items, d) Y.
        items: of each history the n items it holds, all of them rows of Y.
        terms: of each history what the engine's objective adds for it.

    Returns:
        (n_histories, d) float32.
    """
    d = len(spectrum)
    users = np.zeros((len(items), d), np.float32)
    lengths = np.array([len(one) for one in items], np.int64)
    for rows in _blocks(lengths, d):
        longest = int(lengths[rows[-1]])
        if longest == 0:
            continue  # the user of no history is zero
        is_cell = np.arange(longest) < lengths[rows, np.newaxis]
        chosen = np.zeros(is_cell.shape, np.int64)
        quadratic, linear = np.zeros(is_cell.shape), np.zeros(is_cell.shape)
        chosen[is_cell] = np.concatenate([items[row] for row in rows])
        quadratic[is_cell] = np.concatenate([terms[row].quadratic for row in rows])
        linear[is_cell] = np.concatenate([terms[row].linear for row in rows])
        weights = np.array([(terms[row].gram_weight, terms[row].ridge) for row in rows])
        diagonals = weights[:, :1] * spectrum + weights[:, 1:]
        solve = _by_acts if longest < d else _by_factors
        users[rows] = solve(diagonals, item_factors[chosen].astype(np.float64), quadratic, linear)
    return users


def _blocks(lengths: Int64Array, d: int) -> Iterator[Int64Array]:
    """Rows by growing length, as many together as the memory set aside for them holds."""
    order = np.argsort(lengths, kind="stable")
    needs = [_numbers(int(length), d) for length in lengths[order]]
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end + 1 - start) * needs[end] > NUMBERS_AT_ONCE:
            yield order[start:end]
            start = end


def _numbers(length: int, d: int) -> int:
    """In what one history of this length needs: its factors, or its system if that is larger."""
    return max(length * d, min(length, d) ** 2, 1)


def _by_acts(
    diagonals: Float64Array, seen: Float64Array, quadratic: Float64Array, linear: Float64Array
) -> Float64Array:
    """(b, d) by (b, n, n) systems; see `fold_in`."""
    scaled = seen / diagonals[:, np.newaxis, :]
    systems = quadratic[:, :, np.newaxis] * (scaled @ seen.transpose(0, 2, 1))
    n = systems.shape[1]
    systems.reshape(len(systems), -1)[:, :: n + 1] += 1.0
    wished = np.linalg.solve(systems, linear[:, :, np.newaxis])
    users: Float64Array = (wished.transpose(0, 2, 1) @ scaled)[:, 0]
    return users


def _by_factors(
    diagonals: Float64Array, seen: Float64Array, quadratic: Float64Array, linear: Float64Array
) -> Float64Array:
    """(b, d) by (b, d, d) systems; see `fold_in`."""
    turned = seen.transpose(0, 2, 1)
    systems = (turned * quadratic[:, np.newaxis, :]) @ seen
    d = systems.shape[1]
    systems.reshape(len(systems), -1)[:, :: d + 1] += diagonals
    return np.asarray(np.linalg.solve(systems, turned @ linear[:, :, np.newaxis])[:, :, 0], np.float64)
