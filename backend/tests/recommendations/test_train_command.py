"""manage.py train: a training in the terminal that is a run like any other."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from recommendations.foreground import train_here
from recommendations.lease import end_lease, is_held, take_lease
from recommendations.models import ReleaseChange, TrainingRun
from recommendations.services import cancel_run
from recsys.artifacts.layout import served_version
from recsys.errors import ConfigError
from recsys.types import ProgressReport
from testing import Make

pytestmark = pytest.mark.django_db(transaction=True)

SMALL = ("als.factors=8", "als.iterations=1")


def test_it_trains_prints_the_figures_and_is_a_run(
    training_place: Path, event_log: int, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("train", "--recommender", "als", "--set", *SMALL)

    run = TrainingRun.objects.get()
    said = capsys.readouterr()
    assert run.status == TrainingRun.Status.SUCCEEDED
    assert run.trigger == TrainingRun.Trigger.COMMAND
    assert served_version(training_place / "models") == run.release
    assert f"Published release {run.release}" in said.out
    assert "Protocol: " in said.out
    assert "fitting als" in said.err
    assert (training_place / "logs" / run.log_file).stat().st_size > 0
    assert ReleaseChange.objects.get().version == run.release
    token = take_lease(run.pk)
    assert token is not None  # it let go of it
    end_lease(token)


def test_a_failure_is_a_red_run_and_one_line(training_place: Path) -> None:
    with pytest.raises(CommandError, match="No interactions found"):
        call_command("train")

    run = TrainingRun.objects.get()
    assert run.status == TrainingRun.Status.FAILED
    assert "No interactions found" in run.reason


def test_what_cannot_work_is_refused_before_there_is_a_run(training_place: Path) -> None:
    with pytest.raises(CommandError, match=r"als\.factors is 0") as refused:
        call_command("train", "--set", "als.factors=0")

    assert isinstance(refused.value.__cause__, ConfigError)
    assert not TrainingRun.objects.exists()


def test_while_another_trains_it_says_which_and_leaves_no_run(training_place: Path) -> None:
    other = TrainingRun.objects.create(status="running", stage="fitting als", percent=42.0)
    take_lease(other.pk)

    with pytest.raises(CommandError, match=rf"Training run {other.pk} is running \(42 % fitting als\); wait"):
        call_command("train")

    assert TrainingRun.objects.count() == 1


def test_cancelled_in_the_admin_it_ends_as_by_ctrl_c(
    training_place: Path, event_log: int, make_user: Make
) -> None:
    anna = make_user(username="anna")

    def cancel_once_it_fits(report: ProgressReport) -> None:
        if report.stage.startswith("fitting als"):
            cancel_run(TrainingRun.objects.get().pk, by=anna)

    endless = {"als": {"factors": 8, "iterations": 1_000_000}}
    with pytest.raises(KeyboardInterrupt):
        train_here("als", endless, cancel_once_it_fits)

    run = TrainingRun.objects.get()
    assert run.status == TrainingRun.Status.CANCELLED
    assert "Cancelled by anna while it was at: fitting als" in run.reason
    assert served_version(training_place / "models") == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ended_from_outside_it_lets_go_of_the_lease(
    training_place: Path, event_log: int, number: signal.Signals
) -> None:
    def end_once_it_fits(report: ProgressReport) -> None:
        if report.stage.startswith("fitting als"):
            signal.raise_signal(number)

    with pytest.raises(KeyboardInterrupt):
        train_here("als", {"als": {"factors": 8, "iterations": 2}}, end_once_it_fits)

    run = TrainingRun.objects.get()
    assert run.status == TrainingRun.Status.CANCELLED
    assert run.reason.startswith("Cancelled from a shell")
    assert not is_held()
