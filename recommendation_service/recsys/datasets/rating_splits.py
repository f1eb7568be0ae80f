"""Ways to divide ratings into parts that share no (user, item) pair, seeded and in the order of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.datasets.ratings import Ratings
from recsys.errors import ConfigError, DataError
from recsys.types import Int64Array

TRAIN, VALIDATION, TEST = 0, 1, 2
BY_USER, GLOBAL = "user", "global"


@dataclass(frozen=True, slots=True)
class RatingSplit:
    """What may be learned from, chosen on and tested on; `strategy` says in words how it was drawn."""

    train: Ratings
    validation: Ratings
    test: Ratings
    strategy: str


def take_ratings(ratings: Ratings, rows: NDArray[Any]) -> Ratings:
    """Some rows: (n_ratings,) booleans or (n,) positions."""
    times = ratings.rated_at
    return Ratings(
        ratings.user_index[rows],
        ratings.item_index[rows],
        ratings.points[rows],
        None if times is None else times[rows],
    )


def join_ratings(a: Ratings, b: Ratings) -> Ratings:
    """Both, sorted by user, then item; times are kept when both have them.

    Raises:
        DataError: a pair is in both.
    """
    check_no_pair_shared(a, b)
    users = np.concatenate((a.user_index, b.user_index))
    items = np.concatenate((a.item_index, b.item_index))
    points = np.concatenate((a.points, b.points))
    order = np.lexsort((items, users))
    times = None
    if a.rated_at is not None and b.rated_at is not None:
        times = np.concatenate((a.rated_at, b.rated_at))[order]
    return Ratings(users[order], items[order], points[order], times)


def split_ratings(
    ratings: Ratings,
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    *,
    by: str = BY_USER,
) -> RatingSplit:
    """Draw a train, a validation and a test part at random.

    Args:
        ratings: each pair once.
        shares: of the train, validation and test part; they add up to 1, and either of the
            last two may be 0 (its part is then empty).
        seed: the same seed draws the same parts.
        by: "user" divides each user's ratings by the shares, and leaves every user at least one
            to learn from; "global" draws over all rows alike.

    Raises:
        ConfigError: the shares or `by` cannot be used.
        DataError: a part that should hold something would be empty.
    """
    check_shares(shares)
    rng = np.random.default_rng(seed)
    if by == BY_USER:
        place = _places_within_users(ratings, rng)
    elif by == GLOBAL:
        place = (rng.permutation(len(ratings)) + 0.5) / max(len(ratings), 1)
    else:
        raise ConfigError(f"A split by {by!r} is unknown; split by {BY_USER!r} or {GLOBAL!r}.")
    # A place is from 0 to 1; rounding keeps 0.8 + 0.1 from falling short of 0.9.
    part = np.searchsorted(np.round(np.cumsum(shares)[:2], 12), place, side="right")
    sizes = np.bincount(part, minlength=3)
    if any(share > 0 and size == 0 for share, size in zip(shares, sizes, strict=True)):
        raise DataError(
            f"A split of {len(ratings):,} ratings by the shares {' '.join(f'{share:g}' for share in shares)} "
            f"leaves {' / '.join(map(str, sizes.tolist()))} for train / validation / test; collect more "
            "ratings or choose other shares."
        )
    words = "each user's ratings" if by == BY_USER else "all ratings"
    strategy = f"{words} split {'/'.join(f'{share:.0%}' for share in shares)} at random (seed {seed})"
    train, validation, test = (take_ratings(ratings, part == which) for which in (TRAIN, VALIDATION, TEST))
    return RatingSplit(train, validation, test, strategy)


def k_folds(ratings: Ratings, n: int, seed: int) -> Iterator[tuple[Ratings, Ratings]]:
    """(train, test) n times over: every rating is in one test part, drawn at random over all rows.

    Raises:
        ConfigError: n is below 2.
        DataError: there are fewer ratings than folds.
    """
    if n < 2:
        raise ConfigError(f"{n} folds cannot be made; ask for 2 or more.")
    if len(ratings) < n:
        raise DataError(f"{len(ratings):,} ratings cannot be divided into {n} folds; ask for fewer.")
    fold = np.random.default_rng(seed).permutation(len(ratings)) % n
    for number in range(n):
        yield take_ratings(ratings, fold != number), take_ratings(ratings, fold == number)


def check_no_pair_shared(*parts: Ratings) -> None:
    """Refuse parts that have a (user, item) pair in common.

    Raises:
        DataError: a pair is in two of them.
    """
    width = 1 + max(int(part.item_index.max(initial=0)) for part in parts)
    keys = np.concatenate([part.user_index.astype(np.int64) * width + part.item_index for part in parts])
    ordered = np.sort(keys)
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(twice):
        user, item = divmod(int(ordered[twice[0]]), width)
        raise DataError(
            f"{len(twice):,} pairs are on two sides of a split, the first user {user} with item {item}; "
            "each pair must be in one part only."
        )


def _places_within_users(ratings: Ratings, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n_ratings,) from 0 to 1: where a row stands among its user's, shuffled and shifted; the first at 0.

    The shift, one a user, makes the parts right on average for users with few ratings too.
    """
    users: Int64Array = ratings.user_index.astype(np.int64)
    order = np.lexsort((rng.random(len(users)), users))
    counts = np.bincount(users)
    first = np.cumsum(counts) - counts
    rank = np.arange(len(users)) - first[users[order]]
    shift = rng.random(len(counts))[users[order]]
    place = np.empty(len(users))
    place[order] = np.where(rank == 0, 0.0, (rank + shift) / counts[users[order]])
    return place


def check_shares(shares: Sequence[float]) -> None:
    """Refuse shares that nothing can be divided by.

    Raises:
        ConfigError: they are not three from 0 that add up to 1, the first above 0.
    """
    if len(shares) != 3 or not np.isclose(sum(shares), 1.0) or shares[0] <= 0 or min(shares) < 0:
        raise ConfigError(
            f"The shares {shares} cannot be used; give three that add up to 1, the first above 0, such as "
            "0.8 0.1 0.1."
        )
