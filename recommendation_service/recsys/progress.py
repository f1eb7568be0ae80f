"""Progress of long jobs: one callback type, a way to split it into stages, and a terminal bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from recsys.types import ProgressCallback, ProgressReport

TELL_EVERY_S = 5.0  # where there is no terminal to draw on
MIN_FRACTION_FOR_ESTIMATE = 0.02  # below it the seconds left would be a guess


def ignore_progress(report: ProgressReport) -> None:
    """For callers nobody watches."""


def describe(facts: Mapping[str, float]) -> str:
    """Such as "iteration 5, loss 1.204e+04, 0.4 s, 812 MB"."""
    units = {"seconds": "{:.3g} s", "memory_mb": "{:.0f} MB"}
    return ", ".join(units.get(name, name + " {:.5g}").format(value) for name, value in facts.items())


class StagedProgress:
    """Turns "stage x is half done" into a fraction of the whole job and the seconds left.

    `stages` maps each stage to its expected share of the time; shares need not add up to 1.
    """

    def __init__(self, callback: ProgressCallback, stages: Mapping[str, float]) -> None:
        self._callback = callback
        total = sum(stages.values())
        self._span: dict[str, tuple[float, float]] = {}
        start = 0.0
        for stage, share in stages.items():
            end = start + share / total
            self._span[stage] = (start, end)
            start = end
        self._started = time.monotonic()

    def update(self, stage: str, done: float = 0.0, *, shown: str = "", **facts: float) -> None:
        """Report `done` (0 to 1) of a stage, under its name or as `shown`."""
        start, end = self._span[stage]
        fraction = start + (end - start) * min(max(done, 0.0), 1.0)
        self._callback(ProgressReport(shown or stage, fraction, self._seconds_left(fraction), facts))

    def within(self, stage: str, *, shows_its_stages: bool = False) -> ProgressCallback:
        """A callback whose whole is this one stage: hand it to the code that does the stage.

        With `shows_its_stages` what that code calls its own stages is reported, not this one's name.
        """

        def report_within(report: ProgressReport) -> None:
            shown = report.stage if shows_its_stages else stage
            self.update(stage, report.fraction, shown=shown, **report.facts)

        return report_within

    def _seconds_left(self, fraction: float) -> float | None:
        if fraction < MIN_FRACTION_FOR_ESTIMATE:
            return None
        return (time.monotonic() - self._started) * (1 - fraction) / fraction


class TerminalProgress:
    """Draws a bar on a terminal's stderr; on anything else a line a stage, and one every few seconds."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._is_terminal = sys.stderr.isatty()
        self._stage, self._told_at = "", 0.0
        self._bar = tqdm(total=100, disable=not self._is_terminal, bar_format="{desc:<32}{bar}{n:3.0f}%")

    def __call__(self, report: ProgressReport) -> None:
        """Show one report."""
        facts = f" ({describe(report.facts)})" if report.facts else ""
        left = facts if report.seconds_left is None else f"{facts}, {report.seconds_left:.0f} s left"
        if self._is_terminal:
            self._bar.n = report.fraction * 100
            self._bar.set_description_str(f"{report.stage}{left}")
        elif report.stage != self._stage or time.monotonic() - self._told_at > TELL_EVERY_S:
            sys.stderr.write(f"[{report.fraction:4.0%}] {report.stage}{left}\n")
            sys.stderr.flush()
            self._told_at = time.monotonic()
        self._stage = report.stage

    def close(self) -> None:
        """Leave the terminal tidy."""
        self._bar.close()


@contextmanager
def show_progress() -> Iterator[ProgressCallback]:
    """A callback that shows the progress on stderr while the block runs."""
    progress = TerminalProgress()
    try:
        yield progress
    finally:
        progress.close()
