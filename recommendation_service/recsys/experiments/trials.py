"""Every try of a search, a row each in experiments/cf_experiments.csv.

Several searches may write at once: a row is appended under a lock, in one write. A row that a
killed writer left half done is closed before the next one and left out when the file is read.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError

logger = logging.getLogger(__name__)

TRIALS_FILE = "cf_experiments.csv"
ROOM = 64 * 1024  # bytes that must be free; a row, and what is chosen in the end, take less
COLUMNS = (
    "at",
    "model",
    "stage",
    "status",
    "recall@10",
    "ndcg@10",
    "seconds",
    "seed",
    "data_version",
    "parameters",
    "protocol",
    "best_epoch",
    "error",
    "curve",
)
DONE, PRUNED, FAILED, DIED = "done", "pruned", "failed", "died"
STATUSES = (DONE, PRUNED, FAILED, DIED)
VERSION_LENGTH = 12  # of a dataset's hash


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One try, or one test of what was chosen (stage `validate`).

    `status`: done; pruned (stopped, for others were better by then); failed (the recommender said
    why, and would again); died (memory was short or the process ended, another try may go well).
    `recall` and `ndcg` at 10 where it is done. `parameters` is the whole configuration but the seed.
    `curve` holds (iteration or epoch, figure) of the looks at the validation part on the way;
    `best_epoch` the one kept, of what is stopped early.
    """

    model: str
    stage: str
    status: str
    seed: int
    data_version: str
    parameters: Mapping[str, Any]
    protocol: str
    recall: float | None = None
    ndcg: float | None = None
    seconds: float = 0.0
    best_epoch: int | None = None
    error: str = ""
    curve: tuple[tuple[int, float], ...] = ()
    at: str = ""

    @property
    def key(self) -> tuple[str, str, str, int, str]:
        """What makes two tries the same one."""
        return self.model, self.data_version, self.protocol, self.seed, as_text(self.parameters)


def as_text(parameters: Mapping[str, Any]) -> str:
    """Parameters as JSON, the same text for the same values."""
    return json.dumps(dict(parameters), sort_keys=True, ensure_ascii=False)


def data_version(dataset: Dataset) -> str:
    """What a dataset is known by in the log and in tuned.json: other cells, another version.

    That of processed data is the version `recsys process` printed; a part of it is known by its own cells.
    """
    version = dataset.manifest.get("processed")
    if version and "subsample" not in dataset.manifest:
        return str(version)
    return dataset.content_hash[:VERSION_LENGTH]


def append_trial(folder: Path, row: TrialRow) -> None:
    """Add a row, with the time unless it has one.

    Raises:
        ArtifactError: the file cannot be written.
    """
    with _opened(folder) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0, io.SEEK_END)
        text = _as_line(COLUMNS) if file.tell() == 0 else _end_of_a_torn_row(file)
        file.write((text + _as_line(_cells(row))).encode())
        file.flush()


def check_writable(folder: Path) -> None:
    """Refuse a folder that could not take a row, before there is one to lose.

    Raises:
        ArtifactError: the file cannot be written, or the disk is full.
    """
    with _opened(folder), TemporaryFile(dir=folder) as probe:
        probe.write(bytes(ROOM))
        probe.flush()


@contextmanager
def _opened(folder: Path) -> Iterator[IO[bytes]]:
    """The log, to be read and appended to; there if it was not."""
    path = folder / TRIALS_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            yield file
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be written ({error.strerror or error}); mend the permissions or free space, or "
            "name another folder by RECSYS_EXPERIMENTS_DIR. The tries already in it are kept."
        ) from error


def read_trials(folder: Path) -> list[TrialRow]:
    """Every whole row, in the order written; none where nothing was tried yet.

    Raises:
        ArtifactError: the file cannot be read, or has other columns.
    """
    path = folder / TRIALS_FILE
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, list(COLUMNS))
            if header != list(COLUMNS):
                raise ArtifactError(
                    f"{path} has the columns {', '.join(header)}, not {', '.join(COLUMNS)}; move it away, "
                    "the next search starts another."
                )
            rows = [_read(cells, path, reader.line_num) for cells in reader if cells]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(
            f"{path} cannot be read ({error}); mend it, move it away, or name another folder by "
            "RECSYS_EXPERIMENTS_DIR."
        ) from error
    return [row for row in rows if row is not None]


def varied(rows: Iterable[TrialRow]) -> list[str]:
    """The parameters in which these rows differ, in the order of their configuration."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.parameters.items():
            values.setdefault(name, set()).add(json.dumps(value))
    return [name for name, found in values.items() if len(found) > 1]


def _cells(row: TrialRow) -> list[str]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.6f}"

    return [
        row.at or datetime.now(UTC).isoformat(timespec="seconds"),
        row.model,
        row.stage,
        row.status,
        number(row.recall),
        number(row.ndcg),
        f"{row.seconds:.3f}",
        str(row.seed),
        row.data_version,
        json.dumps(dict(row.parameters), ensure_ascii=False),
        row.protocol,
        "" if row.best_epoch is None else str(row.best_epoch),
        " ".join(row.error.split()),
        json.dumps([[step, round(value, 6)] for step, value in row.curve]) if row.curve else "",
    ]


def _as_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _end_of_a_torn_row(file: IO[bytes]) -> str:
    """A line break where a writer was killed amid a row, with the quote it may have left open."""
    file.seek(-1, io.SEEK_END)
    if file.read() == b"\n":
        return ""
    file.seek(0)
    content = file.read()
    return '"\n' if content[content.rfind(b"\n") + 1 :].count(b'"') % 2 else "\n"


def _read(cells: list[str], path: Path, line: int) -> TrialRow | None:
    try:
        of = dict(zip(COLUMNS, cells, strict=True))
        return TrialRow(
            model=of["model"],
            stage=of["stage"],
            status=STATUSES[STATUSES.index(of["status"])],
            seed=int(of["seed"]),
            data_version=of["data_version"],
            parameters=dict(json.loads(of["parameters"])),
            protocol=of["protocol"],
            recall=float(of["recall@10"]) if of["recall@10"] else None,
            ndcg=float(of["ndcg@10"]) if of["ndcg@10"] else None,
            seconds=float(of["seconds"]),
            best_epoch=int(of["best_epoch"]) if of["best_epoch"] else None,
            error=of["error"],
            curve=tuple((int(step), float(value)) for step, value in json.loads(of["curve"] or "[]")),
            at=of["at"],
        )
    except (ValueError, TypeError):
        logger.warning("row left out file=%s line=%d reason=not whole", path, line)
        return None
