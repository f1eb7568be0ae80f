"""The tables of the rating pipelines as a terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recsys.metrics.rating import ACCURACY_MEANING
from recsys.training.rating_training import FAILED, CategoryResult, describe
from recsys.training.rating_tuning import Choice, Tuning, best_by

SUMMARY_FIGURES = ("rmse", "mae", "accuracy", "ndcg@10", "recall@10", "map@10")
BEST_SHOWN = ("ndcg@10", "recall@10", "map@10", "rmse", "mae", "accuracy")


def format_tuning(tuning: Tuning, choice: Choice) -> str:
    """Every try, the best of each metric, the choice and its test; "" for one that was loaded."""
    if tuning.chosen is None:
        return ""
    trials = tuning.trials
    names, figures = list(trials[0].parameters), list(trials[0].figures)
    header = [*names, *figures, "fit s", "evaluate s"]
    rows = [
        [
            *(str(value) for value in trial.parameters.values()),
            *(f"{value:.4f}" for value in trial.figures.values()),
            f"{trial.fit_seconds:.2f}",
            f"{trial.evaluate_seconds:.2f}",
        ]
        for trial in trials
    ]
    best = [
        f"best {metric}: {describe(winner.parameters)} ({winner.figures[metric]:.4f})"
        for metric in BEST_SHOWN
        if metric in figures
        for winner in [best_by(trials, metric)]
    ]
    chosen = (
        f"chosen: {describe(tuning.chosen.parameters)}, the smallest within {choice.tolerance:.0%} "
        f"of the best {choice.metric}"
    )
    tested = ", ".join(f"{name} {value:.4f}" for name, value in tuning.result.figures.items())
    lines = [
        f"{tuning.result.category}:",
        *align([header, *rows]),
        f"validation: {tuning.protocol}",
        *best,
        chosen,
    ]
    return "\n".join((*lines, f"retrained, tested once: {tested}", ""))


def format_summary(results: Sequence[CategoryResult]) -> str:
    """A row a category, what is to be known of it below, and how many failed."""
    shown = [name for name in SUMMARY_FIGURES if any(name in result.figures for result in results)]
    header = ["category", "status", "factors", *shown, "seconds"]
    rows = [
        [
            *(result.category, result.status, str(result.parameters.get("factors", "-"))),
            *(_cell(result.figures, name) for name in shown),
            f"{result.seconds:.1f}",
        ]
        for result in results
    ]
    notes = [f"{result.category}: {note}" for result in results for note in result.notes]
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


def _cell(figures: Mapping[str, float], name: str) -> str:
    return f"{figures[name]:.4f}" if name in figures else "-"
