"""The search as pictures, beside the log: NDCG@10 by parameter, the best so far, learning curves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.experiments.trials import DONE, PRUNED, TrialRow, varied
from recsys.training.tuning.choice import Choice, as_number, describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"coarse": "#4477aa", "fine": "#cc6677"}
CHOSEN = "#117733"
PANEL_INCHES = (3.6, 3.0)
MOST_PANELS = 8
MOST_CURVES = 12
LOG_FROM = 8.0  # a parameter whose largest value is so many times its smallest has a logarithmic axis


def plot_search(folder: Path, rows: Sequence[TrialRow], choice: Choice) -> list[Path]:
    """Draw what a search has tried so far.

    Args:
        folder: where the pictures go, instead of older ones of the same search.
        rows: its tries.
        choice: what they come to, marked in every panel.

    Returns:
        the files: <model>-<data version>-trials.png, and -curves.png where tries were looked at on the way.
    """
    if not any(row.status == DONE for row in rows):
        return []
    name = f"{rows[0].model}-{rows[0].data_version}"
    drawn = [_plot_trials(folder / f"{name}-trials.png", rows, choice)]
    if any(row.curve for row in rows):
        drawn.append(_plot_curves(folder / f"{name}-curves.png", rows))
    return drawn


def _plot_trials(path: Path, rows: Sequence[TrialRow], choice: Choice) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    done = [row for row in rows if row.status == DONE]
    parameters = varied(done)[:MOST_PANELS]
    width, height = PANEL_INCHES
    n_columns = min(len(parameters) + 1, 3)
    n_rows = -(-(len(parameters) + 1) // n_columns)
    figure = Figure(figsize=(width * n_columns, height * n_rows + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True).ravel()
    for panel, parameter in zip(panels, parameters, strict=False):
        _plot_parameter(panel, parameter, done, choice)
    _plot_best_so_far(panels[len(parameters)], done)
    for panel in panels[len(parameters) + 1 :]:
        panel.set_visible(False)
    for panel in panels[::n_columns]:
        panel.set_ylabel("NDCG@10 on validation")
    chosen = describe(choice.chosen.parameters, parameters)
    figure.suptitle(f"{rows[0].model}: {len(done)} tries; chosen {chosen} (green)", fontsize=10)
    figure.savefig(path, dpi=90)
    return path


def _plot_parameter(panel: Axes, parameter: str, rows: Sequence[TrialRow], choice: Choice) -> None:
    values = [row.parameters.get(parameter) for row in rows]
    is_number = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    words = [] if is_number else sorted({str(value) for value in values})

    def place(value: Any) -> float:
        return float(value) if is_number else float(words.index(str(value)))

    for stage, colour in COLOURS.items():
        of_stage = [row for row in rows if row.stage == stage]
        panel.plot(
            [place(row.parameters.get(parameter)) for row in of_stage],
            [row.ndcg or 0.0 for row in of_stage],
            "o",
            color=colour,
            alpha=0.7,
            markersize=5,
            label=stage,
        )
    chosen = place(choice.chosen.parameters[parameter])
    panel.plot([chosen], [choice.chosen.ndcg], "D", color=CHOSEN, markersize=8, label="chosen, mean of seeds")
    if words:
        panel.set_xticks(range(len(words)), words)
    elif (low := min(map(place, values))) > 0 and max(map(place, values)) / low >= LOG_FROM:
        panel.set_xscale("log")
    panel.set_xlabel(parameter)
    panel.grid(alpha=0.3)


def _plot_best_so_far(panel: Axes, rows: Sequence[TrialRow]) -> None:
    best = list(itertools.accumulate((row.ndcg or 0.0 for row in rows), max))
    for stage, colour in COLOURS.items():
        of_stage = [(n, row.ndcg or 0.0) for n, row in enumerate(rows, start=1) if row.stage == stage]
        if of_stage:
            panel.plot(*zip(*of_stage, strict=True), "o", color=colour, label=stage)
    panel.step(range(1, len(best) + 1), best, where="post", color="black", linewidth=1, label="best so far")
    panel.set_xlabel("try, in the order made")
    panel.legend(fontsize=7, loc="lower right")
    panel.grid(alpha=0.3)


def _plot_curves(path: Path, rows: Sequence[TrialRow]) -> Path:
    """Of the best tries and of those stopped early."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = sorted((row for row in rows if row.curve), key=lambda row: -(row.ndcg or 0.0))[:MOST_CURVES]
    shown = varied(curves)
    figure = Figure(figsize=(8.0, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    for row in curves:
        stopped = row.status == PRUNED
        label = " ".join(as_number(row.parameters.get(name)) for name in shown)
        panel.plot(
            *zip(*row.curve, strict=True),
            "x--" if stopped else "o-",
            alpha=0.5 if stopped else 0.9,
            markersize=4,
            label=f"{label}{' (stopped early)' if stopped else ''}",
        )
    panel.set_xlabel("iteration or epoch")
    panel.set_ylabel("figure on validation at 10")
    panel.set_title(f"{rows[0].model}: looks on the way", fontsize=10)
    panel.legend(
        title=", ".join(shown), title_fontsize=7, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5)
    )
    panel.grid(alpha=0.3)
    figure.savefig(path, dpi=90)
    return path
