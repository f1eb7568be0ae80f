"""The log of one training: a file a run in logs/, the last ten of each kind kept."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

logger = logging.getLogger(__name__)

KEPT_RUNS = 10
LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"


@contextmanager
def run_log(logs_dir: Path, kind: str) -> Iterator[Path]:
    """Send what is logged inside the block to logs/<kind>-<UTC time>.log; yields the path.

    An error that ends the block is its last entry. Where the disk is full the run goes on without its log,
    and stderr has a line that says so.
    """
    path = new_log_file(logs_dir, kind)
    handler = RunLogHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(LINE))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO))
    try:
        yield path
    except Exception:
        # To the file alone: whoever called tells the person at the terminal, in one line.
        facts = (logging.ERROR, __file__, 0, "%s failed", (kind,), sys.exc_info())
        handler.handle(logger.makeRecord(logger.name, *facts))
        raise
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
        remove_old_logs(logs_dir, kind)


class RunLogHandler(logging.FileHandler):
    """A file that a run can do without: what it cannot take is told once, in a line."""

    is_whole = True

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Called with the error at hand; logging's own way is a traceback an entry."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif self.is_whole:
            self.is_whole = False
            why = error.strerror or error
            sys.stderr.write(
                f"WARNING {self.baseFilename} cannot be written ({why}); the run goes on, its log is not "
                "whole. Free space or name another folder by RECSYS_LOGS_DIR.\n"
            )

    def close(self) -> None:
        """Without the error of entries that the file has not taken, which was told before."""
        with suppress(OSError):
            super().close()


def new_log_file(logs_dir: Path, kind: str) -> Path:
    """A name for the log of a run of this kind; the folder is there, the file is not."""
    logs_dir.mkdir(parents=True, exist_ok=True)
    return logs_dir / f"{kind}-{datetime.now(UTC):%Y%m%dT%H%M%S_%fZ}.log"


def remove_old_logs(logs_dir: Path, kind: str) -> None:
    """Keep the last ten of a kind."""
    for old in sorted(logs_dir.glob(f"{kind}-[0-9]*.log"))[:-KEPT_RUNS]:
        old.unlink(missing_ok=True)
