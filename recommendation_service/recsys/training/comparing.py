"""Several recommenders on one split: who ranks best, and whether the difference is more than chance."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recsys.datasets.splits import Split
from recsys.errors import ConfigError, DataError, RecsysError
from recsys.evaluation.bootstrap import Interval, paired_difference_interval
from recsys.evaluation.evaluate import Evaluation, evaluate
from recsys.experiments.trials import DONE, FAILED, TrialRow, append_trial, check_writable
from recsys.progress import StagedProgress, ignore_progress
from recsys.recommenders.base import Recommender
from recsys.recommenders.table import BASELINE, make_recommender, recommender_class
from recsys.training.choosing import check_overrides, fit_one, with_parts
from recsys.types import ProgressCallback

K = 10
NDCG, RECALL = f"ndcg@{K}", f"recall@{K}"
STAGE = "compare"
Overrides = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Comparison:
    """`evaluations` over the same users, the best by NDCG@10 first; popularity is among them.

    `behind` maps every other to how far it lies behind the winner: NDCG@10, paired user by user.
    """

    evaluations: Mapping[str, Evaluation]
    behind: Mapping[str, Interval]
    seconds: Mapping[str, float]

    @property
    def winner(self) -> str:
        """The highest mean NDCG@10."""
        return next(iter(self.evaluations))

    def report(self) -> str:
        """As text: a row a recommender, the winner named, the protocol."""
        lines = [
            f"{'':<12}{NDCG:>9}{'95 %':>18}{RECALL:>11}{'behind the best':>18}{'95 % paired':>20}{'s':>8}"
        ]
        for name, one in self.evaluations.items():
            ndcg, recall = one.metrics[NDCG], one.metrics[RECALL]
            row = f"{name:<12}{ndcg['mean']:>9.4f}{_between(ndcg):>18}{recall['mean']:>11.4f}"
            behind = self.behind.get(name)
            row += f"{behind['mean']:>18.4f}{_between(behind):>20}" if behind else f"{'':>38}"
            lines.append(f"{row}{self.seconds[name]:>8.1f}")
        first = self.evaluations[self.winner]
        return "\n".join((*lines, self._verdict(), f"Protocol: {first.protocol}"))

    def _verdict(self) -> str:
        tied = [name for name, interval in self.behind.items() if interval["low"] <= 0]
        if tied:
            return (
                f"Winner: {self.winner}, but not shown to be better than {', '.join(tied)}: the paired "
                "interval holds 0."
            )
        return f"Winner: {self.winner}, better than each of the others by the paired interval."


def compare(
    names: Sequence[str],
    split: Split,
    overrides: Overrides,
    *,
    data_version: str,
    folder: Path,
    progress: ProgressCallback = ignore_progress,
) -> Comparison:
    """Fit each on `split.train` with its hyper-parameters and measure it on the test part.

    Epochs are as configured: nothing is stopped early on the test part. Each is a row of the log of
    experiments, stage `compare`; one that cannot be fitted is a row with its error, and ends the comparison.

    Args:
        names: two recommenders or more.
        split: what to learn from, and what to compare on.
        overrides: hyper-parameters by recommender.
        data_version: of the data, for the log.
        folder: of experiments.
        progress: told how far it is.

    Raises:
        ConfigError: fewer than two are named, or a hyper-parameter cannot work.
        DataError: one does not fit into memory or cannot be fitted, or nobody has a held-back item.
        ArtifactError: the log cannot be written.
    """
    if len(set(names)) < 2:
        raise ConfigError("Name two recommenders or more to compare, such as recsys compare als bpr.")
    needed = with_parts((*names, BASELINE))
    check_overrides(needed, overrides)
    for name in needed:
        why_not = recommender_class(name).why_not_fit(split.train)
        if why_not is not None:
            raise DataError(f"{name} cannot learn from this dataset: {why_not}; compare the others.")
    check_writable(folder)
    stages = StagedProgress(progress, dict.fromkeys(needed, 1.0))
    fitted: dict[str, Recommender] = {}
    evaluations: dict[str, Evaluation] = {}
    seconds: dict[str, float] = {}
    for name in needed:
        started = time.perf_counter()
        try:
            fitted[name] = fit_one(name, split.train, overrides, fitted, stages.within(name))
        except RecsysError as error:
            append_trial(folder, _failed(name, overrides, str(error), split, data_version))
            raise
        seconds[name] = time.perf_counter() - started
        if name in names or name == BASELINE:
            evaluations[name] = evaluate(fitted[name], split, k=K, seed=0)
            append_trial(folder, _row(fitted[name], evaluations[name], seconds[name], data_version))
    return _compared(evaluations, seconds)


def _compared(evaluations: Mapping[str, Evaluation], seconds: Mapping[str, float]) -> Comparison:
    ordered = sorted(evaluations.items(), key=lambda one: -one[1].metrics[NDCG]["mean"])
    (_, best), *others = ordered
    behind = {
        name: paired_difference_interval(best.per_user[NDCG], one.per_user[NDCG], seed=0)
        for name, one in others
    }
    return Comparison(dict(ordered), behind, seconds)


def _row(recommender: Recommender, evaluation: Evaluation, seconds: float, data_version: str) -> TrialRow:
    parameters: dict[str, Any] = asdict(recommender.config)
    return TrialRow(
        model=recommender.name,
        stage=STAGE,
        status=DONE,
        seed=int(parameters.pop("seed", 0)),
        data_version=data_version,
        parameters=parameters,
        protocol=evaluation.protocol,
        recall=evaluation.metrics[RECALL]["mean"],
        ndcg=evaluation.metrics[NDCG]["mean"],
        seconds=seconds,
    )


def _failed(name: str, overrides: Overrides, error: str, split: Split, data_version: str) -> TrialRow:
    parameters: dict[str, Any] = asdict(make_recommender(name, **overrides.get(name, {})).config)
    return TrialRow(
        model=name,
        stage=STAGE,
        status=FAILED,
        seed=int(parameters.pop("seed", 0)),
        data_version=data_version,
        parameters=parameters,
        protocol=split.strategy,
        error=error,
    )


def _between(interval: Interval) -> str:
    return f"{interval['low']:.4f} to {interval['high']:.4f}"
