"""Split by time, choose on a validation part, fit, evaluate, log, refit on everything, publish."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from recsys.artifacts.layout import MANIFEST_FILE, OnSwitch, current_release_dir, tell_nobody
from recsys.artifacts.manifest import Manifest, RecommenderEntry
from recsys.artifacts.publish import Trained, publish_release, served_for
from recsys.config import SectionConfig, read_section
from recsys.datasets.splits import Split, split_for_training
from recsys.datasets.user_items import Dataset, check_user_items
from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.evaluation.evaluate import Evaluation, evaluate
from recsys.evaluation.score_range import score_range
from recsys.experiments.log import append_experiment
from recsys.metrics.ranking import relevant_counts
from recsys.progress import StagedProgress, ignore_progress
from recsys.recommenders.base import Recommender
from recsys.recommenders.ensemble import EnsembleConfig, EnsembleRecommender
from recsys.recommenders.table import RECOMMENDERS, recommender_class
from recsys.training.choosing import (
    Choices,
    Overrides,
    choose_on_validation,
    fit_one,
    has_choices,
    merged,
    with_parts,
)
from recsys.types import Int64Array, ProgressCallback

logger = logging.getLogger(__name__)

BASELINE = "popularity"
COST = {"popularity": 1.0, "content": 3.0, "two_tower": 30.0, "ensemble": 1.0}  # rough, for the progress bar
DEFAULT_COST = 10.0
MAX_SCORE_RANGE_USERS = 1_000
CHOOSING = "choosing on a validation part"


@dataclass(frozen=True)
class TrainingPlan(SectionConfig):
    """What a training does; the defaults stand in training_config.yaml, section `training`.

    `overrides` replaces hyper-parameters: recommender -> name -> value.
    """

    section: ClassVar[str] = "training"
    recommenders: tuple[str, ...]
    test_split: float
    validation_split: float
    k: int
    keep_releases: int
    seed: int
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [name for name in (*self.recommenders, *self.overrides) if name not in RECOMMENDERS]
        if unknown:
            raise ConfigError(f"There is no recommender {unknown[0]!r}; there are {', '.join(RECOMMENDERS)}.")
        self.require(len(self.recommenders) > 0, "recommenders", "at least one")
        self.require(0 <= self.test_split < 1, "test_split", "from 0 (measure nothing) to below 1")
        self.require(0 < self.validation_split < 1, "validation_split", "between 0 and 1")
        self.require(self.k >= 1, "k", "a whole number from 1")
        self.require(self.keep_releases >= 1, "keep_releases", "a whole number from 1")


@dataclass(frozen=True)
class TrainingResult:
    """`version` of the published release; an evaluation a recommender; what a person should know."""

    version: str
    evaluations: Mapping[str, Evaluation]
    warnings: tuple[str, ...]
    seconds: float


def train_and_publish(
    dataset: Dataset,
    models_dir: Path,
    plan: TrainingPlan,
    *,
    logs_dir: Path,
    progress: ProgressCallback = ignore_progress,
    on_switch: OnSwitch = tell_nobody,
) -> TrainingResult:
    """Train the plan's recommenders and serve them as one release.

    `on_switch` is around the moment the pointer moves.

    Raises:
        DataError: the dataset cannot be learned from or split.
        ArtifactError: the release could not be written or does not hold what was put in. In
            either case what was served before is still served.
    """
    started = time.monotonic()
    check_user_items(dataset.user_items)
    split = split_for_training(dataset, plan.test_split, plan.seed) if plan.test_split > 0 else None
    learned_from = split.train if split else dataset
    names, warnings = _choose_recommenders(plan, learned_from)
    stages = StagedProgress(progress, _stage_costs(names, measured=plan.test_split > 0))
    choices = _choose(names, learned_from, plan, stages, warnings)
    overrides = merged(plan.overrides, choices.overrides)
    evaluations: dict[str, Evaluation] = {}
    ranges: dict[str, dict[str, Any]] = {}
    if split is not None:
        evaluations, ranges = _measure(names, split, plan, overrides, stages)
    trained = _train(names, dataset, overrides, choices, stages, evaluations, ranges)
    trained += _put_together(dataset, models_dir, trained, plan.overrides, warnings)
    served = _served_entries(models_dir)
    warnings += _compare_with_served(served, evaluations)
    stages.update("publishing")
    release = publish_release(
        models_dir,
        dataset,
        trained,
        keep=plan.keep_releases,
        facts={"warnings": warnings},
        on_switch=on_switch,
    )
    stages.update("publishing", 1.0)
    warnings += [
        f"{name} is no longer served: it was trained on another dataset; train it again."
        for name in sorted(set(served) - set(release.recommenders))
    ]
    for one in trained:
        _log_experiment(logs_dir, one, dataset, release.version)
    seconds = time.monotonic() - started
    logger.info(
        "published version=%s recommenders=%s seconds=%.1f", release.version, ",".join(names), seconds
    )
    return TrainingResult(release.version, evaluations, tuple(warnings), seconds)


def _choose_recommenders(plan: TrainingPlan, learned_from: Dataset) -> tuple[list[str], list[str]]:
    """The baseline first, parts before what they make; and why what the dataset cannot feed is left out."""
    names: list[str] = []
    warnings: list[str] = []
    for name in with_parts((BASELINE, *plan.recommenders)):
        recommender = recommender_class(name)
        lacking = [part for part in recommender.parts if part not in names]
        why_not = f"{lacking[0]} is not" if lacking else recommender.why_not_fit(learned_from)
        if why_not is None:
            names.append(name)
        else:
            warnings.append(
                f"{name} is not trained: {why_not}; who would be given it gets the next one down."
            )
    return names, warnings


def _stage_costs(names: Sequence[str], *, measured: bool) -> dict[str, float]:
    costs: dict[str, float] = {}
    if has_choices(names):
        costs[CHOOSING] = COST["two_tower"]
    for name in names:
        if measured:
            costs[f"fitting {name} to measure it"] = COST.get(name, DEFAULT_COST)
            costs[f"evaluating {name}"] = COST.get(name, DEFAULT_COST) / 4
    for name in names:
        costs[f"fitting {name}"] = COST.get(name, DEFAULT_COST)
    return {**costs, "publishing": 2.0}


def _choose(
    names: Sequence[str], dataset: Dataset, plan: TrainingPlan, stages: StagedProgress, warnings: list[str]
) -> Choices:
    """What a validation part tells; the configured values, and a warning, where there is too little data."""
    if not has_choices(names):
        return Choices()
    try:
        return choose_on_validation(
            dataset,
            names,
            plan.overrides,
            validation_split=plan.validation_split,
            k=plan.k,
            seed=plan.seed,
            progress=stages.within(CHOOSING),
        )
    except DataError as error:
        warnings.append(f"Epochs and blend are as configured, not chosen on a validation part: {error}")
        return Choices()


def _measure(
    names: Sequence[str], split: Split, plan: TrainingPlan, overrides: Overrides, stages: StagedProgress
) -> tuple[dict[str, Evaluation], dict[str, dict[str, Any]]]:
    """Fit each on the train part and compare it with the test part; also the range of its scores."""
    fitted: dict[str, Recommender] = {}
    evaluations: dict[str, Evaluation] = {}
    ranges: dict[str, dict[str, Any]] = {}
    for name in names:
        fitting = stages.within(f"fitting {name} to measure it")
        fitted[name] = fit_one(name, split.train, overrides, fitted, fitting)
        evaluations[name] = evaluate(
            fitted[name], split, k=plan.k, seed=plan.seed, progress=stages.within(f"evaluating {name}")
        )
        ranges[name] = _score_range(fitted[name], split.train, np.flatnonzero(relevant_counts(split.test)))
        logger.info("evaluated recommender=%s %s", name, evaluations[name].summary())
    return evaluations, ranges


def _train(
    names: Sequence[str],
    dataset: Dataset,
    overrides: Overrides,
    choices: Choices,
    stages: StagedProgress,
    evaluations: Mapping[str, Evaluation],
    ranges: Mapping[str, dict[str, Any]],
) -> list[Trained]:
    """Fit each on everything, and say what was measured of it."""
    fitted: dict[str, Recommender] = {}
    trained: list[Trained] = []
    for name in names:
        started = time.monotonic()
        fitted[name] = fit_one(name, dataset, overrides, fitted, stages.within(f"fitting {name}"))
        metrics: dict[str, Any] = {}
        if name in evaluations:
            metrics = {**evaluations[name].to_json(), "baseline": dict(evaluations[BASELINE].metrics)}
        trained.append(
            Trained(
                fitted[name],
                recipe=asdict(fitted[name].config),
                seconds=round(time.monotonic() - started, 3),
                peak_memory_mb=peak_memory_mb(),
                metrics=metrics,
                score_range=ranges.get(name, {}),
                chosen=dict(choices.facts.get(name, {})),
            )
        )
    return trained


def _put_together(
    dataset: Dataset,
    models_dir: Path,
    trained: Sequence[Trained],
    overrides: Overrides,
    warnings: list[str],
) -> list[Trained]:
    """The ensemble anew, when one part was trained now and the other is served for the same dataset."""
    fitted = {one.recommender.name: one.recommender for one in trained}
    parts = set(EnsembleRecommender.parts)
    if "ensemble" in fitted or not parts & set(fitted):
        return []
    served = served_for(models_dir, dataset.content_hash)
    if served is None or served.manifest is None or not parts <= set(fitted) | set(served.recommenders):
        return []
    before = served.manifest.recommenders.get("ensemble")
    if before is None and "ensemble" not in read_section(TrainingPlan.section)["recommenders"]:
        return []
    recipe = {**(before.recipe if before else {}), **overrides.get("ensemble", {})}
    ensemble = EnsembleRecommender(EnsembleConfig.default(**recipe))
    ensemble.attach({**served.recommenders, **fitted})
    ensemble.fit(dataset)
    warnings.append(
        f"The ensemble is put together from what is new and what is served, als_share "
        f"{ensemble.config.als_share:g} as {'before' if before else 'configured'}, and not measured; "
        "./train_all_models.sh chooses and measures it."
    )
    ranges = _score_range(ensemble, dataset, np.arange(dataset.n_users))
    return [Trained(ensemble, asdict(ensemble.config), 0.0, peak_memory_mb(), score_range=ranges)]


def peak_memory_mb() -> float:
    """The most memory this process has held, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def _score_range(recommender: Recommender, dataset: Dataset, users: Int64Array) -> dict[str, Any]:
    """Of the first thousand of these users whom it can answer."""
    histories = (dataset.history(int(user)) for user in users)
    answerable = (history for history in histories if recommender.why_not(history) is None)
    chosen = list(islice(answerable, MAX_SCORE_RANGE_USERS))
    return score_range(recommender, chosen) if chosen else {}


def _served_entries(models_dir: Path) -> Mapping[str, RecommenderEntry]:
    """What the served release says of its recommenders; nothing when there is none that can be read."""
    served = current_release_dir(models_dir)
    if served is None:
        return {}
    try:
        return Manifest.load(served / MANIFEST_FILE).recommenders
    except ArtifactError as error:
        logger.warning("served release not compared with reason=%s", error)
        return {}


def _compare_with_served(
    entries: Mapping[str, RecommenderEntry], evaluations: Mapping[str, Evaluation]
) -> list[str]:
    """A warning for each recommender that measures worse than the served one did on its own data."""
    warnings = []
    for name, evaluation in evaluations.items():
        metric = f"ndcg@{evaluation.k}"
        before = entries[name].metrics.get("metrics", {}).get(metric) if name in entries else None
        now = evaluation.metrics[metric]
        if before is not None and now["mean"] < before["low"]:
            warnings.append(
                f"{name} measures worse than the served release: {metric} {now['mean']:.4f}, it had "
                f"{before['mean']:.4f} (95 % from {before['low']:.4f}) on the data of its day."
            )
    return warnings


def _log_experiment(logs_dir: Path, one: Trained, dataset: Dataset, version: str) -> None:
    append_experiment(
        logs_dir,
        {
            "recommender": one.recommender.name,
            "release": version,
            "dataset": dataset.content_hash[:12],
            "parameters": one.recipe,
            "metrics": one.metrics.get("metrics", {}),
            "protocol": one.metrics.get("protocol"),
            "chosen": one.chosen,
            "seconds": one.seconds,
        },
    )
