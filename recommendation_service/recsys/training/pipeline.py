"""Split by time, fit, evaluate, log, refit on everything, publish."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from recsys.artifacts.layout import MANIFEST_FILE, current_release_dir
from recsys.artifacts.manifest import Manifest, RecommenderEntry
from recsys.artifacts.publish import Trained, publish_release
from recsys.config import SectionConfig
from recsys.datasets.splits import Split, split_for_training
from recsys.datasets.user_items import Dataset, check_user_items
from recsys.errors import ArtifactError, ConfigError
from recsys.evaluation.evaluate import Evaluation, evaluate
from recsys.evaluation.score_range import score_range
from recsys.experiments.log import append_experiment
from recsys.progress import StagedProgress, ignore_progress
from recsys.recommenders.base import Recommender
from recsys.recommenders.table import RECOMMENDERS, make_recommender
from recsys.types import ProgressCallback

logger = logging.getLogger(__name__)

BASELINE = "popularity"
COST = {"popularity": 1.0, "content": 3.0}  # rough shares of the time, for the progress bar
DEFAULT_COST = 10.0
MAX_SCORE_RANGE_USERS = 1_000


@dataclass(frozen=True)
class TrainingPlan(SectionConfig):
    """What a training does; the defaults stand in training_config.yaml, section `training`.

    `overrides` replaces hyper-parameters: recommender -> name -> value.
    """

    section: ClassVar[str] = "training"
    recommenders: tuple[str, ...]
    test_split: float
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
) -> TrainingResult:
    """Train the plan's recommenders and serve them as one release.

    Raises:
        DataError: the dataset cannot be learned from or split.
        ArtifactError: the release could not be written or does not hold what was put in. In
            either case what was served before is still served.
    """
    started = time.monotonic()
    check_user_items(dataset.user_items)
    names, warnings = _choose_recommenders(dataset, plan)
    stages = StagedProgress(progress, _stage_costs(names, measured=plan.test_split > 0))
    evaluations: dict[str, Evaluation] = {}
    ranges: dict[str, dict[str, Any]] = {}
    if plan.test_split > 0:
        split = split_for_training(dataset, plan.test_split, plan.seed)
        for name in names:
            recommender = _fit(name, split.train, plan, stages.within(f"fitting {name} to measure it"))
            evaluations[name] = evaluate(
                recommender, split, k=plan.k, seed=plan.seed, progress=stages.within(f"evaluating {name}")
            )
            ranges[name] = _score_range(recommender, split)
            logger.info("evaluated recommender=%s %s", name, evaluations[name].summary())
    trained = [_train(name, dataset, plan, stages, evaluations, ranges) for name in names]
    served = _served_entries(models_dir)
    warnings += _compare_with_served(served, evaluations)
    stages.update("publishing")
    release = publish_release(
        models_dir, dataset, trained, keep=plan.keep_releases, facts={"warnings": warnings}
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


def _choose_recommenders(dataset: Dataset, plan: TrainingPlan) -> tuple[list[str], list[str]]:
    """The baseline first, then the plan's; without what the dataset cannot feed."""
    names = [BASELINE, *(name for name in plan.recommenders if name != BASELINE)]
    if "content" not in names or dataset.catalogue is not None:
        return names, []
    names.remove("content")
    return names, ["content is not trained: the dataset has no catalogue.parquet; cold users get popularity."]


def _stage_costs(names: Sequence[str], *, measured: bool) -> dict[str, float]:
    costs: dict[str, float] = {}
    for name in names:
        if measured:
            costs[f"fitting {name} to measure it"] = COST.get(name, DEFAULT_COST)
            costs[f"evaluating {name}"] = COST.get(name, DEFAULT_COST) / 4
    for name in names:
        costs[f"fitting {name}"] = COST.get(name, DEFAULT_COST)
    return {**costs, "publishing": 2.0}


def _fit(name: str, dataset: Dataset, plan: TrainingPlan, progress: ProgressCallback) -> Recommender:
    return make_recommender(name, **plan.overrides.get(name, {})).fit(dataset, progress)


def _train(
    name: str,
    dataset: Dataset,
    plan: TrainingPlan,
    stages: StagedProgress,
    evaluations: Mapping[str, Evaluation],
    ranges: Mapping[str, dict[str, Any]],
) -> Trained:
    started = time.monotonic()
    recommender = _fit(name, dataset, plan, stages.within(f"fitting {name}"))
    seconds = time.monotonic() - started
    metrics: dict[str, Any] = {}
    if name in evaluations:
        metrics = {**evaluations[name].to_json(), "baseline": dict(evaluations[BASELINE].metrics)}
    return Trained(
        recommender,
        recipe=asdict(recommender.config),
        seconds=round(seconds, 3),
        peak_memory_mb=peak_memory_mb(),
        metrics=metrics,
        score_range=ranges.get(name, {}),
    )


def peak_memory_mb() -> float:
    """The most memory this process has held, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def _score_range(recommender: Recommender, split: Split) -> dict[str, Any]:
    users = (
        user for user in range(split.train.n_users) if split.test.indptr[user + 1] > split.test.indptr[user]
    )
    histories = [split.train.history(user) for user in users]
    answerable = [history for history in histories if recommender.why_not(history) is None]
    return score_range(recommender, answerable[:MAX_SCORE_RANGE_USERS]) if answerable else {}


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
            "seconds": one.seconds,
        },
    )
