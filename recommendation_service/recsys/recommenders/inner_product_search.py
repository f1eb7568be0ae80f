"""Maximum inner product search, exact: the items whose vectors have the largest product with a user's.

A full scan multiplies every item vector. A pruned one visits items by falling norm and ends where
norm times norm (Cauchy-Schwarz) cannot reach the k-th best product found (LEMP, SIGMOD 2015); before
that end it multiplies only the items that a bound from their leading principal coordinates and the
norm of the rest lets through (FEXIPRO, SIGMOD 2017). What that saves depends on the norms:
`NormOrder` is made at publish time, and used where it was measured to pay.

Every score in a list is made by `exact_products`, row by row. What BLAS says of many rows at once is
used with a margin for its rounding, so all ways of searching give the same list, bit for bit.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import neg
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.errors import InvalidRequestError
from recsys.recommenders.top_of_batch import best_of_each, blocks_of, check_limit, contenders, leave_out
from recsys.types import BoolArray, Float32Array, Float64Array, Int32Array, Recommendation

NO_ITEMS = Recommendation(np.empty(0, np.int32), np.empty(0, np.float32))

COLUMNS_A_HEAD_COORDINATE = 4  # bounds read a quarter of each vector
FIRST_BLOCK = 2_048  # items; every further block has BLOCK_GROWTH times as many
BLOCK_GROWTH = 4
FIRST_SCORED = 64  # of the first block, the highest bounds: they set the mark for all others
FEW_ALLOWED = 1_024  # no more candidates than this are scored one by one
GIVE_UP_SHARE = 1 / 4  # of all items scored: a user for whom pruning does not pay gets a full scan
ROWS_AT_ONCE = 16_384  # in float64: 16 MiB at 128 columns
SMALLEST_FLOAT32 = float(np.finfo(np.float32).tiny)
LARGEST_PRODUCT = 1e37  # above it float32 sums could overflow on the way
# What a pruned search costs, in rows of a full scan of 128 columns: its own steps, and each row
# that is fetched from anywhere in memory and scored alone.
STEPS_COST = 3_000.0
ALONE_COST = 3.0


def exact_products(vectors: Float32Array, user: Float32Array) -> Float32Array:
    """(n,) products of (n, d) rows with a (d,) vector, each summed in float64 and rounded once.

    A row's product does not depend on the rows beside it.

    >>> exact_products(np.array([[1, 2], [3, 4]], np.float32), np.array([10, 1], np.float32)).tolist()
    [12.0, 34.0]
    """
    products = np.empty(len(vectors), np.float32)
    as_float64 = user.astype(np.float64)
    with np.errstate(over="ignore"):  # beyond float32 is infinite: such items tie
        for start, rows in _in_float64(vectors):
            products[start : start + len(rows)] = np.vecdot(rows, as_float64)
    return products


def best_of(item_indices: NDArray[np.integer[Any]], scores: Float32Array, limit: int) -> Recommendation:
    """The `limit` highest scores, best first; ties go to the lower item index."""
    order = np.lexsort((item_indices, -scores))[:limit]
    return Recommendation(item_indices[order].astype(np.int32, copy=False), scores[order])


@dataclass(frozen=True, slots=True)
class NormOrder:
    """What a pruned scan reads: the items by falling norm, with what bounds their products.

    `order` (n,) int32 item indices; aligned with it `norms` (n,), `head` (n, h) the leading
    coordinates on the principal axes of all item vectors, and `tail_norms` (n,) the norm of the
    others, all float32; `axes` (h, d) float64, a row an axis.
    """

    order: Int32Array
    norms: Float32Array
    head: Float32Array
    tail_norms: Float32Array
    axes: Float64Array

    @classmethod
    def build(cls, vectors: Float32Array) -> NormOrder:
        """From (n, d) finite float32 item vectors."""
        n, d = vectors.shape
        gram = np.zeros((d, d))
        for _, rows in _in_float64(vectors):
            gram += rows.T @ rows
        axes = np.ascontiguousarray(np.linalg.eigh(gram)[1].T[::-1][: -(-d // COLUMNS_A_HEAD_COORDINATE)])
        norms, head, tail_norms = np.empty(n), np.empty((n, len(axes)), np.float32), np.empty(n)
        with np.errstate(over="ignore"):  # beyond float32 is infinite: no user is then searched by it
            for start, rows in _in_float64(vectors):
                block, coordinates = slice(start, start + len(rows)), rows @ axes.T
                norms[block] = np.linalg.norm(rows, axis=1)
                head[block] = coordinates
                tail_norms[block] = np.linalg.norm(rows - coordinates @ axes, axis=1)
            order = np.argsort(-norms, kind="stable").astype(np.int32)
            in_order = norms[order].astype(np.float32), head[order], tail_norms[order].astype(np.float32)
        return cls(order, *in_order, axes)


class InnerProductSearch:
    """Finds the items with the largest products among (n, d) float32 item vectors.

    With a `NormOrder` of the first of them (or all) it prunes those; the others are always scored.
    Either way a list equals that of `exact_products` over all items, ties to the lower item index.
    """

    def __init__(self, vectors: Float32Array, norm_order: NormOrder | None = None) -> None:
        self.vectors = vectors
        self.norm_order = norm_order
        # As a plain array: every slice of a memory map costs a call into Python.
        self._rows: Float32Array = np.asarray(vectors)
        n_in_order = 0 if norm_order is None else len(norm_order.order)
        self._appended = np.arange(n_in_order, len(vectors), dtype=np.int32)
        norms = [np.linalg.norm(rows, axis=1) for _, rows in _in_float64(self._rows[n_in_order:])]
        if norm_order is not None:
            norms.append(norm_order.norms[:1])
        self._largest_norm = max((float(some.max()) for some in norms if len(some)), default=0.0)

    def extended(self, vectors: Float32Array) -> InnerProductSearch:
        """The same over `vectors`, which are these followed by more."""
        return InnerProductSearch(vectors, self.norm_order)

    def top(self, user: Float32Array, limit: int, allowed: BoolArray | None = None) -> Recommendation:
        """The best `limit` items for a (d,) float32 vector.

        Args:
            user: finite.
            limit: how many, at least 1; fewer come back only when fewer are allowed.
            allowed: (n_items,) true where an item may be returned; all by default.

        Raises:
            InvalidRequestError: the limit is below 1.
        """
        limit, n_allowed = self._count(limit, allowed)
        if limit == 0:
            return NO_ITEMS
        if n_allowed <= FEW_ALLOWED or self._could_overflow(user):
            items = np.arange(len(self._rows)) if allowed is None else np.flatnonzero(allowed)
            return best_of(items, exact_products(self._rows[items], user), limit)
        if self.norm_order is not None:
            return self._scan_by_norm(self.norm_order, user, limit, allowed)[0]
        return self._scan_all(user, limit, allowed)

    def top_batch(
        self, users: Float32Array, limit: int, exclude: Sequence[Int32Array] | None = None
    ) -> list[Recommendation]:
        """`top` for each row of (n_users, d) `users`, by matrix products over blocks of them.

        Args:
            users: finite.
            limit: as in `top`.
            exclude: of each user the items never to return.
        """
        check_limit(limit)
        lists: list[Recommendation] = []
        for block in blocks_of(len(users), len(self._rows)):
            lists += self._top_of_block(users[block], limit, None if exclude is None else exclude[block])
        return lists

    def scan_share(self, user: Float32Array, limit: int, allowed: BoolArray | None = None) -> float:
        """What pruning reads for this user, as a share of what a full scan reads; above 1 it loses.

        Raises:
            InvalidRequestError: the limit is below 1, or there is no `NormOrder`.
        """
        limit, _ = self._count(limit, allowed)
        if self.norm_order is None:
            raise InvalidRequestError("scan_share needs a NormOrder; build one.")
        if limit == 0 or self._could_overflow(user):
            return 1.0
        return self._scan_by_norm(self.norm_order, user, limit, allowed)[1] / len(self._rows)

    def _count(self, limit: int, allowed: BoolArray | None) -> tuple[int, int]:
        """How many to return, and out of how many."""
        check_limit(limit)
        n_allowed = len(self._rows) if allowed is None else int(np.count_nonzero(allowed))
        return min(limit, n_allowed), n_allowed

    def _could_overflow(self, user: Float32Array) -> bool:
        length = _length(user)
        fits = length <= LARGEST_PRODUCT and length * self._largest_norm <= LARGEST_PRODUCT
        return not fits  # so that 0 times infinity, which is no number, counts as too large

    def _margin(self, user: Float32Array) -> float:
        """Twice what a float32 product, or a bound, may be off its exact product by rounding."""
        d = len(user)
        return (d + 8) * (_length(user) * self._largest_norm * 2.0**-22 + SMALLEST_FLOAT32)

    def _top_of_block(
        self, users: Float32Array, limit: int, exclude: Sequence[Int32Array] | None
    ) -> list[Recommendation]:
        with np.errstate(over="ignore", invalid="ignore"):  # rows that do are not used
            scores = users @ self._rows.T
        if exclude is not None:
            leave_out(scores, exclude)
        margins = np.array([self._margin(user) for user in users])
        overflowing = [row for row, user in enumerate(users) if self._could_overflow(user)]
        scores[overflowing] = -np.inf
        rows, columns = contenders(scores, limit, np.where(np.isfinite(margins), margins, 0.0))
        products = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            vectors = self._rows[columns[part]].astype(np.float64)
            products[part] = np.vecdot(vectors, users[rows[part]].astype(np.float64))
        lists = best_of_each(rows, columns, products, limit, len(users))
        for row in overflowing:
            allowed = np.ones(len(self._rows), np.bool_)
            if exclude is not None:
                allowed[exclude[row][(exclude[row] >= 0) & (exclude[row] < len(allowed))]] = False
            lists[row] = self.top(users[row], limit, allowed)
        return lists

    def _scan_all(self, user: Float32Array, limit: int, allowed: BoolArray | None) -> Recommendation:
        return self._best_by(self._rows @ user, user, limit, allowed)

    def _best_by(
        self, approximate: Float32Array, user: Float32Array, limit: int, allowed: BoolArray | None
    ) -> Recommendation:
        """The best by exact product: only items close to the k-th approximate one need it."""
        masked = approximate if allowed is None else np.where(allowed, approximate, -np.inf)
        place = len(masked) - limit
        items = np.flatnonzero(masked >= np.partition(masked, place)[place] - self._margin(user))
        return best_of(items, exact_products(self._rows[items], user), limit)

    def _scan_by_norm(
        self, norm_order: NormOrder, user: Float32Array, limit: int, allowed: BoolArray | None
    ) -> tuple[Recommendation, float]:
        """The list, and how many rows of a full scan its reading was worth."""
        bounds_of = _Bounds(norm_order, user)
        best = _Best(self._rows, user, limit, self._margin(user))
        n, n_bounded, n_first = len(self._rows), 0, max(FIRST_SCORED, 2 * limit)
        size = max(FIRST_BLOCK, 2 * n_first)
        if len(self._appended):
            best.add(self._appended if allowed is None else self._appended[allowed[self._appended]])
        while n_bounded < (end := bounds_of.end(best.floor)):
            block = slice(n_bounded, min(n_bounded + size, end))
            n_bounded, size = block.stop, size * BLOCK_GROWTH
            bounds = bounds_of(block)
            places = np.flatnonzero(bounds >= best.floor)
            items, bounds = norm_order.order[block][places], bounds[places]
            if allowed is not None:
                is_allowed = allowed[items]
                items, bounds = items[is_allowed], bounds[is_allowed]
            if not best.is_full and len(items) > n_first:
                by_bound = np.argpartition(bounds, len(bounds) - n_first)
                best.add(items[by_bound[-n_first:]])
                others = by_bound[:-n_first]
                items = items[others[bounds[others] >= best.floor]]
            if best.n_scored + len(items) > n * GIVE_UP_SHARE:
                cost = n + _cost(norm_order, n_bounded, best.n_scored)
                return self._scan_all(user, limit, allowed), cost
            best.add(items)
        return best.found, _cost(norm_order, n_bounded, best.n_scored)


class _Bounds:
    """Upper bounds of the products of one user with items in norm order."""

    def __init__(self, norm_order: NormOrder, user: Float32Array) -> None:
        self._norm_order = norm_order
        exact = user.astype(np.float64)
        coordinates = norm_order.axes @ exact
        self._length = float(np.linalg.norm(exact))
        self._head = coordinates.astype(np.float32)
        self._tail_norm = float(np.linalg.norm(exact - coordinates @ norm_order.axes))

    def __call__(self, block: slice) -> Float32Array:
        """(block,) head times head, and norm of tail times norm of tail."""
        bounds: Float32Array = self._norm_order.head[block] @ self._head
        bounds += self._norm_order.tail_norms[block] * np.float32(self._tail_norm)
        return bounds

    def end(self, floor: float) -> int:
        """The first place in norm order from which on no product reaches `floor`."""
        norms = self._norm_order.norms
        if floor <= 0 or self._length == 0:
            return len(norms)
        return bisect_right(norms, -floor / self._length, key=neg)


class _Best:
    """The best items scored so far for one user; `floor` is what a product or bound must reach to matter."""

    def __init__(self, rows: Float32Array, user: Float32Array, limit: int, margin: float) -> None:
        self._rows, self._user, self._limit, self._margin = rows, user, limit, margin
        self.found = NO_ITEMS
        self.n_scored = 0

    @property
    def is_full(self) -> bool:
        return len(self.found.scores) == self._limit

    @property
    def floor(self) -> float:
        return float(self.found.scores[-1]) - self._margin if self.is_full else -np.inf

    def add(self, items: Int32Array) -> None:
        """Score these items, each added once."""
        self.n_scored += len(items)
        rows = self._rows.take(items, axis=0)
        approximate = rows @ self._user
        floor = self.floor
        if len(items) > self._limit:
            place = len(items) - self._limit
            floor = max(floor, float(np.partition(approximate, place)[place]) - self._margin)
        close = np.flatnonzero(approximate >= floor)
        self.found = best_of(
            np.concatenate((self.found.item_indices, items[close])),
            np.concatenate((self.found.scores, exact_products(rows[close], self._user))),
            self._limit,
        )


def _cost(norm_order: NormOrder, n_bounded: int, n_scored: int) -> float:
    """What a search took, in rows of a full scan."""
    h, d = norm_order.axes.shape
    return float(STEPS_COST + n_bounded * (h + 2) / d + ALONE_COST * n_scored)


def _length(vector: Float32Array) -> float:
    precise = vector.astype(np.float64)
    return math.sqrt(precise @ precise)


def _in_float64(vectors: Float32Array) -> Iterator[tuple[int, Float64Array]]:
    """Blocks of rows in float64, each with the index of its first row."""
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        yield start, vectors[start : start + ROWS_AT_ONCE].astype(np.float64, order="C")
