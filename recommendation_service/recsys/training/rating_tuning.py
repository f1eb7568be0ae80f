"""Choose a rating recommender's hyper-parameters on the validation part, then test the choice once.

Of the values whose figure is within a tolerance of the best the smallest wins: a shorter vector costs
less and a difference within it means nothing. A second run loads what the first has chosen.
"""

from __future__ import annotations

import csv
import itertools
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from recsys.datasets.files import Staging
from recsys.errors import ConfigError, DataError
from recsys.evaluation.rating_evaluation import CUTOFFS, RANKING, evaluate_ratings
from recsys.progress import StagedProgress, ignore_progress
from recsys.recommenders.rating_base import MANIFEST_FILE, RatingRecommender, read_manifest
from recsys.recommenders.rating_table import make_rating_recommender, rating_recommender_class
from recsys.training.rating_data import (
    Category,
    CategoryData,
    hash_dataset,
    hash_features,
    load_category,
)
from recsys.training.rating_training import (
    LOADED,
    TUNED_FILE,
    CategoryResult,
    RatingPlan,
    check_is_of,
    describe,
    read_tuned,
    result_of_manifest,
    train_and_keep,
    what_changed,
)
from recsys.types import ProgressCallback

logger = logging.getLogger(__name__)

TUNING_FILE = "tuning.csv"
LOWER_IS_BETTER = ("rmse", "mae")
METRICS = (*LOWER_IS_BETTER, "accuracy", *(f"{name}@{k}" for name in RANKING for k in CUTOFFS))


@dataclass(frozen=True, slots=True)
class Choice:
    """By which metric, and how much worse than the best (a share of it) a smaller value may be."""

    metric: str
    tolerance: float

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ConfigError(
                f"There is no metric {self.metric!r} to choose by; there are {', '.join(METRICS)}."
            )
        if not 0 <= self.tolerance < 1:
            raise ConfigError(
                f"The tolerance is {self.tolerance}; it must be from 0 to below 1, such as 0.02."
            )


# svd is tuned as a ranker; what learns from points is tuned by them, where 2 % would be a wide margin.
CHOICES: Mapping[str, Choice] = {"svd": Choice("ndcg@10", 0.02)}
CHOICE_OF_OTHERS = Choice("rmse", 0.0)


@dataclass(frozen=True, slots=True)
class RatingTrial:
    """One point of the grid, measured on the validation part."""

    parameters: Mapping[str, object]
    figures: Mapping[str, float]
    fit_seconds: float
    evaluate_seconds: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """`trials` in the order tried, `chosen` one of them; no trials when the choice was loaded."""

    result: CategoryResult
    trials: tuple[RatingTrial, ...] = ()
    chosen: RatingTrial | None = None
    protocol: str = ""


def choice_of(recommender: str) -> Choice:
    """How a recommender's values are chosen where nobody says otherwise."""
    return CHOICES.get(recommender, CHOICE_OF_OTHERS)


def tune_category(
    category: Category,
    plan: RatingPlan,
    grid: Mapping[str, Sequence[object]],
    choice: Choice,
    progress: ProgressCallback = ignore_progress,
) -> Tuning:
    """Try every value on the validation part, keep the choice, retrain by it, test that once.

    Where the same choice was made before, from the same data, it is loaded; a test made of it is not
    made again.

    Raises:
        ConfigError: the grid or a value cannot be used.
        DataError: the data cannot be used, or nothing in the validation part can be ranked.
    """
    folder = plan.output / category.name
    check_is_of(folder, plan.recommender)
    asked = _asked(category, plan, grid, choice)
    tuned = None if plan.again else read_tuned(folder)
    if tuned is not None and tuned.get("asked") == asked:
        return _load(category, folder, plan, tuned["parameters"], progress)
    data = load_category(category, plan.split)
    if len(data.split.validation) == 0:
        raise DataError(
            f"{category.name} has no validation part to choose by; give --shares a second one, or import a "
            "valid file where there are files of parts."
        )
    combinations, notes = _combine(data, plan, grid)
    stages = StagedProgress(progress, {describe(c): 1.0 for c in combinations} | {"testing the choice": 1.0})
    trials, protocol = [], ""
    for parameters in combinations:
        trial, protocol = _try(data, plan, parameters, stages)
        trials.append(trial)
    chosen = choose(trials, choice)
    found = {"parameters": chosen.parameters, "figures": chosen.figures, "protocol": protocol, "asked": asked}
    _write(folder, trials, found)
    result = train_and_keep(
        data,
        folder,
        plan,
        {**plan.overrides, **chosen.parameters},
        about={"validation": dict(chosen.figures)},
        progress=stages.within("testing the choice"),
    )
    result = replace(result, notes=(*data.notes, *notes, *result.notes))
    return Tuning(result, tuple(trials), chosen, protocol)


def check_grid(plan: RatingPlan, grid: Mapping[str, Sequence[object]]) -> None:
    """Make every combination a configuration, before anything is read or fitted.

    Raises:
        ConfigError: the grid is empty, is not of lists, or holds a value that cannot be used.
    """
    for name, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise ConfigError(f"The grid's {name} is {values!r}; it must be a list of values to try.")
    if not grid:
        raise ConfigError(f"The grid of {plan.recommender} is empty; name a parameter and the values to try.")
    for parameters in _combinations(grid):
        _make(plan, parameters)


def choose(trials: Sequence[RatingTrial], choice: Choice) -> RatingTrial:
    """The trial of the fewest factors whose figure is within the tolerance of the best; then the best.

    Raises:
        DataError: the metric was not measured: nobody in the validation part likes anything.
    """
    metric = choice.metric
    if any(metric not in trial.figures for trial in trials):
        raise DataError(
            f"{metric} cannot be measured: no user has a liked item in the validation part; collect more "
            "ratings, lower --relevant-at, or choose by rmse."
        )
    best = best_by(trials, metric).figures[metric]
    margin = abs(best) * choice.tolerance
    near = [trial for trial in trials if abs(trial.figures[metric] - best) <= margin]
    return min(near, key=lambda trial: (_factors(trial), _badness(trial, metric)))


def best_by(trials: Sequence[RatingTrial], metric: str) -> RatingTrial:
    """The trial that is best by one metric alone."""
    return min(trials, key=lambda trial: _badness(trial, metric))


def _badness(trial: RatingTrial, metric: str) -> float:
    return trial.figures[metric] * (1.0 if metric in LOWER_IS_BETTER else -1.0)


def _factors(trial: RatingTrial) -> float:
    factors = trial.parameters.get("factors", 0)
    return float(factors) if isinstance(factors, int | float | str) else 0.0


def _asked(
    category: Category, plan: RatingPlan, grid: Mapping[str, Sequence[object]], choice: Choice
) -> dict[str, object]:
    """All that the choice depends on, as JSON keeps it."""
    asked = {
        "recommender": plan.recommender,
        "dataset_hash": hash_dataset(category.folder),
        "grid": {name: [str(value) for value in values] for name, values in grid.items()},
        "set": {name: str(value) for name, value in plan.overrides.items()},
        "split": asdict(plan.split),
        "relevant_at": plan.relevant_at,
        "choice": asdict(choice),
    }
    if any(_make(plan, parameters).uses_features for parameters in _combinations(grid)):
        asked["features_hash"] = hash_features(category.folder)
    read_back: dict[str, object] = json.loads(json.dumps(asked))
    return read_back


def _load(
    category: Category,
    folder: Path,
    plan: RatingPlan,
    parameters: Mapping[str, object],
    progress: ProgressCallback,
) -> Tuning:
    notes = (f"tuned before: {describe(parameters)} loaded from {folder / TUNED_FILE}; --again tunes anew",)
    if (folder / MANIFEST_FILE).is_file() and _was_made_by(folder, category, plan, parameters):
        return Tuning(result_of_manifest(category.name, folder, LOADED, notes))
    data = load_category(category, plan.split)
    result = train_and_keep(data, folder, plan, {**plan.overrides, **parameters}, progress=progress)
    return Tuning(replace(result, notes=(*notes, *data.notes)))


def _was_made_by(
    folder: Path, category: Category, plan: RatingPlan, parameters: Mapping[str, object]
) -> bool:
    manifest = read_manifest(folder)
    recommender = _make(plan, parameters)
    if recommender.uses_features != (manifest.get("features_hash") is not None):
        return False
    recipe = asdict(recommender.config)
    same = all(str(manifest["recipe"].get(name)) == str(recipe[name]) for name in parameters)
    return same and not what_changed(manifest, category.folder)


def _make(plan: RatingPlan, parameters: Mapping[str, object]) -> RatingRecommender:
    return make_rating_recommender(plan.recommender, **{**plan.overrides, **parameters})


def _combine(
    data: CategoryData, plan: RatingPlan, grid: Mapping[str, Sequence[object]]
) -> tuple[list[dict[str, object]], tuple[str, ...]]:
    """Every combination the matrix allows."""
    check_grid(plan, grid)
    notes: tuple[str, ...] = ()
    allowed = rating_recommender_class(plan.recommender).most_factors(
        len(data.user_mapping), len(data.item_mapping)
    )
    if allowed is not None and allowed >= 1 and "factors" in grid:
        fitting = [value for value in grid["factors"] if int(str(value)) <= allowed]
        dropped = [str(value) for value in grid["factors"] if int(str(value)) > allowed]
        if dropped:
            notes = (f"factors {', '.join(dropped)} left out: the matrix allows {allowed} at most",)
        grid = {**grid, "factors": fitting or [allowed]}
    return _combinations(grid), notes


def _combinations(grid: Mapping[str, Sequence[object]]) -> list[dict[str, object]]:
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _try(
    data: CategoryData, plan: RatingPlan, parameters: Mapping[str, object], stages: StagedProgress
) -> tuple[RatingTrial, str]:
    stage = describe(parameters)
    stages.update(stage)
    recommender = _make(plan, parameters)
    started = time.perf_counter()
    recommender.fit(data.data_of(data.split.train, recommender), data.held_back(), stages.within(stage))
    fitted_at = time.perf_counter()
    evaluation = evaluate_ratings(
        recommender,
        data.split.validation,
        train=data.split.train,
        relevant_at=plan.relevant_in(data.points_range),
        strategy=f"validation part of {data.split.strategy}",
    )
    done = time.perf_counter()
    figures = evaluation.figures()
    logger.info("tried recommender=%s category=%s %s: %s", plan.recommender, data.name, stage, figures)
    return RatingTrial(parameters, figures, fitted_at - started, done - fitted_at), evaluation.protocol


def _write(folder: Path, trials: Sequence[RatingTrial], found: Mapping[str, object]) -> None:
    """tuning.csv, then tuned.json, both aside first."""
    rows = [
        {
            **trial.parameters,
            **{name: round(value, 6) for name, value in trial.figures.items()},
            "fit_seconds": round(trial.fit_seconds, 3),
            "evaluate_seconds": round(trial.evaluate_seconds, 3),
        }
        for trial in trials
    ]
    with Staging(folder) as staging:
        with staging.path(TUNING_FILE).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        staging.path(TUNED_FILE).write_text(json.dumps(found, indent=2), encoding="utf-8")
        staging.move_into_place(last=TUNED_FILE)
