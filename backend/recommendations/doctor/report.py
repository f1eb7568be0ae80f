"""What a check says, and running all of them: one that breaks says so itself, and none stops the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from recsys.errors import RecsysError


class Level(StrEnum):
    """From good to bad."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, and the mend where there is something to mend."""

    level: Level
    found: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A question to one part of the chain.

    `needs` names the checks without which it cannot be asked; `mend` is what to do when it breaks.
    """

    name: str
    ask: Callable[[], Finding]
    needs: tuple[str, ...] = ()
    mend: str = "mend what the message names, then check again"


@dataclass(frozen=True, slots=True)
class Result:
    """A finding with the check it is of."""

    name: str
    level: Level
    found: str
    mend: str
    seconds: float


def ok(found: str) -> Finding:
    """Nothing to do."""
    return Finding(Level.OK, found)


def warn(found: str, mend: str) -> Finding:
    """Answers are given, but something is not as it should be."""
    return Finding(Level.WARN, found, mend)


def fail(found: str, mend: str) -> Finding:
    """Something does not work."""
    return Finding(Level.FAIL, found, mend)


def run_checks(checks: Sequence[Check]) -> Iterator[Result]:
    """One result after the other, in order; a check whose needs failed is not asked."""
    failed: set[str] = set()
    for check in checks:
        started = time.perf_counter()
        missing = [name for name in check.needs if name in failed]
        if missing:
            finding = warn(f"not checked: it needs {', '.join(missing)}", "mend that first")
        else:
            finding = _ask(check)
        if finding.level is Level.FAIL:
            failed.add(check.name)
        seconds = round(time.perf_counter() - started, 3)
        yield Result(check.name, finding.level, finding.found, finding.mend, seconds)


def _ask(check: Check) -> Finding:
    try:
        return check.ask()
    except Exception as error:  # whatever breaks in a check is what it found
        reason = next(iter(str(error).strip().splitlines()), "no reason given")
        kind = "" if isinstance(error, RecsysError) else f"{type(error).__name__}: "
        return fail(f"{kind}{reason}", check.mend)
