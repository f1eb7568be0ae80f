"""The best items of many users at once, from a block of their scores.

Sorting finds them too, but reads far more than it must. The items are dealt into groups, and the k-th
highest of the groups' highest scores is a mark: k items reach it, so nothing below it is among the best
k. Few items besides those k do; they are sorted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from recsys.errors import InvalidRequestError
from recsys.types import Float32Array, Float64Array, Int32Array, Int64Array, Recommendation

SCORES_AT_ONCE = 1 << 23  # 32 MiB in float32
LARGEST_GROUP = 64
GROUPS_A_PLACE = 16  # so many groups for each place of a list, where there are enough items
LOWEST = np.finfo(np.float32).min  # above minus infinity, which stands for "left out"


def top_of_scores(
    scores: Float32Array, limit: int, exclude: Sequence[Int32Array] | None = None
) -> list[Recommendation]:
    """`top_items` of each row: the highest scores, best first, ties to the lower item index.

    Args:
        scores: (n_rows, n_items) finite scores; they are not changed.
        limit: how many a row, at least 1; fewer come back only where fewer are left.
        exclude: of each row the items never to return; others than the columns are no matter.

    >>> top_of_scores(np.array([[1, 3, 2, 3]], np.float32), 2, [np.array([1])])[0].item_indices.tolist()
    [3, 2]
    """
    check_limit(limit)
    if exclude is not None:
        scores = scores.copy()
        leave_out(scores, exclude)
    rows, columns = contenders(scores, limit)
    return best_of_each(rows, columns, scores[rows, columns], limit, len(scores))


def blocks_of(n_rows: int, n_items: int) -> Iterator[slice]:
    """Rows whose scores of `n_items` each are held in memory at once.

    >>> [block.stop for block in blocks_of(3, 5_000_000)]
    [1, 2, 3]
    """
    step = max(SCORES_AT_ONCE // max(n_items, 1), 1)
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def check_limit(limit: int) -> None:
    """Refuse a list of less than one item."""
    if limit < 1:
        raise InvalidRequestError(f"limit is {limit}; ask for at least 1.")


def leave_out(scores: Float32Array, exclude: Sequence[Int32Array]) -> None:
    """Set the scores of each row's excluded items to minus infinity, in place."""
    if len(exclude) == 0:
        return
    columns = np.concatenate(exclude)
    rows = np.repeat(np.arange(len(exclude)), [len(one) for one in exclude])
    within = (columns >= 0) & (columns < scores.shape[1])
    scores[rows[within], columns[within]] = -np.inf


def contenders(
    scores: Float32Array, limit: int, margins: Float64Array | None = None
) -> tuple[Int64Array, Int64Array]:
    """Every cell that may be among the best `limit` of its row: rows, and columns, in reading order.

    Args:
        scores: (n_rows, n_items), minus infinity where an item is left out.
        limit: how many are wanted of a row, at least 1.
        margins: (n_rows,) how far below the k-th highest score a cell still counts, by default 0.
    """
    marks = _marks(scores, min(limit, scores.shape[1]))
    if margins is not None:
        with np.errstate(over="ignore"):
            # Rounded down to float32: numbers of two types would be compared in a float64 copy.
            marks = np.nextafter((marks - margins).astype(np.float32), np.float32(-np.inf))
    marks = np.maximum(marks, LOWEST)
    cells = np.flatnonzero(scores >= marks[:, np.newaxis])
    return np.divmod(cells, scores.shape[1])


def best_of_each(
    rows: Int64Array, columns: Int64Array, scores: Float32Array, limit: int, n_rows: int
) -> list[Recommendation]:
    """The best of each row's cells as a list; `rows` are ascending."""
    order = np.lexsort((columns, -scores, rows))
    starts = np.searchsorted(rows, np.arange(n_rows + 1))
    items, scores = columns[order].astype(np.int32), scores[order]
    return [
        Recommendation(items[start : min(end, start + limit)], scores[start : min(end, start + limit)])
        for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    ]


def _marks(scores: Float32Array, limit: int) -> Float32Array:
    """(n_rows,) scores that at least `limit` items of the row reach; minus infinity where fewer are left."""
    n_rows, n_items = scores.shape
    size = max(min(n_items // (GROUPS_A_PLACE * limit), LARGEST_GROUP), 1)
    n_groups = n_items // size
    # Group g holds the items g, g + n_groups, ...: maxima of whole rows of numbers, and no run of
    # alike neighbours in one group. The rest makes groups of one.
    whole = scores[:, : size * n_groups].reshape(n_rows, size, n_groups).max(axis=1)
    highest = np.concatenate((whole, scores[:, size * n_groups :]), axis=1)
    place = highest.shape[1] - limit
    marks: Float32Array = np.partition(highest, place, axis=1)[:, place]
    return marks
