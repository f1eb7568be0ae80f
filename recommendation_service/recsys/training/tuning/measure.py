"""One try: fit with these parameters, look at the validation part on the way, measure at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recsys.datasets.splits import Split
from recsys.evaluation.evaluate import evaluate
from recsys.recommenders.base import Recommender
from recsys.recommenders.early_stopping import validation_metric
from recsys.recommenders.table import make_recommender
from recsys.training.choosing import BY_EPOCHS
from recsys.types import ProgressReport

K = 10
RUNG_SHARE = 1 / 3  # of the iterations, where a recommender cannot be looked at while it learns

# Told (iteration or epoch, figure); raises Stopped when others were better by then.
Look = Callable[[int, float], None]
Curve = tuple[tuple[int, float], ...]


class Stopped(Exception):  # noqa: N818 - not an error: a verdict
    """A try that is not worth going on with."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a try came to; `recall` and `ndcg` at 10, means over users of the validation part.

    `curve` holds (iteration or epoch, figure): NDCG@10, or what a recommender's own checks report.
    """

    recall: float
    ndcg: float
    seconds: float
    best_epoch: int | None
    curve: Curve


def measure(
    name: str,
    parameters: Mapping[str, Any],
    seed: int,
    validation: Split,
    *,
    look: Look | None = None,
) -> Measured:
    """Fit on `validation.train` and measure on its test part.

    Args:
        name: of the recommender.
        parameters: the whole configuration but the seed.
        seed: of the fit.
        validation: what to learn from, and what was held back.
        look: told of every look on the way; None: nobody stops this try, so looks that would cost a
            fit of their own are left out.

    Raises:
        Stopped: `look` has said so.
        RecsysError: it cannot be fitted with these parameters.
    """
    started = time.perf_counter()
    curve: list[tuple[int, float]] = []

    def note(step: int, figure: float) -> None:
        curve.append((step, figure))
        if look is not None:
            look(step, figure)

    recommender = make_recommender(name, **parameters, seed=seed)
    if name in BY_EPOCHS:
        _fit_by_epochs(recommender, validation, note)
        best_epoch = int(recommender.best_epoch)  # type: ignore[attr-defined]
    else:
        best_epoch = None
        if look is not None:
            _climb_a_rung(name, parameters, seed, validation, note)
        recommender.fit(validation.train)
    metrics = evaluate(recommender, validation, k=K).metrics
    ndcg = metrics[f"ndcg@{K}"]["mean"]
    if best_epoch is None and curve:
        curve.append((int(parameters["iterations"]), ndcg))
    seconds = time.perf_counter() - started
    return Measured(metrics[f"recall@{K}"]["mean"], ndcg, seconds, best_epoch, tuple(curve))


def _fit_by_epochs(recommender: Recommender, validation: Split, note: Look) -> None:
    """Stopped early by its own checks; each is noted once, when the next epoch reports at the latest."""
    noted: set[float] = set()

    def watch(report: ProgressReport) -> None:
        for point in recommender.learning_curve:  # type: ignore[attr-defined]
            figure = _checked(point)
            if figure is not None and point["epoch"] not in noted:
                noted.add(point["epoch"])
                note(int(point["epoch"]), figure)

    recommender.fit_early_stopping(validation, watch)  # type: ignore[attr-defined]
    watch(ProgressReport("", 1.0))


def _checked(point: Mapping[str, float]) -> float | None:
    """NDCG where the recommender reports it, else the figure its checks go by."""
    return next((value for name, value in point.items() if name.startswith("ndcg")), point.get("recall"))


def _climb_a_rung(name: str, parameters: Mapping[str, Any], seed: int, validation: Split, note: Look) -> None:
    """A fit of a third of the iterations, looked at before the whole is paid for."""
    iterations = int(parameters.get("iterations", 0))
    rung = round(iterations * RUNG_SHARE)
    if rung < 1:
        return
    early = make_recommender(name, **{**parameters, "iterations": rung}, seed=seed).fit(validation.train)
    note(rung, validation_metric(early, validation, "ndcg", K, seed))
