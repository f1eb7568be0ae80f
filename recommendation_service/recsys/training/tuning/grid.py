"""Grid search: choose hyper-parameters on a part of train, test the choice once.

The test set, which no trial sees, is split off before: by time when times are known, or it is the
test file of a public split. Part of what is left is the validation set, on which all trials are
measured and one is chosen. A trial that fails is a row with its error, and the others go on.
"""

from __future__ import annotations

import csv
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recsys.datasets.splits import Split, split_for_training
from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError, ConfigError, DataError, RecsysError
from recsys.evaluation.bootstrap import Interval
from recsys.evaluation.evaluate import Evaluation, evaluate
from recsys.metrics.ranking import METRICS, parse_cutoff
from recsys.progress import StagedProgress, ignore_progress
from recsys.recommenders.table import BASELINE, make_recommender
from recsys.training.figures import format_figures
from recsys.training.memory import check_fit
from recsys.training.tuning.space import check_can_be_tried
from recsys.types import ProgressCallback

logger = logging.getLogger(__name__)

TEST_STAGE = "testing the best"
SECONDS = ("fit_seconds", "evaluate_seconds")


@dataclass(frozen=True, slots=True)
class Trial:
    """One point of the grid, measured on the validation set; figures as in Evaluation.

    One that failed has no figures but its `error`.
    """

    parameters: Mapping[str, object]
    protocol: str
    metrics: Mapping[str, Interval]
    fit_seconds: float
    evaluate_seconds: float
    error: str = ""

    def describe(self) -> str:
        """Its parameters as a command line takes them."""
        return " ".join(f"{name}={value}" for name, value in self.parameters.items())


@dataclass(frozen=True, slots=True)
class TuningResult:
    """`trials` best first; `test` and `baseline` were measured after choosing, where there is a test set.

    `failed` are those without figures, in the order tried.
    """

    recommender: str
    trials: tuple[Trial, ...]
    test: Evaluation | None
    baseline: Evaluation | None
    failed: tuple[Trial, ...] = ()

    @property
    def best(self) -> Trial:
        """The chosen trial."""
        return self.trials[0]

    def best_by(self, metric: str) -> Trial:
        """The trial with the highest mean of a metric on the validation set."""
        return max(self.trials, key=lambda trial: trial.metrics[metric]["mean"])

    def report(self) -> str:
        """As text: the trials best first, the best of each metric, the test of the chosen one."""
        header = [*self.best.parameters, *self.best.metrics, "fit s"]
        rows = [[*map(str, trial.parameters.values()), *_figures(trial)] for trial in self.trials]
        best = [f"best {metric}: {self.best_by(metric).describe()}" for metric in self.best.metrics]
        chosen = f"chosen on validation: {self.best.describe()}"
        lines = _align([header, *rows])
        lines += [f"failed: {trial.describe()}: {trial.error}" for trial in self.failed]
        lines += [f"validation: {self.best.protocol}", *best]
        if self.test is None or self.baseline is None:
            return "\n".join((*lines, chosen))
        evaluations = {self.baseline.recommender: self.baseline, self.recommender: self.test}
        tested = format_figures(evaluations, judged=self.recommender, k=self.test.k)
        return "\n".join((*lines, f"{chosen}; tested once:", tested))


def grid_search(
    train: Dataset,
    recommender: str,
    grid: Mapping[str, Sequence[object]],
    *,
    output: Path,
    test: Split | None = None,
    validation_split: float = 0.2,
    validation_popularity: float = 0.0,
    metric: str = "precision@10",
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
) -> TuningResult:
    """Measure every combination of the grid, choose the best, test it once.

    Args:
        train: what may be learned and chosen from.
        recommender: its name, such as "als".
        grid: hyper-parameter -> the values to try; the others stay as configured.
        output: a row a trial, written as soon as it is measured.
        test: what the choice is measured on at the end, with `train` as its train part; None: nothing.
        validation_split: share of the positive cells of `train` held back to choose by.
        validation_popularity: above 0 they are drawn at random, those of popular items more often.
        metric: what to choose by and where lists are cut off, such as "ndcg@20".
        seed: of random splits and of the bootstrap.

    Raises:
        ConfigError: the grid is empty, or names an unknown parameter or a value that cannot work,
            or the metric is not one of ours; found before anything is trained.
        DataError: the dataset is too small to be split, or every trial has failed.
        ArtifactError: the output cannot be written.
    """
    k = parse_cutoff(metric)
    combinations = _combine(recommender, grid)
    check_can_be_tried(recommender, train)
    validation = split_for_training(train, validation_split, seed, popularity_power=validation_popularity)
    last = () if test is None else (TEST_STAGE,)
    stages = StagedProgress(progress, dict.fromkeys((*map(_stage, combinations), *last), 1.0))
    tried: list[Trial] = []
    with _table(output, _columns(grid, k)) as write_row:
        for parameters in combinations:
            tried.append(_try(recommender, parameters, validation, k, seed, stages))
            write_row(_row(tried[-1]))
    failed = tuple(trial for trial in tried if trial.error)
    trials = sorted((t for t in tried if not t.error), key=lambda trial: -trial.metrics[metric]["mean"])
    if not trials:
        first = failed[0]
        raise DataError(
            f"All {len(failed)} trials of {recommender} failed, the first ({first.describe()}) so: "
            f"{first.error}"
        )
    if test is None:
        return TuningResult(recommender, tuple(trials), None, None, failed)

    stages.update(TEST_STAGE)
    chosen = make_recommender(recommender, **trials[0].parameters)
    check_fit(chosen, train)
    chosen.fit(train)
    tested = evaluate(chosen, test, k=k, seed=seed, progress=stages.within(TEST_STAGE))
    baseline = evaluate(make_recommender(BASELINE).fit(train), test, k=k, seed=seed)
    return TuningResult(recommender, tuple(trials), tested, baseline, failed)


@contextmanager
def _table(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """Write a CSV instead of the one that was there, each row at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.DictWriter(file, fieldnames=columns)
            rows.writeheader()

            def write_row(row: Mapping[str, object]) -> None:
                rows.writerow(row)
                file.flush()

            yield write_row
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be written ({error.strerror or error}); free space or mend the permissions, or "
            "name another file with --output."
        ) from error


def _combine(recommender: str, grid: Mapping[str, Sequence[object]]) -> list[dict[str, object]]:
    """Every combination, each tried as a configuration so that a bad one stops the search now."""
    for name, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise ConfigError(f"The grid's {name} is {values!r}; it must be a list of values to try.")
    if not grid:
        raise ConfigError(f"The grid for {recommender} is empty; name a parameter and the values to try.")
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    for parameters in combinations:
        make_recommender(recommender, **parameters)
    return combinations


def _stage(parameters: Mapping[str, object]) -> str:
    return "trying " + " ".join(f"{name}={value}" for name, value in parameters.items())


def _try(
    recommender: str,
    parameters: Mapping[str, object],
    validation: Split,
    k: int,
    seed: int,
    stages: StagedProgress,
) -> Trial:
    """A trial measured; one that does not fit into memory, or cannot be fitted, says why."""
    stage = _stage(parameters)
    stages.update(stage)
    started = time.perf_counter()
    try:
        fitted = make_recommender(recommender, **parameters)
        check_fit(fitted, validation.train)
        fitted.fit(validation.train, stages.within(stage))
        fitted_at = time.perf_counter()
        evaluation = evaluate(fitted, validation, k=k, seed=seed)
    except RecsysError as error:
        logger.warning("failed recommender=%s %s: %s", recommender, stage, error)
        return Trial(parameters, "", {}, time.perf_counter() - started, 0.0, " ".join(str(error).split()))
    done = time.perf_counter()
    logger.info("tried recommender=%s %s: %s", recommender, stage, evaluation.summary())
    return Trial(parameters, evaluation.protocol, evaluation.metrics, fitted_at - started, done - fitted_at)


def _columns(grid: Mapping[str, object], k: int) -> list[str]:
    return [*grid, *(f"{name}@{k}" for name in METRICS), *SECONDS, "protocol", "error"]


def _row(trial: Trial) -> dict[str, object]:
    means = {name: round(interval["mean"], 6) for name, interval in trial.metrics.items()}
    seconds = zip(SECONDS, (round(trial.fit_seconds, 3), round(trial.evaluate_seconds, 3)), strict=True)
    return {**trial.parameters, **means, **dict(seconds), "protocol": trial.protocol, "error": trial.error}


def _figures(trial: Trial) -> list[str]:
    return [f"{interval['mean']:.4f}" for interval in trial.metrics.values()] + [f"{trial.fit_seconds:.1f}"]


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
