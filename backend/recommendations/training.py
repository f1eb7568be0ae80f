"""One training, from the event log to a published release, told to its TrainingRun as it goes."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection

from interactions.export import export_als_dataset
from recommendations.models import TrainingRun
from recommendations.plans import training_plan
from recommendations.releases import published_by
from recommendations.services import refuse_run, report_run, succeed_run
from recsys.datasets.user_items import Dataset, load_dataset
from recsys.errors import UnavailableError
from recsys.evaluation.evaluate import Evaluation
from recsys.progress import StagedProgress, ignore_progress
from recsys.training.pipeline import Curve, TrainingResult, train_and_publish
from recsys.types import ProgressCallback, ProgressReport
from startups.live_catalogue import sync_live_catalogue

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 1.0
SHARES = {"export": 1.0, "training": 9.0}


class RunProgress:
    """Writes each report into the run, a second apart at least; raises when the lease was lost."""

    def __init__(self, run_id: int, token: int) -> None:
        self._run_id, self._token = run_id, token
        self._stage, self._reported_at = "", 0.0

    def __call__(self, report: ProgressReport) -> None:
        """Take one report."""
        now = time.monotonic()
        if report.stage == self._stage and now - self._reported_at < REPORT_EVERY_S:
            return
        self._stage, self._reported_at = report.stage, now
        try:
            report_run(
                self._run_id,
                self._token,
                stage=report.stage,
                percent=round(report.fraction * 100, 1),
                seconds_left=report.seconds_left,
            )
        except OperationalError as error:  # hours of training do not end for a database that restarts
            logger.warning("progress not reported run=%s reason=%s", self._run_id, error)
            connection.close()


def train_run(run: TrainingRun, token: int, progress: ProgressCallback = ignore_progress) -> TrainingResult:
    """Export, train, evaluate, ask the gate, publish.

    Args:
        run: what is asked for; it is told how far it is, and what came of it.
        token: of the lease.
        progress: told too.

    Raises:
        ConfigError: a hyper-parameter cannot work.
        DataError: there is nothing to learn from.
        ArtifactError: the release could not be published; the served one still is.
        LeaseLostError: another process has taken over.
    """
    told = RunProgress(run.pk, token)

    def tell(report: ProgressReport) -> None:
        progress(report)
        told(report)

    stages = StagedProgress(tell, SHARES)
    plan = training_plan(run.kind, run.parameters)
    export_als_dataset(output_dir=settings.DATASET_DIR, progress=stages.within("export"))
    dataset = load_dataset(settings.DATASET_DIR)
    report_run(run.pk, token, dataset=_dataset_facts(dataset))
    result = train_and_publish(
        dataset,
        settings.MODELS_DIR,
        plan,
        logs_dir=settings.LOGS_DIR,
        gated=run.is_unattended,
        progress=stages.within("training", shows_its_stages=True),
        on_switch=published_by(run, token),
        on_learned=partial(_report_learned, run.pk, token),
    )
    learned = {"gate": result.verdict.to_json()}
    if not result.version:
        refuse_run(run.pk, token, reason=_refusal(result), **learned)
        return result
    _tell_live_catalogue()
    succeed_run(run.pk, token, release=result.version, reason=_remarks(result), **learned)
    return result


def _report_learned(
    run_id: int, token: int, evaluations: Mapping[str, Evaluation], curves: Mapping[str, Curve]
) -> None:
    metrics = {name: evaluation.to_json() for name, evaluation in evaluations.items()}
    report_run(run_id, token, metrics=metrics, learning_curves=dict(curves))


def _refusal(result: TrainingResult) -> str:
    reasons = ["Refused, what was served still is:", *result.verdict.faults, *_remarks(result).splitlines()]
    return "\n".join(reasons)


def _remarks(result: TrainingResult) -> str:
    """Warnings, and what the gate could not look at."""
    return "\n".join((*result.warnings, *result.verdict.notes))


def _tell_live_catalogue() -> None:
    """The new release knows more startups: fewer need to travel whole."""
    try:
        sync_live_catalogue()
    except UnavailableError as error:
        logger.warning("live catalogue not renewed reason=%s", error)


def _dataset_facts(dataset: Dataset) -> dict[str, Any]:
    kept = ("acts", "counts", "density", "weights", "watermark", "exported_at")
    facts = {name: dataset.manifest[name] for name in kept if name in dataset.manifest}
    return {**facts, "hash": dataset.content_hash}
