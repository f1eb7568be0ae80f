"""An experiment log of mf as data: a change a step, what was lost, what that says; a table and pictures.

Two logs are here. TUNING_STEPS start from a plain model on points of which many are 0 for "no rating
given" and end at a tuned one. SCALE_STEPS take one configuration from a part of the ratings to all of
them, and then give it capacity; a fourth step changes the decay alone, to tell the two apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from recsys.datasets.rating_splits import GLOBAL, RatingSplit, split_ratings, take_ratings
from recsys.datasets.ratings import Ratings
from recsys.errors import DataError
from recsys.progress import StagedProgress, ignore_progress
from recsys.recommenders.mf import EpochLoss, MFConfig, MFRecommender
from recsys.recommenders.rating_base import RatingData
from recsys.training.mf_scale import EpochClock
from recsys.training.rating_log import LogRow, observe
from recsys.types import Float32Array, ProgressCallback

LOW_POINT, HIGH_POINT = 1.0, 10.0


@dataclass(frozen=True)
class Step:
    """One change. `parameters` hold from this step on; the rest is of this step alone.

    `sample`: only users drawn at random, all their ratings, until about so many are there to learn from.
    `shown`: its learning curve is worth a picture.
    """

    change: str
    parameters: Mapping[str, object]
    drops_zeros: bool = True
    sample: int | None = None
    shown: bool = False


@dataclass(frozen=True)
class Result(LogRow):
    """A step and what came of it.

    `longest_epoch_s`: by the clock, the measuring of the losses included.
    """

    config: MFConfig
    seconds: float
    longest_epoch_s: float

    def record(self) -> dict[str, Any]:
        """What a line of the experiments log holds of it."""
        return {
            "recommender": "mf",
            "kind": "mf_experiments",
            "step": self.number,
            "change": self.change,
            "n_ratings": self.n_ratings,
            "train_loss": self.train_loss,
            "validation_loss": self.validation_loss,
            "best_epoch": self.best_epoch,
            "curve": [asdict(point) for point in self.curve],
            "observation": self.observation,
        }


# Without a patience to stop it each step trains to its end, so that a picture shows what follows.
_PLAIN = {
    "factors": 50, "epochs": 20, "patience": 1000, "batch_size": 512, "learning_rate": 0.005,
    "last_rate": 1.0, "weight_decay": 0.0, "bias_decay": 0.0, "decay_power": 0.0, "dropout": 0.0,
    "output": "linear", "start": "normal", "history": False,
}  # fmt: skip


def _decay(value: float) -> dict[str, object]:
    """As torch's weight_decay: of every parameter, the biases among them."""
    return {"weight_decay": value, "bias_decay": value}


TUNING_STEPS: tuple[Step, ...] = (
    Step("Baseline: normal start, linear output, no regularization", _PLAIN, drops_zeros=False, shown=True),
    Step("L2: weight decay 1e-5", _decay(1e-5), drops_zeros=False),
    Step("Xavier start, sigmoid output", {"start": "xavier", "output": "sigmoid"}, drops_zeros=False),
    Step("25 factors, weight decay 1e-3", {"factors": 25, **_decay(1e-3)}, drops_zeros=False),
    Step("Zeros dropped: they say that no rating was given", {}, shown=True),
    Step("40 factors, weight decay 1e-4, dropout 20 %", {"factors": 40, **_decay(1e-4), "dropout": 0.2}),
    Step("30 epochs, batches of 256", {"epochs": 30, "batch_size": 256}),
    Step("Final: 50 factors", {"factors": 50}, shown=True),
)


def scale_steps(sample: int) -> tuple[Step, ...]:
    """Some users, all of them, more capacity with less regularization, and the latter alone."""
    return (
        Step(
            f"Users with {sample:,} ratings: 50 factors, dropout 20 %, weight decay 1e-4",
            {
                **_PLAIN, "start": "xavier", "output": "sigmoid", "batch_size": 8192, "epochs": 6,
                "learning_rate": 0.005, "last_rate": 0.1, "dropout": 0.2, "threads": 2, **_decay(1e-4),
            },
            sample=sample,
        ),
        Step("All users, the same", {}),
        Step(
            "128 factors, dropout 5 %, weight decay 1e-5", {"factors": 128, "dropout": 0.05, **_decay(1e-5)}
        ),
        Step("50 factors again: the regularization alone", {"factors": 50}),
    )  # fmt: skip


def run_steps(
    ratings: Ratings,
    shape: tuple[int, int],
    steps: Sequence[Step],
    *,
    points_range: tuple[float, float],
    held_back: float = 0.2,
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
    told: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Train each step on the same part, its loss measured on the rest.

    Args:
        ratings: points in `points_range`, and 0 where no rating was given.
        shape: (n_users, n_items).
        steps: parameters of one step hold for those after it.
        points_range: of the points that are ratings; where zeros are kept the range starts at 0.
        held_back: the share of the ratings that no step learns from.
        seed: of the split, the samples and every training.
        progress: told how far all of it is.
        told: called with each result as soon as it is there.

    Raises:
        DataError: a part of a step is empty.
    """
    split = split_ratings(ratings, (1 - held_back, held_back, 0.0), seed, by=GLOBAL)
    stages = StagedProgress(progress, {f"step {n}": 1.0 for n in range(1, len(steps) + 1)})
    parameters: dict[str, object] = {"seed": seed}
    results: list[Result] = []
    for number, step in enumerate(steps, start=1):
        parameters.update(step.parameters)
        train, validation = _parts(split, step, seed)
        low = points_range[0] if step.drops_zeros else min(0.0, points_range[0])
        data = RatingData(train, *shape, (low, points_range[1]))
        config = MFConfig.default(**parameters)
        clock = EpochClock(config.epochs, stages.within(f"step {number}"))
        started = time.perf_counter()
        fitted = MFRecommender(config).fit(data, validation, clock)
        result = _result(number, step, fitted, len(train), time.perf_counter() - started, clock)
        results.append(replace(result, observation=observe(result, results[-1] if results else None)))
        told(results[-1])
    return results


def plot_curve(curve: Sequence[EpochLoss], best_epoch: int, title: str, path: Path) -> None:
    """Train and validation loss an epoch, the epoch that was kept marked; a small PNG."""
    with _picture(path, title) as axes:
        epochs = [point.epoch for point in curve]
        axes.plot(epochs, [point.train for point in curve], marker=".", color="#1b6ca8", label="train")
        held_back = [point.validation for point in curve if point.validation is not None]
        if held_back:
            axes.plot(epochs, held_back, marker=".", color="#d1751f", label="validation")
            axes.axvline(best_epoch, color="#999999", linestyle="--", linewidth=1, label="kept")
        axes.set_ylim(bottom=0)
        axes.legend()


def plot_steps(results: Sequence[Result], title: str, path: Path) -> None:
    """The losses of all steps in one picture: train dashed, validation solid; a small PNG."""
    with _picture(path, title) as axes:
        for result, color in zip(results, cycle(("#1b6ca8", "#d1751f", "#2c8c4a", "#8a4fa3")), strict=False):
            epochs = [point.epoch for point in result.curve]
            held_back = [point.validation or 0.0 for point in result.curve]
            axes.plot(epochs, held_back, marker=".", color=color, label=f"{result.number}: {result.change}")
            axes.plot(epochs, [point.train for point in result.curve], linestyle="--", color=color)
        axes.figure.legend(loc="outside lower center", fontsize=7)


@contextmanager
def _picture(path: Path, title: str) -> Iterator[Any]:
    """Axes of losses against epochs, written to `path` at the end."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    yield axes
    axes.set(title=title, xlabel="epoch", ylabel="mean squared error")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def generate_with_zeros(
    *, n_users: int = 6_000, n_items: int = 8_000, n_ratings: int = 250_000, zeros: float = 0.6, seed: int = 0
) -> tuple[Ratings, float]:
    """Points from 1 to 10, many of them 0 for "no rating given", and the least loss there is on the others.

    The truth: 7 + biases of users (spread 0.9) and items (0.6) + vectors of 4 factors whose product has a
    spread of 0.8 + noise of 1.4, rounded and cut to 1 to 10. Items are drawn by a power law, users too.
    Which pairs are 0 says nothing about the points.

    Returns:
        The ratings, each pair once, and the mean squared error of the truth itself on the points above 0.
    """
    rng = np.random.default_rng(seed)
    users = (n_users * rng.random(n_ratings) ** 1.5).astype(np.int32)
    items = (n_items * rng.random(n_ratings) ** 2.5).astype(np.int32)
    keys = np.unique(users.astype(np.int64) * n_items + items)
    users, items = (part.astype(np.int32) for part in np.divmod(keys, n_items))
    tastes, kinds = (rng.normal(0, 1, (n, 4)) for n in (n_users, n_items))
    true = 7 + rng.normal(0, 0.9, n_users)[users] + rng.normal(0, 0.6, n_items)[items]
    true += 0.8 / 2 * np.einsum("nf,nf->n", tastes[users], kinds[items])
    noisy = true + rng.normal(0, 1.4, len(keys))
    points: Float32Array = np.clip(np.round(noisy), LOW_POINT, HIGH_POINT).astype(np.float32)
    is_zero = rng.random(len(keys)) < zeros
    errors = np.clip(true, LOW_POINT, HIGH_POINT)[~is_zero] - points[~is_zero]
    points[is_zero] = 0
    return Ratings(users, items, points, None), float(np.square(errors).mean())


def _parts(split: RatingSplit, step: Step, seed: int) -> tuple[Ratings, Ratings]:
    """What a step learns from and what it is measured on."""
    parts = [split.train, split.validation]
    if step.drops_zeros:
        parts = [take_ratings(part, part.points != 0) for part in parts]
    if any(len(part) == 0 for part in parts):
        raise DataError(
            f"{step.change}: no ratings are left; all of them are 0. Import ratings that are not."
        )
    if step.sample is not None:
        counts = np.bincount(parts[0].user_index)
        order = np.random.default_rng(seed).permutation(len(counts))
        is_drawn = np.zeros(1 + max(int(part.user_index.max()) for part in parts), np.bool_)
        is_drawn[order[: 1 + int(np.searchsorted(np.cumsum(counts[order]), step.sample))]] = True
        parts = [take_ratings(part, is_drawn[part.user_index]) for part in parts]
    return parts[0], parts[1]


def _result(
    number: int, step: Step, fitted: MFRecommender, n_ratings: int, seconds: float, clock: EpochClock
) -> Result:
    best = fitted.curve[fitted.best_epoch - 1]
    return Result(
        *(number, step.change, n_ratings, best.train, best.validation),
        *(fitted.best_epoch, fitted.curve, "", fitted.config, seconds),
        max(wall for wall, _ in clock.epochs()),
    )
