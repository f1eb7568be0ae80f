"""The hyper-parameters of ALS: one flat set, whatever the engine.

Which engine reads which stands in training_config.yaml. Flat, and not a set an engine: most are
shared, and so stay one name for flags, grids and the recipe in a release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from recsys.config import SectionConfig
from recsys.engines.fold_in import MIN_DISLIKE_CONFIDENCE

ENGINE_NAMES = ("implicit", "irspack", "spark")
NORMALIZATIONS = ("none", "l2")
LEAST, MOST = 1e-30, 1e38
WARP = 32  # threads of a GPU that work in step; its kernels take a thread a factor, 1024 at most
# What a release did that was made before these were there: its recipe does not name them.
BEFORE_THEY_WERE_THERE: Mapping[str, object] = {
    "track_loss": False,
    "check_every": 1,
    "patience": 0,
    "warm_iterations": 1,
    "checkpoint_every": 0,
    "normalize": "none",
    "use_gpu": False,
}


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
    track_loss: bool
    check_every: int
    patience: int
    warm_iterations: int
    checkpoint_every: int
    normalize: str
    use_gpu: bool

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, object]) -> Self:
        """What a release was made with, also one older than some of the parameters.

        Raises:
            ConfigError: as `from_mapping`.
        """
        return cls.from_mapping({**BEFORE_THEY_WERE_THERE, **recipe})

    def __post_init__(self) -> None:
        self.require(self.engine in ENGINE_NAMES, "engine", f"one of {', '.join(ENGINE_NAMES)}")
        self.require(1 <= self.factors <= 4096, "factors", "a whole number from 1 to 4096")
        self.require(self.iterations >= 1, "iterations", "a whole number from 1")
        for name in ("regularization", "alpha", "alpha0"):
            accepted = f"above zero: from {LEAST:g} to {MOST:g}, what a float32 holds"
            self.require(LEAST <= getattr(self, name) <= MOST, name, accepted)
        self.require(0 <= self.nu <= 1, "nu", "from 0 (the same for everybody) to 1")
        self.require(0 <= self.seed < 2**31, "seed", "a whole number from 0 below 2^31")
        self.require(self.check_every >= 1, "check_every", "a whole number from 1")
        self.require(self.patience >= 0, "patience", "a whole number from 0 (no early stopping)")
        self.require(self.warm_iterations >= 1, "warm_iterations", "a whole number from 1")
        self.require(self.checkpoint_every >= 0, "checkpoint_every", "a whole number from 0 (none)")
        self.require(self.normalize in NORMALIZATIONS, "normalize", " or ".join(NORMALIZATIONS))
        by_steps = "{} with the engine spark, which runs all iterations in one go"
        is_spark = self.engine == "spark"
        self.require(not is_spark or not self.track_loss, "track_loss", by_steps.format("false"))
        self.require(not is_spark or self.patience == 0, "patience", by_steps.format(0))
        on_gpu = f"false with the engine {self.engine}, which computes on CPUs alone"
        self.require(not self.use_gpu or self.engine == "implicit", "use_gpu", on_gpu)
        whole_warps = self.factors % WARP == 0 and self.factors <= WARP * WARP
        self.require(not self.use_gpu or whole_warps, "factors", "a multiple of 32 up to 1024 on a GPU")
