"""The hyper-parameters of ALS: one flat set, whatever the engine.

Which engine reads which stands in training_config.yaml. Flat, and not a set an engine: most are
shared, and so stay one name for flags, grids and the recipe in a release.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recsys.config import SectionConfig
from recsys.engines.fold_in import MIN_DISLIKE_CONFIDENCE

ENGINE_NAMES = ("implicit", "irspack")


@dataclass(frozen=True)
class ALSConfig(SectionConfig):
    """Hyper-parameters of ALS; the meanings stand in training_config.yaml."""

    section: ClassVar[str] = "als"
    # What a cell below zero counts for at least, times "not seen": an act has a weight, no confidence.
    least_dislike: ClassVar[float] = MIN_DISLIKE_CONFIDENCE
    engine: str
    factors: int
    regularization: float
    iterations: int
    alpha: float
    alpha0: float
    nu: float
    seed: int

    def __post_init__(self) -> None:
        self.require(self.engine in ENGINE_NAMES, "engine", f"one of {', '.join(ENGINE_NAMES)}")
        self.require(1 <= self.factors <= 4096, "factors", "a whole number from 1 to 4096")
        self.require(self.regularization > 0, "regularization", "above zero")
        self.require(self.iterations >= 1, "iterations", "a whole number from 1")
        self.require(self.alpha > 0, "alpha", "above zero")
        self.require(self.alpha0 > 0, "alpha0", "above zero")
        self.require(0 <= self.nu <= 1, "nu", "from 0 (the same for everybody) to 1")
        self.require(0 <= self.seed < 2**31, "seed", "a whole number from 0 below 2^31")
