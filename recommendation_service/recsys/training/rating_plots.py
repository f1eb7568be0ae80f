"""Pictures of a tuning: the curves, the figures on the test part, validation beside test.

matplotlib is imported where a picture is drawn; its figures are made without pyplot, so no window
system and no state is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.evaluation.rating_evaluation import CUTOFFS
from recsys.training.rating_training import FAILED, CategoryResult
from recsys.training.rating_tuning import RatingTrial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {"ndcg": "NDCG", "recall": "Recall", "map": "MAP"}
ERRORS = {"rmse": "RMSE", "mae": "MAE", "accuracy": "accuracy"}
COLOURS = ("#1b6ca8", "#d1751f", "#3a8f5c")
DPI = 100


def plot_tuning(trials: Sequence[RatingTrial], chosen: RatingTrial, title: str, path: Path) -> None:
    """Each figure against the values tried, the chosen one marked."""
    figure, axes = _grid(2, 2, (9.0, 6.4))
    labels = [_label(trial.parameters) for trial in trials]
    at_chosen = next(place for place, trial in enumerate(trials) if trial is chosen)
    for panel, (name, words) in zip(axes[:3], PANELS.items(), strict=True):
        for k, colour in zip(CUTOFFS, COLOURS, strict=True):
            _curve(panel, [trial.figures.get(f"{name}@{k}") for trial in trials], f"@{k}", colour)
        panel.set_title(words)
    for (name, words), colour in zip(ERRORS.items(), COLOURS, strict=True):
        _curve(axes[3], [trial.figures.get(name) for trial in trials], words, colour)
    axes[3].set_title("Errors over all pairs")
    for panel in axes:
        panel.axvline(at_chosen, color="#999999", linestyle="--", linewidth=1)
        panel.set_xticks(range(len(labels)), labels, rotation=0 if max(map(len, labels)) < 5 else 60)
        panel.set_xlabel(", ".join(trials[0].parameters))
        panel.grid(axis="y", alpha=0.3)
        panel.legend(fontsize=8)
    _write(figure, f"{title}: validation part, the dashed line is the choice", path)


def plot_results(results: Sequence[CategoryResult], title: str, path: Path) -> None:
    """The figures on the test part, a group of bars a category; nothing is drawn without one."""
    tested = [result for result in results if result.status != FAILED and result.figures]
    if not tested:
        return
    figure, axes = _grid(2, 2, (max(9.0, 1.2 * len(tested)), 6.4))
    names = [result.category for result in tested]
    for panel, (name, words) in zip(axes[:3], PANELS.items(), strict=True):
        series = {f"@{k}": [r.figures.get(f"{name}@{k}", 0.0) for r in tested] for k in CUTOFFS}
        _bars(panel, series, names, words)
    errors = {words: [r.figures[name] for r in tested] for name, words in ERRORS.items()}
    _bars(axes[3], errors, names, "Errors over all pairs")
    _write(figure, f"{title}: test part", path)


def plot_validation_against_test(
    validation: Mapping[str, float], test: Mapping[str, float], title: str, path: Path
) -> None:
    """The choice on the validation part beside its one test, errors apart from the ranking."""
    figure, axes = _grid(1, 2, (9.0, 3.6), widths=(3, 1))
    ranking = [name for name in validation if "@" in name and name in test]
    for panel, names, words in ((axes[0], ranking, "Ranking"), (axes[1], list(ERRORS), "Errors")):
        series = {
            "validation": [validation.get(name, 0.0) for name in names],
            "test": [test.get(name, 0.0) for name in names],
        }
        _bars(panel, series, names, words)
    _write(figure, title, path)


def _grid(
    rows: int, columns: int, size: tuple[float, float], widths: tuple[int, ...] | None = None
) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes: Any = figure.subplots(rows, columns, width_ratios=widths)
    return figure, list(axes.ravel())


def _curve(panel: Axes, values: Sequence[float | None], label: str, colour: str) -> None:
    there = [(place, value) for place, value in enumerate(values) if value is not None]
    if there:
        panel.plot(*zip(*there, strict=True), marker="o", markersize=4, label=label, color=colour)


def _bars(panel: Axes, series: Mapping[str, Sequence[float]], names: Sequence[str], title: str) -> None:
    width = 0.8 / len(series)
    for number, ((label, values), colour) in enumerate(zip(series.items(), COLOURS, strict=False)):
        places = [place + (number - (len(series) - 1) / 2) * width for place in range(len(names))]
        bars = panel.bar(places, values, width, label=label, color=colour)
        if len(names) * len(series) <= 20:
            panel.bar_label(bars, fmt="%.3f", fontsize=7, rotation=90, padding=2)
    panel.margins(y=0.4)
    long = max((len(name) for name in names), default=0) * len(names) > 40
    panel.set_xticks(range(len(names)), names, rotation=45 if long else 0)
    panel.set_title(title)
    panel.legend(fontsize=8, ncols=len(series), loc="upper center")


def _label(parameters: Mapping[str, object]) -> str:
    return " ".join(str(value) for value in parameters.values())


def _write(figure: Figure, title: str, path: Path) -> None:
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    figure.savefig(aside, dpi=DPI, format="png", metadata={"Software": None})
    aside.replace(path)
