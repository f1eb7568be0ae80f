"""Where the iterations of ALS begin instead of at random factors.

Both engines solve the users first, from the items, by a few steps of conjugate gradient that set out
from the factors the users have. So the items decide; users given as well only shorten the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from recsys.errors import DataError
from recsys.types import Float32Array


@dataclass(frozen=True, slots=True)
class Start:
    """Factors to begin with, in any basis that users and items share.

    `items` (n_items, factors) and, where known, `users` (n_users, factors) float32, in the order of
    the mappings of the dataset fitted; a row of zeros is solved from the other side like any other.
    With `freeze_items_first` the first iteration solves the users alone. `iterations` are to be run
    instead of the configured ones, where it is given. `facts` say where the factors come from; they go
    into the manifest.
    """

    items: Float32Array
    users: Float32Array | None = None
    freeze_items_first: bool = False
    iterations: int | None = None
    facts: Mapping[str, object] = field(default_factory=dict)

    def check(self, n_users: int, n_items: int, factors: int) -> None:
        """Refuse factors that do not fit what is fitted.

        Raises:
            DataError: they have another shape or type, hold a value that is not finite, or the items are
                all zero, from which nothing can be solved.
        """
        sides = [("item", self.items, n_items)]
        if self.users is not None:
            sides.append(("user", self.users, n_users))
        for side, given, rows in sides:
            if given.shape != (rows, factors):
                raise DataError(
                    f"The {side} factors to start als from are {given.shape}, but the dataset and "
                    f"als.factors need {(rows, factors)}; align them to the {side} mapping and make them "
                    f"{factors} long."
                )
            if given.dtype != np.float32:
                raise DataError(
                    f"The {side} factors to start als from are {given.dtype}; convert them to float32."
                )
            if not np.isfinite(given).all():
                raise DataError(
                    f"The {side} factors to start als from hold a value that is not a finite number; "
                    "make them again."
                )
        if not self.items.any():
            raise DataError(
                "The item factors to start als from are all zero, so no user can be solved from them; "
                "leave them out to start at random."
            )
