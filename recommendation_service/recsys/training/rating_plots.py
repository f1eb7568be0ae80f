"""Pictures of a training and a tuning: losses, values tried, the test part, validation beside test.

matplotlib is imported where a picture is drawn; its figures are made without pyplot, so no window
system and no state is needed.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.evaluation.rating_evaluation import CUTOFFS
from recsys.recommenders.mf import EpochLoss
from recsys.recommenders.rating_base import read_manifest
from recsys.training.mf_experiments import plot_curve
from recsys.training.rating_report import printable
from recsys.training.rating_training import CategoryResult
from recsys.training.rating_tuning import RatingTrial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {"ndcg": "NDCG", "recall": "Recall", "map": "MAP"}
ERRORS = {"rmse": "RMSE", "mae": "MAE", "accuracy": "Accuracy"}
COLOURS = ("#1b6ca8", "#d1751f", "#3a8f5c")
DPI = 100
NAME_SHOWN, TITLE_SHOWN = 24, 100  # characters


@contextmanager
def _plain_text() -> Iterator[None]:
    """A dollar in a name is no formula, and a sign the font lacks is a box without a warning."""
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font")
        yield


def plot_learning_curve(folder: Path, title: str) -> Path | None:
    """Draw the loss of each epoch of what is kept in a folder; None for one that learns in no epochs."""
    facts = read_manifest(folder)["facts"]
    if "curve" not in facts:
        return None
    path = folder / "learning_curve.png"
    with _plain_text():
        curve = [EpochLoss(**point) for point in facts["curve"]]
        plot_curve(curve, facts["best_epoch"], printable(title), path)
    return path


@_plain_text()
def plot_tuning(trials: Sequence[RatingTrial], chosen: RatingTrial, title: str, path: Path) -> None:
    """Each figure against the values tried, the chosen one marked.

    A line joins what differs in the last parameter alone, and is called by the others.
    """
    figure, axes = _grid(2, 3, (12.0, 6.4))
    lines = _runs(trials)
    for panel, (name, words) in zip(axes[:3], PANELS.items(), strict=True):
        for k, colour in zip(CUTOFFS, COLOURS, strict=True):
            _curve(panel, trials, lines, f"{name}@{k}", colour, f"@{k}")
        panel.set_title(words)
        if panel.lines:
            panel.legend(fontsize=8)
    for panel, (name, words), colour in zip(axes[3:], ERRORS.items(), COLOURS, strict=True):
        _curve(panel, trials, lines, name, colour, words)
        panel.set_title(f"{words}, all pairs")
    places, labels, axis = _ticks(trials, lines)
    at_chosen = next(place for place, trial in enumerate(trials) if trial is chosen)
    for panel in axes:
        panel.axvline(at_chosen, color="#999999", linestyle="--", linewidth=1)
        panel.set_xticks(places, labels, rotation=0 if max(map(len, labels)) < 5 else 60)
        panel.set_xlabel(axis, fontsize=9)
        panel.grid(axis="y", alpha=0.3)
    _write(figure, f"{title}: validation part, the dashed line is the choice", path)


@_plain_text()
def plot_results(results: Sequence[CategoryResult], title: str, path: Path) -> None:
    """The figures on the test part, a group of bars a category that has some."""
    tested = [result for result in results if result.figures]
    figure, axes = _grid(2, 2, (max(9.0, 1.2 * len(tested)), 6.4))
    names = [printable(result.category, NAME_SHOWN) for result in tested]
    for panel, (name, words) in zip(axes[:3], PANELS.items(), strict=True):
        series = {f"@{k}": [r.figures.get(f"{name}@{k}", 0.0) for r in tested] for k in CUTOFFS}
        _bars(panel, series, names, words)
    errors = {words: [r.figures[name] for r in tested] for name, words in ERRORS.items()}
    _bars(axes[3], errors, names, "Errors and accuracy, all pairs")
    _write(figure, f"{title}: test part", path)


@_plain_text()
def plot_validation_against_test(
    validation: Mapping[str, float], test: Mapping[str, float], title: str, path: Path
) -> None:
    """The choice on the validation part beside its one test, errors apart from the ranking."""
    figure, axes = _grid(1, 2, (9.0, 3.6), widths=(3, 1))
    ranking = [name for name in validation if "@" in name and name in test]
    shown = {
        name.replace(short, words): name
        for name in ranking
        for short, words in PANELS.items()
        if name.startswith(f"{short}@")
    }
    errors = {words: name for name, words in ERRORS.items()}
    for panel, names, words in ((axes[0], shown, "Ranking"), (axes[1], errors, "Errors and accuracy")):
        series = {
            "validation": [validation.get(name, 0.0) for name in names.values()],
            "test": [test.get(name, 0.0) for name in names.values()],
        }
        _bars(panel, series, list(names), words)
    _write(figure, f"{title}: the choice on the validation part, retrained and tested once", path)


def _grid(
    rows: int, columns: int, size: tuple[float, float], widths: tuple[int, ...] | None = None
) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes: Any = figure.subplots(rows, columns, width_ratios=widths)
    return figure, list(axes.ravel())


def _runs(trials: Sequence[RatingTrial]) -> list[list[int]]:
    """Places of the trials, those together that agree in all parameters but the last."""
    leading = [tuple(trial.parameters.values())[:-1] for trial in trials]
    return [list(run) for _, run in itertools.groupby(range(len(trials)), key=lambda place: leading[place])]


def _ticks(trials: Sequence[RatingTrial], lines: Sequence[list[int]]) -> tuple[list[float], list[str], str]:
    """Where the axis is labelled, with what, and what it is: a label a trial, or a line of several."""
    *leading, last = trials[0].parameters
    if not leading or len(lines) == len(trials):
        labels = [_label(trial.parameters) for trial in trials]
        return list(map(float, range(len(trials)))), labels, ", ".join(trials[0].parameters)
    along = [str(trials[place].parameters[last]) for place in lines[0]]
    return (
        [sum(places) / len(places) for places in lines],
        [_label({name: trials[places[0]].parameters[name] for name in leading}) for places in lines],
        f"{', '.join(leading)}\n(along a line {last}: {', '.join(along)})",
    )


def _curve(
    panel: Axes, trials: Sequence[RatingTrial], lines: Sequence[list[int]], name: str, colour: str, label: str
) -> None:
    if name not in trials[0].figures:
        return
    for places in lines:
        values = [trials[place].figures[name] for place in places]
        panel.plot(places, values, marker="o", markersize=4, color=colour, label=label)
        label = "_"  # once in the legend


def _bars(panel: Axes, series: Mapping[str, Sequence[float]], names: Sequence[str], title: str) -> None:
    width = 0.8 / len(series)
    for number, ((label, values), colour) in enumerate(zip(series.items(), COLOURS, strict=False)):
        places = [place + (number - (len(series) - 1) / 2) * width for place in range(len(names))]
        bars = panel.bar(places, values, width, label=label, color=colour)
        if len(names) * len(series) <= 20:
            panel.bar_label(bars, fmt="%.3f", fontsize=7, rotation=90, padding=2)
    panel.margins(y=0.4)
    spare = max(3 - len(names), 0) / 2  # one or two categories do not fill the picture
    panel.set_xlim(-0.5 - spare, len(names) - 0.5 + spare)
    long = max((len(name) for name in names), default=0) * len(names) > 40
    panel.set_xticks(range(len(names)), names, rotation=45 if long else 0)
    panel.set_title(title)
    panel.legend(fontsize=8, ncols=len(series), loc="upper center")


def _label(parameters: Mapping[str, object]) -> str:
    return " ".join(str(value) for value in parameters.values())


def _write(figure: Figure, title: str, path: Path) -> None:
    figure.suptitle(printable(title, TITLE_SHOWN))
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    figure.savefig(aside, dpi=DPI, format="png", metadata={"Software": None})
    aside.replace(path)
