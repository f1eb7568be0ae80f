from __future__ import annotations

from recsys.progress import StagedProgress
from recsys.types import ProgressReport


def test_stages_add_up_to_one_by_their_shares() -> None:
    reports: list[ProgressReport] = []
    stages = StagedProgress(reports.append, {"fit": 3, "publish": 1})

    stages.update("fit", 0.5)
    stages.within("publish")(ProgressReport("anything", 0.5))

    assert [(report.stage, report.fraction) for report in reports] == [("fit", 0.375), ("publish", 0.875)]


def test_seconds_left_are_told_once_there_is_something_to_go_by() -> None:
    reports: list[ProgressReport] = []
    stages = StagedProgress(reports.append, {"fit": 1})

    stages.update("fit", 0.001)
    stages.update("fit", 1.0)

    assert reports[0].seconds_left is None
    assert reports[1].seconds_left == 0
