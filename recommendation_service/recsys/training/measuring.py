"""What a training finds out of its recommenders on the test part, and of itself: its memory."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset
from recsys.evaluation.evaluate import Evaluation, evaluate
from recsys.evaluation.score_range import score_range
from recsys.metrics.ranking import relevant_counts
from recsys.progress import StagedProgress
from recsys.recommenders.base import Recommender
from recsys.recommenders.table import BASELINE
from recsys.training.choosing import Overrides, Prepare, fit_one
from recsys.training.cold_start import cold_item_figures
from recsys.training.gate import LEAD, lead_over_baseline
from recsys.types import Int64Array

logger = logging.getLogger(__name__)

MAX_SCORE_RANGE_USERS = 1_000
CUTOFFS = (10, 20, 50)  # of the figures in a manifest, beside k
IMPROVEMENT = "improvement_over_popularity_percent"  # in the metrics of a manifest, by metric


@dataclass(frozen=True)
class Measured:
    """A recommender fitted on the train part, and what the test part says of it.

    `score_range` of the scores of the best unseen items; `cold_items` what texts did for items with few
    acts, None where it read none.
    """

    recommender: Recommender
    evaluation: Evaluation
    score_range: dict[str, Any]
    cold_items: dict[str, Any] | None

    def metrics(self, baseline: Evaluation) -> dict[str, Any]:
        """What a manifest holds of it, beside popularity's figures on the same test part."""
        metrics = {**self.evaluation.to_json(), "baseline": dict(baseline.metrics)}
        if self.cold_items is not None:
            metrics["cold_items"] = self.cold_items
        if self.evaluation.recommender != BASELINE:
            lead = lead_over_baseline(self.evaluation, baseline)
            metrics |= {LEAD: lead} if lead else {}
            metrics[IMPROVEMENT] = self.evaluation.improvement_over(baseline)
        return metrics


def measure_each(
    names: Sequence[str],
    split: Split,
    overrides: Overrides,
    stages: StagedProgress,
    prepare: Prepare,
    *,
    k: int,
    seed: int,
) -> Iterator[tuple[str, Measured]]:
    """Fit one after another on the train part and compare it with the test part.

    Args:
        names: parts before what is made of them.
        split: what was held back.
        overrides: hyper-parameters, by recommender.
        stages: told `fitting NAME to measure it` and `evaluating NAME`.
        prepare: called with each before it is fitted.
        k: where lists are cut off, beside CUTOFFS.
        seed: of the bootstrap.
    """
    fitted: dict[str, Recommender] = {}
    tested = np.flatnonzero(relevant_counts(split.test))
    for name in names:
        fitting = stages.within(f"fitting {name} to measure it")
        fitted[name] = fit_one(name, split.train, overrides, fitted, fitting, prepare)
        evaluating = stages.within(f"evaluating {name}")
        evaluation = evaluate(fitted[name], split, k=k, cutoffs=CUTOFFS, seed=seed, progress=evaluating)
        logger.info("evaluated recommender=%s %s", name, evaluation.summary())
        yield (
            name,
            Measured(
                fitted[name],
                evaluation,
                score_range_of(fitted[name], split.train, tested),
                cold_item_figures(fitted[name], split, overrides, k=k, seed=seed),
            ),
        )


def peak_memory_mb() -> float:
    """The most memory this process has held, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def score_range_of(recommender: Recommender, dataset: Dataset, users: Int64Array) -> dict[str, Any]:
    """Of the first thousand of these users whom it can answer."""
    histories = (dataset.history(int(user)) for user in users)
    answerable = (history for history in histories if recommender.why_not(history) is None)
    chosen = list(islice(answerable, MAX_SCORE_RANGE_USERS))
    return score_range(recommender, chosen) if chosen else {}
