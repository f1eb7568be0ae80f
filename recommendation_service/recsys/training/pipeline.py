"""Split by time, choose on a validation part, fit, evaluate, log, refit on everything, publish."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from recsys.artifacts.layout import OnSwitch, tell_nobody
from recsys.artifacts.publish import Trained, publish_release
from recsys.config import SectionConfig
from recsys.datasets.splits import Split, split_for_training
from recsys.datasets.user_items import Dataset, check_user_items
from recsys.engines.checkpoints import FOLDER as CHECKPOINTS
from recsys.engines.checkpoints import Checkpoints
from recsys.errors import ArtifactError, ConfigError, DataError, interrupt_in
from recsys.evaluation.evaluate import Evaluation
from recsys.experiments.log import append_experiment
from recsys.experiments.trials import data_version
from recsys.progress import StagedProgress, ignore_progress
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.base import Recommender
from recsys.recommenders.bpr import BPRRecommender
from recsys.recommenders.table import BASELINE, RECOMMENDERS, recommender_class
from recsys.recommenders.text_start import TextStartConfig, text_start_options
from recsys.recommenders.two_tower import TwoTowerRecommender
from recsys.training.choosing import (
    Choices,
    Overrides,
    choose_on_validation,
    fit_one,
    has_choices,
    merged,
    with_parts,
)
from recsys.training.gate import (
    Candidate,
    Verdict,
    check_beside_popularity,
    check_kept,
    check_lists,
    check_people,
    compare_with_served,
)
from recsys.training.measuring import Measured, measure_each, peak_memory_mb
from recsys.training.served import compare_with_its_day, put_together, served_entries
from recsys.training.use_best import with_best
from recsys.training.use_tuned import with_facts, with_tuned
from recsys.training.warm_start import warm_start
from recsys.types import ProgressCallback

logger = logging.getLogger(__name__)

Curve = list[dict[str, float]]  # a point an epoch
# Told the evaluations and the learning curves by recommender.
OnLearned = Callable[[Mapping[str, Evaluation], Mapping[str, Curve]], None]

COST = {"popularity": 1.0, "content": 3.0, "two_tower": 30.0, "ensemble": 1.0}  # rough, for the progress bar
DEFAULT_COST = 10.0
CHOOSING = "choosing on a validation part"
COMPARING = "comparing with the served recipes"


@dataclass(frozen=True)
class TrainingPlan(SectionConfig):
    """What a training does; the defaults stand in training_config.yaml, section `training`.

    `overrides` replaces hyper-parameters: recommender -> name -> value. `use_best` takes those of the
    best kept releases, as `use_tuned` those a search has saved.
    """

    section: ClassVar[str] = "training"
    recommenders: tuple[str, ...]
    test_split: float
    validation_split: float
    k: int
    keep_releases: int
    max_ndcg_loss: float
    warm_start: bool
    seed: int
    use_tuned: bool
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    use_best: bool = field(default_factory=bool)  # of a run, never of the configuration

    def __post_init__(self) -> None:
        known = (*RECOMMENDERS, TextStartConfig.section)
        unknown = [name for name in (*self.recommenders, *self.overrides) if name not in known]
        if unknown:
            raise ConfigError(f"There is no recommender {unknown[0]!r}; there are {', '.join(RECOMMENDERS)}.")
        self.require(len(self.recommenders) > 0, "recommenders", "at least one")
        self.require(0 <= self.test_split < 1, "test_split", "from 0 (measure nothing) to below 1")
        self.require(0 < self.validation_split < 1, "validation_split", "between 0 and 1")
        self.require(self.k >= 1, "k", "a whole number from 1")
        self.require(self.keep_releases >= 1, "keep_releases", "a whole number from 1")
        self.require(0 < self.max_ndcg_loss < 1, "max_ndcg_loss", "between 0 and 1")


@dataclass(frozen=True)
class TrainingResult:
    """What came of a training.

    `version` of the published release, "" when the gate refused it; an evaluation a recommender; what
    a person should know; what the gate found; a point an epoch of what is trained by epochs.
    """

    version: str
    evaluations: Mapping[str, Evaluation]
    warnings: tuple[str, ...]
    seconds: float
    verdict: Verdict = field(default_factory=Verdict)
    learning_curves: Mapping[str, Curve] = field(default_factory=dict)


def train_and_publish(
    dataset: Dataset,
    models_dir: Path,
    plan: TrainingPlan,
    *,
    logs_dir: Path,
    split: Split | None = None,
    gated: bool = False,
    progress: ProgressCallback = ignore_progress,
    on_switch: OnSwitch = tell_nobody,
    on_learned: OnLearned = lambda evaluations, curves: None,
) -> TrainingResult:
    """Train the plan's recommenders and serve them as one release.

    Args:
        dataset: what to learn from.
        models_dir: where releases are kept.
        plan: what to train, and how.
        logs_dir: of the log of experiments.
        split: what to measure on, instead of a part of `plan.test_split`; of the dataset's users and items.
            One that holds nothing out: nothing is measured.
        gated: nobody watches: serve it only when it is not worse than what is served. Else what
            speaks against it is a warning.
        progress: told how far it is.
        on_switch: around the moment the pointer moves.
        on_learned: told what is known so far, whenever that is more.

    Raises:
        DataError: the dataset cannot be learned from or split.
        ArtifactError: the release could not be written, does not hold what was put in, or is not
            sound. In either case what was served before is still served.
    """
    training = _Training(
        dataset,
        models_dir,
        plan,
        logs_dir=logs_dir,
        split=split,
        gated=gated,
        progress=progress,
        on_learned=on_learned,
    )
    return training.run(on_switch)


class _Training:
    """One training on its way through the stages."""

    def __init__(
        self,
        dataset: Dataset,
        models_dir: Path,
        plan: TrainingPlan,
        *,
        logs_dir: Path,
        split: Split | None,
        gated: bool,
        progress: ProgressCallback,
        on_learned: OnLearned,
    ) -> None:
        self._on_learned = on_learned
        self._started = time.monotonic()
        check_user_items(dataset.user_items)
        plan, tuned, not_tuned = (
            with_best(plan, dataset, models_dir) if plan.use_best else with_tuned(plan, dataset)
        )
        self._dataset, self._models_dir, self._plan, self._logs_dir = dataset, models_dir, plan, logs_dir
        self._served = served_entries(models_dir)
        self._is_gated, self._is_strict = gated, gated and bool(self._served)
        if split is None and plan.test_split > 0:
            split = split_for_training(dataset, plan.test_split, plan.seed)
        elif split is not None and split.test.nnz == 0:
            split = None
        self._split, self._learned_from = split, split.train if split else dataset
        self._names, self._warnings = _choose_recommenders(plan, self._learned_from)
        self._tuned, self._warnings = tuned, [*not_tuned, *self._warnings]
        costs = _stage_costs(
            self._names, plan.overrides, measured=split is not None, compared=self._is_strict
        )
        self._stages = StagedProgress(progress, costs)
        self._measured: dict[str, Measured] = {}
        self._choices = Choices()
        self._verdict = Verdict()
        self._checkpoints = Checkpoints(models_dir / CHECKPOINTS)

    def run(self, on_switch: OnSwitch) -> TrainingResult:
        """Through all of them, or as far as the gate lets it; what is killed goes on from its checkpoints."""
        try:
            result = self._run(on_switch)
        except (KeyboardInterrupt, SystemError) as error:
            stop = interrupt_in(error)
            if stop is None:
                raise
            if self._checkpoints.how_to_go_on:
                stop.add_note(self._checkpoints.how_to_go_on)
            raise stop from None
        self._checkpoints.clear()
        return result

    def _run(self, on_switch: OnSwitch) -> TrainingResult:
        people = check_people(self._dataset)
        self._verdict += people
        self._verdict += check_kept(self._served, with_parts(self._plan.recommenders), self._names)
        if self._is_refused() or (self._is_gated and not people.accepted):
            return self._refuse()
        self._choices = self._choose()
        self._choices = with_facts(self._choices, self._tuned)
        self._tell_learned()
        overrides = merged(self._plan.overrides, self._choices.overrides)
        if self._split is None:
            self._verdict += Verdict(notes=("Nothing was measured: the test split is 0.",))
        else:
            self._measure_and_judge(self._split, overrides)
        if self._is_refused():
            return self._refuse()
        trained = self._fit_on_everything(overrides)
        trained += put_together(
            self._dataset, self._models_dir, trained, self._plan.overrides, self._warnings
        )
        sound = check_lists(trained, self._dataset, k=self._plan.k)
        self._verdict += sound
        if self._is_refused():
            return self._refuse()
        if not sound.accepted:
            raise ArtifactError(f"The release is not sound and is not published: {' '.join(sound.faults)}")
        return self._publish(trained, on_switch)

    def _choose(self) -> Choices:
        """What a validation part tells; with too little data the configured values, and a warning."""
        plan = self._plan
        if not has_choices(self._names, plan.overrides):
            return Choices()
        try:
            return choose_on_validation(
                self._learned_from,
                self._names,
                plan.overrides,
                validation_split=plan.validation_split,
                k=plan.k,
                seed=plan.seed,
                progress=self._stages.within(CHOOSING),
                prepare=self._keep_checkpoints,
            )
        except DataError as error:
            self._warnings.append(
                f"Epochs and blend are as configured, not chosen on a validation part: {error}"
            )
            return Choices()

    def _measure_and_judge(self, split: Split, overrides: Overrides) -> None:
        plan = self._plan
        for name, measured in measure_each(
            self._names, split, overrides, self._stages, self._keep_checkpoints, k=plan.k, seed=plan.seed
        ):
            self._measured[name] = measured
            self._tell_learned()
        fitted = {name: one.recommender for name, one in self._measured.items()}
        text_start = overrides.get(TextStartConfig.section, {})
        candidate = Candidate(split, fitted, self._evaluations, text_start)
        if self._is_strict:
            self._verdict += compare_with_served(
                candidate,
                self._served,
                max_loss=plan.max_ndcg_loss,
                seed=plan.seed,
                progress=self._stages.within(COMPARING),
            )
        else:
            self._warnings += compare_with_its_day(self._served, self._evaluations)
        self._verdict += check_beside_popularity(candidate, self._served)

    def _fit_on_everything(self, overrides: Overrides) -> list[Trained]:
        """What is published: each fitted on all acts, with what was measured of it."""
        fitted: dict[str, Recommender] = {}
        trained: list[Trained] = []
        text_start = overrides.get(TextStartConfig.section, {})
        prepare = self._begin_warm if self._plan.warm_start else self._keep_checkpoints
        for name in self._names:
            started = time.monotonic()
            fitting = self._stages.within(f"fitting {name}")
            fitted[name] = fit_one(name, self._dataset, overrides, fitted, fitting, prepare)
            measured = self._measured.get(name)
            trained.append(
                Trained(
                    fitted[name],
                    recipe=asdict(fitted[name].config),
                    seconds=round(time.monotonic() - started, 3),
                    peak_memory_mb=peak_memory_mb(),
                    metrics=measured.metrics(self._measured[BASELINE].evaluation) if measured else {},
                    score_range=measured.score_range if measured else {},
                    chosen=dict(self._choices.facts.get(name, {})),
                    text_start=text_start_options(name, text_start),
                )
            )
        return trained

    def _keep_checkpoints(self, recommender: Recommender) -> None:
        if isinstance(recommender, ALSRecommender | BPRRecommender):
            recommender.keep_checkpoints(self._checkpoints)
        if isinstance(recommender, ALSRecommender | BPRRecommender | TwoTowerRecommender):  # the long ones
            self._checkpoints.begin(recommender.name)

    def _begin_warm(self, recommender: Recommender) -> None:
        """From the served release, for the fit that is published alone; see `warm_start`."""
        self._keep_checkpoints(recommender)
        if not isinstance(recommender, ALSRecommender) or recommender.name != ALSRecommender.name:
            return
        warm = warm_start(self._models_dir, self._dataset, recommender.config, recommender.start)
        if warm.start is not None:
            recommender.start_from(warm.start)
        if warm.is_expected:
            self._verdict += Verdict(notes=(warm.says,))
        else:
            self._warnings.append(warm.says)

    def _is_refused(self) -> bool:
        return self._is_strict and not self._verdict.accepted

    def _publish(self, trained: Sequence[Trained], on_switch: OnSwitch) -> TrainingResult:
        self._warnings += self._verdict.faults
        self._stages.update("publishing")
        release = publish_release(
            self._models_dir,
            self._dataset,
            trained,
            keep=self._plan.keep_releases,
            facts={"warnings": self._warnings},
            on_switch=on_switch,
        )
        self._stages.update("publishing", 1.0)
        self._warnings += [
            f"{name} is no longer served: it was trained on another dataset; train it again."
            for name in sorted(set(self._served) - set(release.recommenders))
        ]
        for one in trained:
            self._log_experiment(
                {
                    "recommender": one.recommender.name,
                    "release": release.version,
                    "parameters": one.recipe,
                    "metrics": one.metrics.get("metrics", {}),
                    "protocol": one.metrics.get("protocol"),
                    "chosen": one.chosen,
                    "seconds": one.seconds,
                },
            )
        result = self._result(release.version)
        logger.info(
            "published version=%s recommenders=%s seconds=%.1f",
            release.version,
            ",".join(self._names),
            result.seconds,
        )
        return result

    def _refuse(self) -> TrainingResult:
        for fault in self._verdict.faults:
            logger.warning("refused: %s", fault)
        for name, measured in self._measured.items():
            self._log_experiment(
                {
                    "recommender": name,
                    "release": "",
                    "refused": True,
                    "parameters": asdict(measured.recommender.config),
                    "metrics": measured.evaluation.to_json()["metrics"],
                    "protocol": measured.evaluation.protocol,
                },
            )
        return self._result("")

    def _result(self, version: str) -> TrainingResult:
        seconds = time.monotonic() - self._started
        return TrainingResult(
            version, self._evaluations, tuple(self._warnings), seconds, self._verdict, self._curves
        )

    def _log_experiment(self, facts: Mapping[str, Any]) -> None:
        """A line of the log; a warning where it cannot be written, for the run itself is done."""
        try:
            append_experiment(self._logs_dir, {**facts, "dataset": data_version(self._dataset)})
        except ArtifactError as error:
            if str(error) not in self._warnings:
                self._warnings.append(str(error))

    def _tell_learned(self) -> None:
        self._on_learned(self._evaluations, self._curves)

    @property
    def _evaluations(self) -> dict[str, Evaluation]:
        return {name: one.evaluation for name, one in self._measured.items()}

    @property
    def _curves(self) -> dict[str, Curve]:
        facts = self._choices.facts.items()
        return {name: about["learning_curve"] for name, about in facts if "learning_curve" in about}


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


def _stage_costs(
    names: Sequence[str], overrides: Overrides, *, measured: bool, compared: bool
) -> dict[str, float]:
    costs: dict[str, float] = {}
    if has_choices(names, overrides):
        costs[CHOOSING] = COST["two_tower"]
    for name in names:
        if measured:
            costs[f"fitting {name} to measure it"] = COST.get(name, DEFAULT_COST)
            costs[f"evaluating {name}"] = COST.get(name, DEFAULT_COST) / 4
    if measured and compared:
        costs[COMPARING] = DEFAULT_COST
    for name in names:
        costs[f"fitting {name}"] = COST.get(name, DEFAULT_COST)
    return {**costs, "publishing": 2.0}
