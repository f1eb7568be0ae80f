"""The hyper-parameters of ALS, the same for every engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recsys.config import SectionConfig

ENGINE_NAMES = ("implicit",)


@dataclass(frozen=True)
class ALSConfig(SectionConfig):
    """Hyper-parameters of ALS; the meanings stand in training_config.yaml."""

    section: ClassVar[str] = "als"
    engine: str
    factors: int
    regularization: float
    iterations: int
    alpha: float
    seed: int

    def __post_init__(self) -> None:
        self.require(self.engine in ENGINE_NAMES, "engine", f"one of {', '.join(ENGINE_NAMES)}")
        self.require(1 <= self.factors <= 4096, "factors", "a whole number from 1 to 4096")
        self.require(self.regularization > 0, "regularization", "above zero")
        self.require(self.iterations >= 1, "iterations", "a whole number from 1")
        self.require(self.alpha > 0, "alpha", "above zero")
        self.require(0 <= self.seed < 2**32, "seed", "a whole number from 0 below 2^32")
