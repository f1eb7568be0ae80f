"""The log of a run, and a disk that is full."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from recsys.training.run_log import RunLogHandler, run_log

logger = logging.getLogger(__name__)


def test_what_is_logged_and_what_ended_the_run_stand_in_the_file(tmp_path: Path) -> None:
    def fit(iterations: int) -> float:
        logger.info("fitted iterations=%d", iterations)
        return 1 / (iterations - iterations)

    with pytest.raises(ZeroDivisionError), run_log(tmp_path, "als"):
        fit(3)

    text = next(tmp_path.iterdir()).read_text()
    assert f"INFO {__name__} fitted iterations=3" in text
    assert "als failed" in text
    assert "ZeroDivisionError" in text


def test_on_a_full_disk_the_run_goes_on_and_one_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    with full_disk(), run_log(tmp_path, "als") as path:
        logger.info("one")
        logger.info("two")

    assert capsys.readouterr().err == (
        f"WARNING {path} cannot be written (File too large); the run goes on, its log is not whole. "
        "Free space or name another folder by RECSYS_LOGS_DIR.\n"
    )


def test_an_entry_that_cannot_be_put_together_is_told_as_ever(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = RunLogHandler(tmp_path / "als.log")
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))
    handler.close()

    assert "Logging error" in capsys.readouterr().err
