"""`recsys benchmark`: train on a split that is given and measure as the papers that use it do."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recsys.datasets.opening import open_processed
from recsys.datasets.processed import OF_COUNTS, ProcessedData
from recsys.datasets.public_split import load_public_split
from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError, DataError
from recsys.evaluation.evaluate import Evaluation, evaluate
from recsys.metrics.ranking import check_cutoffs
from recsys.progress import StagedProgress, ignore_progress
from recsys.recommenders.base import Recommender
from recsys.recommenders.popularity import PopularityRecommender
from recsys.recommenders.table import BASELINE, make_recommender, recommender_class
from recsys.training.choosing import (
    Choices,
    Overrides,
    choose_on_validation,
    fit_one,
    has_choices,
    merged,
    with_parts,
)
from recsys.training.figures import COUNTS_GIVEN
from recsys.training.measuring import IMPROVEMENT, peak_memory_mb
from recsys.types import ProgressCallback

# For each user with a test item, rank every item of the train file but the user's own there.
ALL_RANKING = "all-ranking"
PROTOCOLS = (ALL_RANKING,)
CONTENT = "content"  # who answers people with too few acts


@dataclass(frozen=True)
class BenchmarkPlan:
    """What to fit and how to measure it.

    `recommender` is a name such as "als", `overrides` hyper-parameters to replace in the configured
    defaults, by recommender. Lists are cut off at `k` and at `cutoffs`. `validation_split` is the share of
    train held back to choose on (0: everything is as configured), drawn with `seed`; above 0
    `validation_popularity` holds popular items back more often.
    """

    recommender: str = "als"
    overrides: Overrides = field(default_factory=dict)
    protocol: str = ALL_RANKING
    k: int = 20
    cutoffs: tuple[int, ...] = ()
    validation_split: float = 0.1
    validation_popularity: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ConfigError(f"There is no protocol {self.protocol!r}; there is {', '.join(PROTOCOLS)}.")
        check_cutoffs((self.k, *self.cutoffs))
        if not 0 <= self.validation_split < 1:
            raise ConfigError(
                f"The validation split is {self.validation_split:g}; it must be from 0 (choose nothing) to "
                "below 1."
            )
        for name in with_parts([self.recommender]):
            make_recommender(name, **self.overrides.get(name, {}))  # told before anything is read


def run_benchmark(
    train_path: Path, test_path: Path, plan: BenchmarkPlan, *, progress: ProgressCallback = ignore_progress
) -> dict[str, Any]:
    """Fit one recommender on the train file of a public split, measure it on the test file.

    What only a validation part can tell (epochs, the blend of the ensemble) is chosen on a random
    part of train, then everything is fitted on all of train; the test file is read for the last step alone.

    Args:
        train_path, test_path: `user item item ...` or `user item [rating]`; see `public_split`.
        plan: what and how.
        progress: told how far it is.

    Returns:
        For one JSON line: the protocol, "recall@20" and the other means, seconds (of everything, of
        fitting and of evaluating), peak_memory_mb of this process, the sizes and the parameters; coverage,
        novelty and popularity bias; intervals, user tiers and item popularity; popularity's figures
        beside, and the improvement over them in per cent. Of an ensemble also its parts, and the
        paired interval of its lead over the better one.

    Raises:
        DataError: a file cannot be read, or the recommender cannot learn from it.
    """
    clock = _Clock()
    split = load_public_split(train_path, test_path)
    clock.lap("read")
    return _measure(split, plan, clock, progress)[0]


def run_on_processed(
    folder: Path, plan: BenchmarkPlan, *, progress: ProgressCallback = ignore_progress
) -> dict[str, Any]:
    """The same on the split that `recsys process` has made: what is held out of the trainable users.

    The cold users, who had too few cells to be trained on, are measured apart: by `content` where there is
    a catalogue, and by popularity, both fitted on the trainable users. Where the version was made with
    counts, such as sales, ranking by them is a second baseline of both, "popularity, counts given".

    Args:
        folder: of one version, or of all of them for the latest.
        plan: what and how.
        progress: told how far it is.

    Returns:
        As `run_benchmark`, with the data version, the second baseline's means under its name and, under
        "cold_users", their number and the means of each.

    Raises:
        DataError: the version is not there or damaged, holds nothing out, or cannot be learned from.
    """
    clock = _Clock()
    processed = open_processed(folder)
    clock.lap("read")
    if processed.trainable.test.nnz == 0:
        raise DataError(f"{folder} holds nothing out; process the data with a --test-split above 0.")
    figures, fitted = _measure(processed.split, plan, clock, progress)
    fitted = {**fitted, **_by_counts(processed)}
    cold = processed.cold_split
    return {
        **figures,
        **_means_of(COUNTS_GIVEN, fitted, processed.split, plan),
        "data_version": processed.version,
        "cold_users": _measure_cold(cold, processed.split.train, fitted, plan) if cold.test.nnz else {},
    }


def _by_counts(processed: ProcessedData) -> dict[str, Recommender]:
    """Who ranks by the counts given, by name; nobody where popularity is of likes, as the baseline's is."""
    if processed.popularity_of != OF_COUNTS:
        return {}
    n_items = len(processed.split.train.all_items)
    return {COUNTS_GIVEN: PopularityRecommender.of_scores(processed.item_popularity, n_items)}


def _means_of(
    name: str, fitted: Mapping[str, Recommender], split: Split, plan: BenchmarkPlan
) -> dict[str, dict[str, float]]:
    """Its means on a split; empty where it is not there."""
    if name not in fitted:
        return {}
    return {name: _round_means(evaluate(fitted[name], split, k=plan.k, cutoffs=plan.cutoffs))}


def _measure_cold(
    cold: Split, train: Dataset, fitted: Mapping[str, Recommender], plan: BenchmarkPlan
) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name in (BASELINE, CONTENT):
        if recommender_class(name).why_not_fit(train) is None:
            recommender = fitted.get(name) or fit_one(name, train, plan.overrides, {})
            evaluation = evaluate(recommender, cold, k=plan.k, cutoffs=plan.cutoffs)
            told |= {"users": evaluation.n_users, name: _round_means(evaluation)}
    return {**told, **_means_of(COUNTS_GIVEN, fitted, cold, plan)}


def _measure(
    split: Split, plan: BenchmarkPlan, clock: _Clock, progress: ProgressCallback
) -> tuple[dict[str, Any], dict[str, Recommender]]:
    """The figures, and what was fitted."""
    names, k = with_parts([plan.recommender]), plan.k
    measured = [*names, *([] if BASELINE in names else [BASELINE])]
    chooses = plan.validation_split > 0 and has_choices(names, plan.overrides)
    stages = StagedProgress(progress, _stages(measured, chooses=chooses))
    choices = Choices()
    if chooses:
        choices = choose_on_validation(
            split.train,
            names,
            plan.overrides,
            validation_split=plan.validation_split,
            validation_popularity=plan.validation_popularity,
            k=k,
            seed=plan.seed,
            progress=stages.within("choosing"),
        )
        clock.lap("choose")
    fitted: dict[str, Recommender] = {}
    for name in measured:
        told = stages.within(f"fitting {name}")
        fitted[name] = fit_one(name, split.train, merged(plan.overrides, choices.overrides), fitted, told)
    clock.lap("fit")
    evaluations = {
        name: evaluate(
            fitted[name], split, k=k, cutoffs=plan.cutoffs, progress=stages.within(f"evaluating {name}")
        )
        for name in measured
    }
    clock.lap("evaluate")
    own = evaluations[plan.recommender]
    return {
        "recommender": plan.recommender,
        "protocol": f"{plan.protocol}: {own.protocol}",
        **_round_means(own),
        **_rounded(own.lists),
        "seconds": round(sum(clock.seconds.values()), 3),
        **{f"{part}_seconds": round(seconds, 3) for part, seconds in clock.seconds.items()},
        "peak_memory_mb": peak_memory_mb(),
        "users": split.train.n_users,
        "items": split.train.n_items,
        "train_pairs": int(split.train.user_items.nnz),
        "test_pairs": int(split.test.nnz),
        "parameters": asdict(fitted[plan.recommender].config),
        **({"chosen": dict(choices.facts)} if choices.facts else {}),
        **_parts(plan.recommender, fitted, evaluations, k),
        **_beside_popularity(own, evaluations[BASELINE]),
    }, fitted


def _beside_popularity(own: Evaluation, baseline: Evaluation) -> dict[str, Any]:
    """Intervals, tiers and item popularity, and all of it beside the baseline's."""
    return {
        "intervals": _rounded(own.metrics),
        "by_tier": {tier: _rounded(figures.to_json()) for tier, figures in own.by_tier.items()},
        "by_item_popularity": {
            name: _rounded(bucket.to_json()) for name, bucket in own.by_item_popularity.items()
        },
        BASELINE: {**_round_means(baseline), **_rounded(baseline.lists)},
        IMPROVEMENT: _rounded(own.improvement_over(baseline)) if own.recommender != BASELINE else {},
    }


def _rounded(value: Any) -> Any:
    """The same mapping with six decimals to every number."""
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    return round(value, 6) if isinstance(value, float) else value


def _stages(names: Sequence[str], *, chooses: bool) -> dict[str, float]:
    choosing = {"choosing": 10.0} if chooses else {}
    return {**choosing, **{f"fitting {n}": 10.0 for n in names}, **{f"evaluating {n}": 5.0 for n in names}}


def _parts(
    name: str, fitted: Mapping[str, Recommender], evaluations: Mapping[str, Evaluation], k: int
) -> dict[str, Any]:
    """What an ensemble is made of, and its lead over the better part, user by user."""
    parts = fitted[name].parts
    if not parts:
        return {}
    leads: dict[str, Any] = {}
    for metric in (f"recall@{k}", f"ndcg@{k}"):
        better = max(parts, key=lambda part: evaluations[part].metrics[metric]["mean"])
        leads[metric] = {"over": better, **evaluations[name].lift_over(evaluations[better], metric)}
    return {
        "parts": {
            part: {**_round_means(evaluations[part]), "parameters": asdict(fitted[part].config)}
            for part in parts
        },
        "relative_lead_over_better_part": leads,
    }


class _Clock:
    """Seconds of one part after another."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, part: str) -> None:
        now = time.perf_counter()
        self.seconds[part] = now - self._since
        self._since = now


def _round_means(evaluation: Evaluation) -> dict[str, float]:
    return {name: round(interval["mean"], 6) for name, interval in evaluation.metrics.items()}
