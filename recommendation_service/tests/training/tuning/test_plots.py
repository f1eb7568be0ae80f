"""The pictures of a search: there, of a legible size, redrawn and not piled up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib.image

from recsys.training.tuning.plots import plot_search
from recsys.training.tuning.study import Study


def test_every_parameter_has_a_panel_and_curves_a_picture(
    open_study: Callable[..., Study], tmp_path: Path
) -> None:
    grid = {
        "factors": [2, 4],
        "learning_rate": [0.01, 0.1],
        "negatives": ["uniform", "hard_mixed"],
        "epochs": [4],
        "check_every": [2],
    }
    result = open_study("bpr").coarse(grid)
    folder = tmp_path / "plots"
    folder.mkdir()

    drawn = plot_search(folder, result.rows, result.choice)
    again = plot_search(folder, result.rows, result.choice)

    assert [path.name for path in drawn] == ["bpr-0123456789ab-trials.png", "bpr-0123456789ab-curves.png"]
    assert drawn == again == sorted(folder.iterdir(), reverse=True)
    height, width, _ = matplotlib.image.imread(drawn[0]).shape
    assert width > 900  # three panels beside each other: one a parameter, and the best so far
    assert height > 500  # in two rows
    for path in drawn:
        assert matplotlib.image.imread(path).std() > 0.05  # not blank


def test_nothing_is_drawn_where_nothing_was_measured(
    open_study: Callable[..., Study], tmp_path: Path
) -> None:
    result = open_study().coarse({"factors": [2], "iterations": [2]})
    failed = [replace(row, status="failed") for row in result.rows]

    assert plot_search(tmp_path, failed, result.choice) == []
    assert [path.name for path in plot_search(tmp_path, result.rows, result.choice)] == [
        "als-0123456789ab-trials.png"  # no curves: nobody looked on the way
    ]
