"""How sound a fit of feature_als was: its condition numbers, its longest vectors, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from recsys.recommenders.feature_als_training import HalfStep
from recsys.types import Int64Array

SIDES = ("user", "item")


@dataclass(frozen=True, slots=True)
class SideHealth:
    """Of users or items: the largest `condition` number of a row's system in any iteration, which no row
    could bring above `bound`, and the vector that was the `longest` in the end. Rows go by their ids,
    each with its number of ratings."""

    condition: float
    bound: float
    iteration: int
    worst: str
    worst_ratings: int
    norm: float
    longest: str
    longest_ratings: int
    n_raised: int

    @classmethod
    def of(
        cls, history: Sequence[HalfStep], step: str, ids: Sequence[str] | None, counts: Int64Array
    ) -> Self:
        """What the half-steps of one kind (users or items) come to; a row without an id goes by its index."""
        steps = [one for one in history if one.step == step]
        worst, last = max(steps, key=lambda one: one.condition), steps[-1]
        return cls(
            condition=worst.condition,
            bound=worst.condition_bound,
            iteration=worst.iteration,
            worst=id_of(ids, worst.worst),
            worst_ratings=int(counts[worst.worst]),
            norm=last.largest_norm,
            longest=id_of(ids, last.longest),
            longest_ratings=int(counts[last.longest]),
            n_raised=last.n_raised,
        )

    def lines(self, side: str) -> list[str]:
        """For a person: the worst system, the longest vector, the rows held by the bound on the norm."""
        return [
            f"worst conditioned {side} {self.worst} ({self.worst_ratings:,} ratings): "
            f"{self.condition:.1f} in iteration {self.iteration}, where none could exceed {self.bound:.1f}",
            f"longest {side} vector {self.longest} ({self.longest_ratings:,} ratings): {self.norm:.3f}",
            *[f"{self.n_raised:,} {side}s held by max_norm"] * bool(self.n_raised),
        ]


@dataclass(frozen=True, slots=True)
class Health:
    """The last objective and RMSE on what was learned from, and the health of both sides."""

    objective: float
    rmse: float
    user: SideHealth
    item: SideHealth

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """What `as_facts` gave; KeyError or TypeError when it did not."""
        sides = {side: SideHealth(**facts[side]) for side in SIDES}
        return cls(float(facts["objective"]), float(facts["rmse"]), **sides)

    def as_facts(self) -> dict[str, Any]:
        """Plain values, for a manifest."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For a person."""
        fit = f"objective {self.objective:,.1f}, rmse {self.rmse:.4f} on what was learned from"
        return [fit, *self.user.lines("user"), *self.item.lines("item")]


def iteration_facts(users: HalfStep, items: HalfStep, ids: Mapping[str, Sequence[str] | None]) -> str:
    """One iteration in a line of a log."""
    return (
        f"iteration={items.iteration} objective={items.objective:.6g} rmse={items.rmse:.4f} "
        f"user_condition={users.condition:.4g} worst_user={id_of(ids['user'], users.worst)} "
        f"item_condition={items.condition:.4g} worst_item={id_of(ids['item'], items.worst)} "
        f"longest_user={id_of(ids['user'], users.longest)} user_norm={users.largest_norm:.4g} "
        f"longest_item={id_of(ids['item'], items.longest)} item_norm={items.largest_norm:.4g}"
    )


def id_of(ids: Sequence[str] | None, row: int) -> str:
    """What to call a row: its id, or its index where there are none."""
    return str(row) if ids is None else ids[row]
