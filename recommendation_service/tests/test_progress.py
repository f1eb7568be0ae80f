from __future__ import annotations

import pytest

from recsys.progress import StagedProgress, show_progress
from recsys.types import ProgressReport


def test_stages_add_up_to_one_by_their_shares() -> None:
    reports: list[ProgressReport] = []
    stages = StagedProgress(reports.append, {"fit": 3, "publish": 1})

    stages.update("fit", 0.5)
    stages.within("publish")(ProgressReport("anything", 0.5))

    assert [(report.stage, report.fraction) for report in reports] == [("fit", 0.375), ("publish", 0.875)]


def test_the_stages_of_a_part_can_be_shown_by_their_own_names() -> None:
    reports: list[ProgressReport] = []
    stages = StagedProgress(reports.append, {"fit": 3, "publish": 1})

    stages.within("publish", shows_its_stages=True)(ProgressReport("writing", 0.5))

    assert [(report.stage, report.fraction) for report in reports] == [("writing", 0.875)]


def test_seconds_left_are_told_once_there_is_something_to_go_by() -> None:
    reports: list[ProgressReport] = []
    stages = StagedProgress(reports.append, {"fit": 1})

    stages.update("fit", 0.001)
    stages.update("fit", 1.0)

    assert reports[0].seconds_left is None
    assert reports[1].seconds_left == 0


def test_without_a_terminal_each_stage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress() as progress:
        for done in (0.1, 0.2):
            progress(ProgressReport("fitting", done))
        progress(ProgressReport("publishing", 0.9, seconds_left=2.0))

    assert capsys.readouterr().err.splitlines() == ["[ 10%] fitting", "[ 90%] publishing, 2 s left"]


def test_what_a_fit_knows_of_an_iteration_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"iteration": 5.0, "loss": 12041.7, "seconds": 0.4123, "memory_mb": 812.4}
    with show_progress() as progress:
        StagedProgress(progress, {"als": 1}).within("als")(ProgressReport("fitting als", 0.01, facts=facts))

    assert capsys.readouterr().err == "[  1%] als (iteration 5, loss 12042, 0.412 s, 812 MB)\n"
