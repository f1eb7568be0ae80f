"""The tables of the rating pipelines as a terminal shows them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from recsys.metrics.rating import ACCURACY_MEANING
from recsys.training.rating_training import FAILED, CategoryResult, describe
from recsys.training.rating_tuning import Choice, RatingTrial, Tuning, best_by

SUMMARY_FIGURES = ("rmse", "mae", "accuracy", "ndcg@10", "recall@10", "map@10")
LINE_WIDTH = 100
NAME_SHOWN = 64  # characters of a name or an id in a table


def format_tuning(tuning: Tuning, choice: Choice) -> str:
    """Every try, the best of each metric, the choice and its test; "" for one that was loaded."""
    if tuning.chosen is None:
        return ""
    trials = tuning.trials
    ranking = [name for name in trials[0].figures if "@" in name]
    errors = [name for name in trials[0].figures if "@" not in name]
    best = [
        f"best {metric}: {describe(winner.parameters)} ({winner.figures[metric]:.4f})"
        for metric in (*ranking, *errors)
        for winner in [best_by(trials, metric)]
    ]
    chosen = f"chosen: {describe(tuning.chosen.parameters)}, the best {choice.metric}"
    if choice.tolerance:
        chosen = (
            f"chosen: {describe(tuning.chosen.parameters)}, the smallest within {choice.tolerance:.0%} "
            f"of the best {choice.metric}"
        )
    tested = ", ".join(f"{name} {value:.4f}" for name, value in tuning.result.figures.items())
    lines = [
        wrap(f"{printable(tuning.result.category)}, on the {tuning.protocol}"),
        "",
        *_table(trials, errors, with_seconds=True),
        "",
        *(_table(trials, ranking) if ranking else ["nobody in the validation part likes anything"]),
        "",
        *best,
        chosen,
        *_at_the_edge(trials, tuning.chosen),
        wrap(f"retrained, tested once: {tested}" if tested else "retrained; there is no test part"),
        "",
    ]
    return "\n".join(lines) + "\n"


def _table(trials: Sequence[RatingTrial], figures: Sequence[str], *, with_seconds: bool = False) -> list[str]:
    """A row a trial: its parameters, some figures, and the seconds it took."""
    seconds = ["fit s", "evaluate s"] if with_seconds else []
    rows = [
        [
            *(str(value) for value in trial.parameters.values()),
            *(f"{trial.figures[name]:.4f}" for name in figures),
            *([f"{trial.fit_seconds:.2f}", f"{trial.evaluate_seconds:.2f}"] if with_seconds else []),
        ]
        for trial in trials
    ]
    return align([[*trials[0].parameters, *figures, *seconds], *rows])


def _at_the_edge(trials: Sequence[RatingTrial], chosen: RatingTrial) -> list[str]:
    """Which numbers of the choice are the least or the most that was tried."""
    told = []
    for name, value in chosen.parameters.items():
        tried = {number for trial in trials if (number := _number(trial.parameters[name])) is not None}
        if len(tried) > 1 and _number(value) in (min(tried), max(tried)):
            end = "least" if _number(value) == min(tried) else "most"
            told.append(f"{name}={value} is the {end} that was tried; try further with --grid")
    return told


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def wrap(line: str) -> str:
    """A sentence in lines a terminal can show."""
    return textwrap.fill(
        line, LINE_WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )


def format_summary(results: Sequence[CategoryResult]) -> str:
    """A row a category, what is to be known of it below, and how many failed."""
    shown = [name for name in SUMMARY_FIGURES if any(name in result.figures for result in results)]
    header = ["category", "status", "factors", *shown, "seconds"]
    rows = [
        [
            *(printable(result.category), result.status, str(result.parameters.get("factors", "-"))),
            *(_cell(result.figures, name) for name in shown),
            f"{result.seconds:.1f}",
        ]
        for result in results
    ]
    notes = [f"{printable(result.category)}: {note}" for result in results for note in result.notes]
    failed = sum(result.status == FAILED for result in results)
    total = f"{len(results) - failed} of {len(results)} categories are there" + f", {failed} failed" * bool(
        failed
    )
    lines = [*align([header, *rows]), *notes, *([f"test part; {ACCURACY_MEANING}"] if shown else []), total]
    return "\n".join(lines)


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def printable(text: str, at_most: int = NAME_SHOWN) -> str:
    r"""What a terminal can show in one line: other characters escaped, long texts cut.

    >>> printable("a\nb"), printable("abcdef", 4)
    ('a\\nb', 'abc…')
    """
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: at_most + 1])
    return shown if len(shown) <= at_most else shown[: at_most - 1] + "…"


def _cell(figures: Mapping[str, float], name: str) -> str:
    return f"{figures[name]:.4f}" if name in figures else "-"
