"""The pictures of the rating pipelines: there, not blank, and what is joined by a line in them."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.image

from recsys.training.rating_plots import (
    _runs,
    _ticks,
    plot_learning_curve,
    plot_results,
    plot_tuning,
    plot_validation_against_test,
)
from recsys.training.rating_training import TRAINED, CategoryResult
from recsys.training.rating_tuning import RatingTrial

ERRORS = {"rmse": 0.9, "mae": 0.7, "accuracy": 0.4}
FIGURES = {
    **ERRORS,
    **{f"{name}@{k}": 0.1 + k / 100 for name in ("ndcg", "recall", "map") for k in (10, 20, 50)},
}


def shape_of(path: Path) -> tuple[int, int]:
    image = matplotlib.image.imread(path)
    assert image.std() > 0.05  # not blank
    height, width, _ = image.shape
    return width, height


def trials_of(*parameters: dict[str, object], figures: dict[str, float] = FIGURES) -> list[RatingTrial]:
    return [RatingTrial(one, figures, 1.0, 1.0) for one in parameters]


def test_a_tuning_is_drawn_with_and_without_a_ranking(tmp_path: Path) -> None:
    for figures in (FIGURES, ERRORS):
        trials = trials_of({"factors": 4}, {"factors": 8}, figures=figures)
        plot_tuning(trials, trials[1], "svd, films", tmp_path / "films" / "tuning.png")
        assert shape_of(tmp_path / "films" / "tuning.png") == (1200, 640)
    assert [path.name for path in (tmp_path / "films").iterdir()] == ["tuning.png"]


def test_a_line_joins_what_differs_in_the_last_parameter_alone() -> None:
    assert _runs(trials_of({"factors": 4}, {"factors": 8})) == [[0, 1]]
    pairs = [{"factors": f, "weight_decay": d} for f in (4, 8) for d in (0.1, 0.2, 0.3)]
    assert _runs(trials_of(*pairs)) == [[0, 1, 2], [3, 4, 5]]


def test_a_label_stands_for_a_line_of_several() -> None:
    pairs = [{"factors": f, "weight_decay": d} for f in (4, 8) for d in (0.1, 0.2, 0.3)]
    trials = trials_of(*pairs)
    places, labels, axis = _ticks(trials, _runs(trials))
    assert (places, labels) == ([1, 4], ["4", "8"])
    assert axis == "factors\n(along a line weight_decay: 0.1, 0.2, 0.3)"

    alone = trials_of({"factors": 4, "centre": "none"}, {"factors": 8, "centre": "none"})
    assert _ticks(alone, _runs(alone)) == ([0, 1], ["4 none", "8 none"], "factors, centre")


def test_any_name_of_a_category_can_be_drawn(tmp_path: Path) -> None:
    for name in ("$x_{$", "a\nb", "日本語", "n" * 200):
        plot_results([CategoryResult(name, TRAINED, figures=FIGURES)], name, tmp_path / "one.png")
        plot_validation_against_test(FIGURES, FIGURES, name, tmp_path / "both.png")
        plot_tuning(trials := trials_of({"factors": 4}), trials[0], name, tmp_path / "tuning.png")
        assert shape_of(tmp_path / "one.png") == (900, 640)


def test_results_are_drawn_of_categories_with_figures(tmp_path: Path) -> None:
    results = [CategoryResult(f"category {n}", TRAINED, figures=FIGURES) for n in range(12)]
    plot_results([*results, CategoryResult("untested", TRAINED)], "svd", tmp_path / "many.png")
    plot_results(results[:1], "svd", tmp_path / "one.png")
    assert shape_of(tmp_path / "many.png") == (1440, 640)
    assert shape_of(tmp_path / "one.png") == (900, 640)


def test_a_choice_is_drawn_beside_its_test(tmp_path: Path) -> None:
    plot_validation_against_test(FIGURES, FIGURES, "svd, films", tmp_path / "both.png")
    assert shape_of(tmp_path / "both.png") == (900, 360)


def test_a_learning_curve_is_drawn_of_what_learns_in_epochs(tmp_path: Path) -> None:
    facts: dict[str, object] = {"range": [1, 5]}
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"recipe": {}, "facts": facts}))
    assert plot_learning_curve(tmp_path, "svd, films") is None

    curve = [{"epoch": n, "train": 1 / n, "validation": 1.2 / n} for n in (1, 2, 3)]
    manifest.write_text(json.dumps({"recipe": {}, "facts": {**facts, "curve": curve, "best_epoch": 3}}))
    assert plot_learning_curve(tmp_path, "mf, films") == tmp_path / "learning_curve.png"
    assert shape_of(tmp_path / "learning_curve.png") == (480, 288)
