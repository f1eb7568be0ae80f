"""Train a rating recommender on each category: fit, test, keep in a folder each, tell how it went.

A category that is there already is skipped, one that fails does not stop the others. What is tested
is what is kept: it learned from the train and the validation part (from train alone, if it stops
early by the other).
"""

from __future__ import annotations

import csv
import json
import logging
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recsys.artifacts.rating_artifact import save_rating_artifact
from recsys.datasets.files import Staging
from recsys.errors import ArtifactError, ConfigError, RecsysError
from recsys.evaluation.rating_evaluation import RatingEvaluation, evaluate_ratings, relevant_from
from recsys.experiments.log import append_experiment
from recsys.progress import StagedProgress, ignore_progress
from recsys.recommenders.rating_base import MANIFEST_FILE, RatingRecommender, read_manifest
from recsys.recommenders.rating_table import make_rating_recommender, rating_recommender_class
from recsys.training.measuring import peak_memory_mb
from recsys.training.rating_data import (
    Category,
    CategoryData,
    SplitOptions,
    hash_dataset,
    hash_features,
    load_category,
)
from recsys.types import ProgressCallback

logger = logging.getLogger(__name__)

TRAINED, SKIPPED, FAILED, LOADED = "trained", "skipped", "failed", "loaded"
TUNED_FILE = "tuned.json"
RESULTS_FILE = "results.csv"


@dataclass(frozen=True, slots=True)
class RatingPlan:
    """What every category of a run shares.

    `overrides`: hyper-parameters instead of the configured ones. `relevant_at`: the points from which
    an item is liked; None: three quarters up the range. `again`: do not skip what is there.

    Raises (when made):
        ConfigError: `relevant_at` is not a finite number.
    """

    recommender: str
    output: Path
    logs_dir: Path
    overrides: Mapping[str, object] = field(default_factory=dict)
    split: SplitOptions = field(default_factory=SplitOptions)
    relevant_at: float | None = None
    again: bool = False

    def __post_init__(self) -> None:
        if self.relevant_at is not None and not math.isfinite(self.relevant_at):
            raise ConfigError(f"relevant-at is {self.relevant_at}; give points of the scale, such as 4.")

    def relevant_in(self, points_range: tuple[float, float]) -> float:
        """The points from which an item counts as liked."""
        return relevant_from(points_range) if self.relevant_at is None else self.relevant_at


@dataclass(frozen=True, slots=True)
class CategoryResult:
    """How one category went; `figures` are of the test part, empty when there is none."""

    category: str
    status: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fitted:
    """A recommender, what was measured of it (None without a test part), and how long that took.

    `features_hash`: of the tables of features it learned from; None where it reads none.
    """

    recommender: RatingRecommender
    features_hash: str | None
    evaluation: RatingEvaluation | None
    fit_seconds: float
    evaluate_seconds: float


def check_output(output: Path) -> None:
    """Make the folder and write something there, before the time of a training is spent.

    Raises:
        ArtifactError: it cannot be made or written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise ArtifactError(
            f"{output.absolute()} cannot be written ({error.strerror or error}); name another --output, or "
            "mend its permissions."
        ) from error


def check_is_of(folder: Path, recommender: str) -> None:
    """Refuse the folder of another recommender: training there would leave files of both.

    Raises:
        ArtifactError: its manifest names another one.
    """
    try:
        found = read_manifest(folder).get("recommender")
    except ArtifactError:
        return  # nothing there, or nothing that can be used
    if found != recommender:
        raise ArtifactError(f"{folder} holds a {found}, not a {recommender}; give another --output.")


def each_category(
    categories: Sequence[Category],
    run: Callable[[Category, ProgressCallback], CategoryResult],
    progress: ProgressCallback = ignore_progress,
) -> list[CategoryResult]:
    """Run one category after the other; whatever one of them fails by becomes its result."""
    stages = StagedProgress(progress, {category.name: 1.0 for category in categories})
    return [_run_or_fail(category, run, stages.within(category.name)) for category in categories]


def train_category(
    category: Category, plan: RatingPlan, progress: ProgressCallback = ignore_progress
) -> CategoryResult:
    """Fit, test and keep one category, by the tuned values where there are some.

    Raises:
        RecsysError: the data or a hyper-parameter cannot be used.
    """
    folder = plan.output / category.name
    check_is_of(folder, plan.recommender)
    if not plan.again and (folder / MANIFEST_FILE).is_file():
        return _skip(category, folder)
    data = load_category(category, plan.split)
    tuned, notes = _tuned_values(folder, plan, data)
    result = train_and_keep(data, folder, plan, {**tuned, **plan.overrides}, progress=progress)
    return replace(result, notes=(*data.notes, *notes, *result.notes))


def _tuned_values(
    folder: Path, plan: RatingPlan, data: CategoryData
) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """What `recsys tune` has chosen and `overrides` do not replace, and what is to be said of it."""
    tuned = read_tuned(folder)
    path = folder / TUNED_FILE
    asked = (tuned or {}).get("asked")
    if tuned is None or not isinstance(asked, dict) or asked.get("recommender") != plan.recommender:
        return {}, ()
    used = {name: value for name, value in tuned["parameters"].items() if name not in plan.overrides}
    try:
        make_rating_recommender(plan.recommender, **{**used, **plan.overrides})
    except ConfigError as error:
        raise ArtifactError(f"{path}: {error} Remove it and tune again.") from error
    if not used:
        return {}, ()
    notes: tuple[str, ...] = (f"tuned values of {path} used: {describe(used)}",)
    changed = what_changed(asked, data.folder)
    if changed:
        notes += (
            f"they were chosen on other {changed} than {data.folder} holds now; `recsys tune` chooses anew",
        )
    return used, notes


def what_changed(made_from: Mapping[str, Any], folder: Path) -> str:
    """What of a category's folder is not what something was made from, in words; "" where nothing is.

    Args:
        made_from: its "dataset_hash" and, where it read features, their "features_hash".
        folder: of the category.

    Raises:
        DataError: the manifest there is missing.
    """
    if made_from.get("dataset_hash") != hash_dataset(folder):
        return "data"
    features_hash = made_from.get("features_hash")
    return "" if features_hash in (None, hash_features(folder)) else "user or item features"


def train_and_keep(
    data: CategoryData,
    folder: Path,
    plan: RatingPlan,
    parameters: Mapping[str, object],
    *,
    about: Mapping[str, Any] | None = None,
    progress: ProgressCallback = ignore_progress,
) -> CategoryResult:
    """Fit on all but the test part, measure on that once, write the folder, note the run."""
    started = time.perf_counter()
    fitted = fit_and_test(data, plan, parameters, progress)
    kept = {
        "category": data.name,
        "dataset_hash": data.dataset_hash,
        "features_hash": fitted.features_hash,
        "split": data.facts(),
        "metrics": _metrics(fitted.evaluation),
        "fit_seconds": round(fitted.fit_seconds, 3),
        "evaluate_seconds": round(fitted.evaluate_seconds, 3),
        "peak_memory_mb": peak_memory_mb(),
        **(about or {}),
    }
    manifest = save_rating_artifact(
        fitted.recommender,
        folder,
        learned_from=data.learned_from(type(fitted.recommender)),
        user_mapping=data.user_mapping,
        item_mapping=data.item_mapping,
        item_names=data.item_names,
        about=kept,
    )
    append_experiment(
        plan.logs_dir,
        {
            "kind": "rating",
            **{key: manifest[key] for key in ("recommender", "recipe", "facts")},
            **kept,
            "outcome": "kept",
        },
    )
    logger.info("rating pipeline kept recommender=%s category=%s", plan.recommender, data.name)
    figures = fitted.evaluation.figures() if fitted.evaluation else {}
    caveat = fitted.recommender.caveat()
    return CategoryResult(
        data.name,
        TRAINED,
        parameters_used(manifest),
        figures,
        time.perf_counter() - started,
        (
            *data.feature_notes(fitted.recommender),
            *_capped(manifest),
            *((caveat,) if caveat and figures else ()),
        ),
    )


def fit_and_test(
    data: CategoryData,
    plan: RatingPlan,
    parameters: Mapping[str, object],
    progress: ProgressCallback = ignore_progress,
) -> Fitted:
    """Fit what is kept and measure it on the test part, where there is one."""
    kind = rating_recommender_class(plan.recommender)
    learned_from = data.learned_from(kind)
    recommender = make_rating_recommender(plan.recommender, **parameters)
    features_hash = hash_features(data.folder) if recommender.uses_features else None
    started = time.perf_counter()
    recommender.fit(data.data_of(learned_from, recommender), data.held_back(), progress)
    fitted_at = time.perf_counter()
    evaluation = None
    if len(data.split.test):
        evaluation = evaluate_ratings(
            recommender,
            data.split.test,
            train=learned_from,
            relevant_at=plan.relevant_in(data.points_range),
            strategy=data.split.strategy,
        )
    evaluated_at = time.perf_counter()
    return Fitted(recommender, features_hash, evaluation, fitted_at - started, evaluated_at - fitted_at)


def read_tuned(folder: Path) -> dict[str, Any] | None:
    """What `recsys tune` has chosen for a category, or None.

    Raises:
        ArtifactError: the file is there and cannot be read.
    """
    path = folder / TUNED_FILE
    try:
        tuned = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is not JSON ({error}); remove it and tune again.") from error
    if not isinstance(tuned, dict) or not isinstance(tuned.get("parameters"), dict):
        raise ArtifactError(f"{path} names no parameters; remove it and tune again.")
    return tuned


def result_of_manifest(category: str, folder: Path, status: str, notes: tuple[str, ...]) -> CategoryResult:
    """The figures of what is kept already."""
    manifest = read_manifest(folder)
    figures = manifest.get("metrics", {}).get("figures", {})
    return CategoryResult(category, status, parameters_used(manifest), figures, 0.0, notes)


def kept_results(output: Path, recommender: str) -> list[CategoryResult]:
    """The figures of every category of a folder, of this run or an earlier one, by name."""
    kept = []
    for path in sorted(output.glob(f"*/{MANIFEST_FILE}")):
        try:
            if read_manifest(path.parent).get("recommender") == recommender:
                kept.append(result_of_manifest(path.parent.name, path.parent, LOADED, ()))
        except ArtifactError as error:
            logger.warning("left out of the results: %s", error)
    return kept


def write_results(kept: Sequence[CategoryResult], path: Path) -> None:
    """A CSV row a category that is kept: its parameters and its figures on the test part."""
    rows = [{"category": one.category, **one.parameters, **_rounded(one.figures)} for one in kept]
    names = list(dict.fromkeys(name for row in rows for name in row))
    with Staging(path.parent) as staging:
        with staging.path(path.name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names or ["category"])
            writer.writeheader()
            writer.writerows(rows)
        staging.move_into_place(last=path.name)


def describe(parameters: Mapping[str, object]) -> str:
    """As a command line takes them."""
    return " ".join(f"{name}={value}" for name, value in parameters.items())


def parameters_used(manifest: Mapping[str, Any]) -> dict[str, object]:
    """The recipe, with as many factors as the matrix allowed."""
    capped = {name: value for name, value in manifest["facts"].items() if name == "factors"}
    return {**manifest["recipe"], **capped}


def _run_or_fail(
    category: Category,
    run: Callable[[Category, ProgressCallback], CategoryResult],
    progress: ProgressCallback,
) -> CategoryResult:
    try:
        return run(category, progress)
    except Exception as error:
        # One category must not cost a person the others; the log has where it came from.
        logger.info("rating pipeline failed category=%s", category.name, exc_info=True)
        return CategoryResult(category.name, FAILED, notes=(_told(error),))


def _told(error: Exception) -> str:
    if isinstance(error, RecsysError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error}; mend that path, or name another folder."
    return f"{error!r}; the log has where it came from."


def _skip(category: Category, folder: Path) -> CategoryResult:
    notes: tuple[str, ...] = (f"{folder} exists; --again trains it anew",)
    manifest = read_manifest(folder)
    changed = what_changed(manifest, category.folder)
    if changed:
        notes = (f"{folder} exists but was trained on other {changed}; --again trains it anew",)
    return result_of_manifest(category.name, folder, SKIPPED, notes)


def _capped(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    asked, used = manifest["recipe"].get("factors"), parameters_used(manifest).get("factors")
    return () if asked == used else (f"factors capped from {asked} to {used}: the matrix allows no more",)


def _metrics(evaluation: RatingEvaluation | None) -> dict[str, Any]:
    if evaluation is None:
        return {}
    return {
        "protocol": evaluation.protocol,
        "figures": _rounded(evaluation.figures()),
        "intervals": dict(evaluation.metrics),
        "n_pairs": evaluation.n_pairs,
        "n_unknown": evaluation.n_unknown,
        "n_by_features": evaluation.n_by_features,
        "n_users": evaluation.n_users,
    }


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in figures.items()}
