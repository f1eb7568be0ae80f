"""manage.py run_training."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from recommendations.lease import take_lease
from recommendations.models import TrainingRun

pytestmark = pytest.mark.django_db(transaction=True)


def run_training(run_id: int) -> str:
    out = StringIO()
    call_command("run_training", str(run_id), stdout=out)
    return out.getvalue()


def test_by_hand_it_trains_and_names_the_release(training_place: Path, event_log: int) -> None:
    run = TrainingRun.objects.create(
        trigger=TrainingRun.Trigger.COMMAND, parameters={"als": {"factors": 8, "iterations": 1}}
    )

    said = run_training(run.pk)

    run.refresh_from_db()
    assert run.status == TrainingRun.Status.SUCCEEDED
    assert said == f"Published release {run.release}.\n"


def test_a_failure_is_one_line(training_place: Path) -> None:
    run = TrainingRun.objects.create()

    with pytest.raises(CommandError, match="No interactions found"):
        run_training(run.pk)


def test_a_run_that_is_not_there_or_is_over_is_refused(training_place: Path) -> None:
    over = TrainingRun.objects.create(status=TrainingRun.Status.SUCCEEDED)

    for run_id in (over.pk, over.pk + 1):
        with pytest.raises(CommandError, match="no unfinished training run"):
            run_training(run_id)


def test_while_another_runs_it_is_refused(training_place: Path) -> None:
    take_lease(TrainingRun.objects.create().pk)
    run = TrainingRun.objects.create()

    with pytest.raises(CommandError, match="Another training is running"):
        run_training(run.pk)
    run.refresh_from_db()
    assert run.status == TrainingRun.Status.QUEUED
