"""What a rating says as an act: 5 stars are a favorite, 1 star is a dislike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsys.datasets.importers.columns import CellError
from recsys.datasets.weights import SIGNALS
from recsys.errors import ConfigError
from recsys.types import Float64Array, UInt8Array

SKIP = "skip"
SKIPPED = len(SIGNALS)  # the code of a rating that becomes no act


@dataclass(frozen=True, slots=True)
class RatingTypes:
    """The type a rating becomes: that of the highest bound it reaches.

    `bounds` go from low to high; `types` are signals, or "skip" for ratings that say nothing.
    Ratings below the first bound or above `highest` are refused.
    """

    bounds: tuple[float, ...]
    types: tuple[str, ...]
    highest: float = np.inf

    @classmethod
    def parse(cls, text: str) -> RatingTypes:
        """Read "5=favorite,4=like,3=view,1=dislike".

        Raises:
            ConfigError: it is not written like that, names an unknown type, or a bound twice.
        """
        parsed: dict[float, str] = {}
        for part in text.split(","):
            bound, is_pair, name = (piece.strip() for piece in part.partition("="))
            try:
                number = float(bound)
            except ValueError:
                number = np.nan
            if not is_pair or not np.isfinite(number):
                raise ConfigError(
                    f"{part!r} is not rating=type; write the map like 5=favorite,4=like,1=dislike."
                )
            if name not in (*SIGNALS, SKIP):
                raise ConfigError(f"The type {name!r} is unknown; known: {', '.join((*SIGNALS, SKIP))}.")
            if number in parsed:
                raise ConfigError(f"The rating {bound} comes twice in {text!r}; give each one type.")
            parsed[number] = name
        return cls.of(parsed)

    @classmethod
    def of(cls, types: Mapping[float, str], highest: float = np.inf) -> RatingTypes:
        """From lower bound -> type."""
        bounds = tuple(sorted(types))
        return cls(bounds, tuple(types[bound] for bound in bounds), highest)

    def __str__(self) -> str:
        return ",".join(f"{bound:g}={name}" for bound, name in zip(self.bounds, self.types, strict=True))

    def codes(self, ratings: Float64Array) -> UInt8Array:
        """(n,) uint8 positions in SIGNALS, SKIPPED where a rating becomes no act.

        Raises:
            CellError: a rating is below the first bound or above the highest.
        """
        outside = (ratings < self.bounds[0]) | (ratings > self.highest)
        if outside.any():
            row = int(np.argmax(outside))
            raise CellError(row, self._refusal(float(ratings[row])))
        code_of_bound = np.array([(*SIGNALS, SKIP).index(name) for name in self.types], dtype=np.uint8)
        codes: UInt8Array = code_of_bound[np.searchsorted(self.bounds, ratings, side="right") - 1]
        return codes

    def _refusal(self, rating: float) -> str:
        side = "below" if rating < self.bounds[0] else "above"
        limit = self.bounds[0] if rating < self.bounds[0] else self.highest
        return (
            f"the rating {rating:g} is {side} {limit:g}, which the map {self} does not cover; say what each "
            f"rating of this file means (--map), {SKIP} for nothing."
        )


DEFAULT_RATING_TYPES = RatingTypes.of(
    {0.5: "dislike", 3.0: "view", 4.0: "like", 5.0: "favorite"}, highest=5.0
)
