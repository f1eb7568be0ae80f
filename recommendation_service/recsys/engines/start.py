"""Where the iterations of ALS begin instead of at random factors.

Those of `implicit` and `irspack` solve the users first, from the items, by a few steps of conjugate gradient
that set out from the factors the users have. So the items decide; users given as well only shorten the way.
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
    into the manifest. With `features` (n_items, d) the engine irspack shrinks items not towards zero but
    towards a linear map of these, which it learns with a ridge of `features_ridge`.
    """

    items: Float32Array
    users: Float32Array | None = None
    freeze_items_first: bool = False
    iterations: int | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    features: Float32Array | None = None
    features_ridge: float = 1.0

    def check(self, n_users: int, n_items: int, factors: int, name: str = "als") -> None:
        """Refuse factors that do not fit what is fitted: the recommender of this name.

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
                    f"The {side} factors to start {name} from are {given.shape}, but the dataset and "
                    f"{name}.factors need {(rows, factors)}; align them to the {side} mapping and make them "
                    f"{factors} long."
                )
            if given.dtype != np.float32:
                raise DataError(
                    f"The {side} factors to start {name} from are {given.dtype}; convert them to float32."
                )
            if not np.isfinite(given).all():
                raise DataError(
                    f"The {side} factors to start {name} from hold a value that is not a finite number; "
                    "make them again."
                )
        if not self.items.any():
            raise DataError(
                f"The item factors to start {name} from are all zero, so no user can be solved from them; "
                "leave them out to start at random."
            )
