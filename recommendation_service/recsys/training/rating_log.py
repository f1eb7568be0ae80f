"""The experiment log of a rating pipeline: what each run changed, its losses, what they say, as Markdown.

Every training keeps its recipe and its learning curve as a line of experiments.jsonl. The change is what
differs from the run before it; the observation is made from the losses alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsys.errors import ArtifactError, InvalidRequestError
from recsys.experiments.log import EXPERIMENTS_FILE, read_experiments
from recsys.recommenders.mf import EpochLoss
from recsys.recommenders.rating_table import rating_recommender_class
from recsys.training.rating_report import printable
from recsys.training.rating_training import describe

OVERFIT_GAP = 1.5  # validation loss over train loss from which a row is told to overfit
SAME = 0.02  # losses nearer than this share are told to be the same
LEAST = 1e-9  # a loss below it is divided by as if it were this
HASH_SHOWN = 8  # characters of a dataset's hash
ABSENT = "not there"  # a hyper-parameter that one of two runs did not have


@dataclass(frozen=True)
class LogRow:
    """A run and what came of it; losses are mean squared errors of the epoch that was kept.

    `validation_loss` is None where there was no validation part.
    """

    number: int
    change: str
    n_ratings: int
    train_loss: float
    validation_loss: float | None
    best_epoch: int
    curve: tuple[EpochLoss, ...]
    observation: str


@dataclass(frozen=True, slots=True)
class Run:
    """What a line of experiments.jsonl says of a training."""

    at: datetime
    category: str
    recipe: Mapping[str, object]
    dataset_hash: str
    strategy: str
    n_ratings: int
    best_epoch: int
    curve: tuple[EpochLoss, ...]

    def is_measured_as(self, other: Run) -> bool:
        """Whether the losses of both are of the same ratings."""
        return (self.dataset_hash, self.strategy) == (other.dataset_hash, other.strategy)


def format_log(logs_dir: Path, recommender: str, category: str | None = None) -> str:
    """The runs of a category, or of every one by name: a line about them and a table, in order of time.

    Raises:
        ArtifactError: there is no log, or no such run in it.
        InvalidRequestError: the recommender has no learning curve.
    """
    if not rating_recommender_class(recommender).uses_validation:
        raise InvalidRequestError(
            f"{recommender} is not trained in epochs: its runs have no learning curve, and so no train and "
            f"validation loss to log. `recsys tune {recommender}` compares hyper-parameters."
        )
    runs = read_experiments(logs_dir, lambda record: _run_of(record, recommender))
    there = sorted({run.category for run in runs})
    asked = there if category is None else [category]
    if not runs or category not in (None, *there):
        on = "" if category is None else f" on the category {printable(category)}"
        raise ArtifactError(
            f"{logs_dir / EXPERIMENTS_FILE} holds no run of {recommender}{on}; categories it was trained on: "
            f"{', '.join(map(printable, there)) or 'none'}. Train it there, or name another folder of logs "
            "by RECSYS_LOGS_DIR."
        )
    by_time = sorted(runs, key=lambda run: run.at)
    return "\n".join(
        _section(recommender, name, [run for run in by_time if run.category == name]) for name in asked
    )


def observe(row: LogRow, before: LogRow | None) -> str:
    """What the losses say, in words made from them alone; `before` was measured on the same ratings."""
    if row.validation_loss is None:
        return "no validation part: nothing tells whether it overfits"
    validation, train = max(row.validation_loss, LEAST), max(row.train_loss, LEAST)
    words = []
    if before is not None and before.validation_loss is not None:
        change = validation / max(before.validation_loss, LEAST) - 1
        if abs(change) < SAME:
            words.append("validation loss as before")
        else:
            words.append(f"validation loss {abs(change):.0%} {'lower' if change < 0 else 'higher'}")
    gap = validation / train
    words.append(f"{gap:.1f} times the train loss" + (": it overfits" if gap > OVERFIT_GAP else ""))
    last = row.curve[-1].validation or 0.0
    if row.best_epoch < len(row.curve) and last > validation * (1 + SAME):
        words.append(f"best in epoch {row.best_epoch}, {last / validation - 1:.0%} worse by the last")
    elif row.best_epoch == len(row.curve):
        words.append("still falling in the last epoch")
    return "; ".join(words)


def to_markdown(rows: Sequence[LogRow], counted: str = "step") -> str:
    """The log as a table; `counted` heads its first column."""
    lines = [
        f"| {counted} | change | ratings | train loss | validation loss | epoch | observation |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.number} | {row.change.replace('|', chr(92) + '|')} | {row.n_ratings:,} "
        f"| {row.train_loss:.4f} | {'-' if row.validation_loss is None else f'{row.validation_loss:.4f}'} "
        f"| {row.best_epoch} of {len(row.curve)} | {row.observation} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _section(recommender: str, category: str, runs: Sequence[Run]) -> str:
    first, last = (f"{run.at.astimezone(UTC):%Y-%m-%d %H:%M}" for run in (runs[0], runs[-1]))
    times = f"1 run, {first} UTC" if len(runs) == 1 else f"{len(runs):,} runs, {first} to {last} UTC"
    about = (
        f"{recommender} on {printable(category)}: {times}; losses are mean squared errors at the epoch that "
        f"was kept. The first: {_shown(describe(runs[0].recipe))}; {_shown(runs[0].strategy)}."
    )
    return f"{about}\n\n{to_markdown(_rows(runs), 'run')}"


def _rows(runs: Sequence[Run]) -> list[LogRow]:
    rows: list[LogRow] = []
    for number, run in enumerate(runs, start=1):
        before = runs[number - 2] if number > 1 else None
        kept = run.curve[run.best_epoch - 1]
        row = LogRow(
            *(number, _change(run, before), run.n_ratings, kept.train, kept.validation),
            *(run.best_epoch, run.curve, ""),
        )
        comparable = rows[-1] if before is not None and run.is_measured_as(before) else None
        rows.append(replace(row, observation=observe(row, comparable)))
    return rows


def _change(run: Run, before: Run | None) -> str:
    """What differs from the run before: hyper-parameters, the data, how it was divided."""
    if before is None:
        return "first run"
    pairs = {
        name: (before.recipe.get(name, ABSENT), run.recipe.get(name, ABSENT))
        for name in (*run.recipe, *(name for name in before.recipe if name not in run.recipe))
    }
    told = [f"{name} {old} -> {new}" for name, (old, new) in pairs.items() if old != new]
    if run.dataset_hash != before.dataset_hash:
        told.append(f"data {before.dataset_hash[:HASH_SHOWN]} -> {run.dataset_hash[:HASH_SHOWN]}")
    if run.strategy != before.strategy:
        told.append(f"divided by: {run.strategy}")
    return _shown("; ".join(told)) or "none: the same again"


def _shown(text: str) -> str:
    """All of it, in one line."""
    return printable(text, len(text) + 1)


def _run_of(record: Mapping[str, Any], recommender: str) -> Run | None:
    """A line of the log as a run; None for one of another recommender.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: it is not as a training writes it.
    """
    if (record.get("kind"), record.get("recommender")) != ("rating", recommender):
        return None
    facts = record["facts"]
    curve, best_epoch = tuple(map(_epoch, facts["curve"])), int(_number(facts["best_epoch"]))
    if not 1 <= best_epoch <= len(curve):
        raise ValueError(f"epoch {best_epoch} of {len(curve)}")
    recipe, category = record["recipe"], record["category"]
    data_hash, strategy = record["dataset_hash"], record["split"]["strategy"]
    if not (
        isinstance(recipe, dict) and all(isinstance(text, str) for text in (category, data_hash, strategy))
    ):
        raise TypeError("a recipe is a mapping; a category, a hash and a strategy are texts")
    at, n_ratings = datetime.fromisoformat(record["at"]), record["split"]["train"]["ratings"]
    if at.tzinfo is None:
        raise ValueError(f"{at} names no time zone")
    return Run(at, category, recipe, data_hash, strategy, int(_number(n_ratings)), best_epoch, curve)


def _epoch(point: Mapping[str, Any]) -> EpochLoss:
    held_back = point["validation"]
    return EpochLoss(
        int(_number(point["epoch"])),
        _number(point["train"]),
        None if held_back is None else _number(held_back),
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)
