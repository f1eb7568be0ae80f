"""What a search may try: the shipped section works, a bad one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from recsys.config import read_config
from recsys.errors import ConfigError
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.tuning.space import (
    Range,
    coarse_combinations,
    complete,
    extremes,
    fine_ranges,
    n_fine_trials,
    read_grid,
    size_of,
)

SEARCHED = [name for name in RECOMMENDERS if f"{name}_search" in read_config()]
IRSPACK = {"engine": "irspack"}


@pytest.mark.parametrize(
    ("name", "fixed"), [*((name, {}) for name in SEARCHED), ("als", IRSPACK), ("als_ratings", IRSPACK)]
)
def test_every_shipped_combination_and_range_works(name: str, fixed: dict[str, object]) -> None:
    """Both ends of every range too: what is refused is a try thrown away."""
    combinations = coarse_combinations(name, None, fixed)

    assert {size_of(one) for one in combinations} == {32, 64, 128}
    for parameters in (combinations[0], combinations[-1]):
        best = complete(name, parameters)
        ranges = fine_ranges(name, best, fixed)
        for field, one in ranges.items():
            for value in one.choices or (one.low, one.high):
                assert complete(name, {**best, field: round(value) if one.is_whole else value})
            assert one.distribution()
        assert [size_of(each) for each in extremes(name, best, ranges)] == [
            size_of(best),
            size_of(best) // 2,
            size_of(best) * 2,
        ]
    assert n_fine_trials(name) == 20
    for end in (0, -1):
        assert complete(name, {field: values[end] for field, values in read_grid(name).items()})


def test_whatever_learns_vectors_by_itself_can_be_searched() -> None:
    assert set(SEARCHED) == set(RECOMMENDERS) - {"popularity", "content", "ensemble"}


def test_what_a_configuration_refuses_does_not_count_for_memory() -> None:
    best = complete("als", {"factors": 4000})

    found = extremes(
        "als", best, {"factors": Range(choices=(2000, 4000, 8000)), "alpha": Range(low=1, high=2)}
    )

    assert [one["factors"] for one in found] == [4000, 2000]


def test_the_plain_grid_is_the_guides() -> None:
    assert read_grid("als") == {
        "factors": [64, 128, 256],
        "regularization": [0.01, 0.05, 0.1],
        "iterations": [15, 20, 30],
    }
    assert read_grid("bpr")["epochs"] == [30, 50]
    assert read_grid("als_ratings")["alpha"] == [5.0, 10.0, 20.0]


def with_fine(monkeypatch: pytest.MonkeyPatch, folder: Path, **section: Any) -> None:
    config = read_config()
    config["bpr_search"] = {**config["bpr_search"], **section}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("RECSYS_CONFIG", str(folder / "config.yaml"))


@pytest.mark.parametrize(
    ("one", "low", "high", "is_log"),
    [
        ({"times": 4.0}, 0.005, 0.08, True),
        ({"times": 4.0, "most": 0.05}, 0.005, 0.05, True),
        ({"within": 0.01}, 0.01, 0.03, False),
        ({"within": 0.1, "least": 0.001}, 0.001, 0.12, False),
    ],
)
def test_a_range_lies_around_the_best(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    one: dict[str, float],
    low: float,
    high: float,
    is_log: bool,
) -> None:
    with_fine(monkeypatch, tmp_path, fine={"learning_rate": one})

    found = fine_ranges("bpr", complete("bpr", {"learning_rate": 0.02}), {})["learning_rate"]

    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.is_log is is_log
    assert found.holds(0.02)
    assert not found.holds(0.5)


def test_whole_numbers_stay_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_fine(monkeypatch, tmp_path, fine={"factors": {"multiples": [0.5, 1.1]}, "epochs": {"within": 10}})

    found = fine_ranges("bpr", complete("bpr", {"factors": 64, "epochs": 30}), {})

    assert found["factors"].choices == (32, 70)
    assert (found["epochs"].low, found["epochs"].high, found["epochs"].is_whole) == (20.0, 40.0, True)


@pytest.mark.parametrize(
    ("fine", "message"),
    [
        ({"colour": {"times": 2}}, "bpr_search.fine: bpr has no colour"),
        ({"learning_rate": {"about": 2}}, "bpr_search.fine.learning_rate is .*it must be a list of values"),
        ({"learning_rate": {"times": 2, "within": 1}}, "bpr_search.fine.learning_rate is"),
        ({"learning_rate": {"times": 2, "mots": 1}}, "bpr_search.fine.learning_rate is"),
        ({"learning_rate": {"times": 1}}, "times 1 around 0.02"),
        ({"learning_rate": {"times": "two"}}, "times 'two'; it must be a number"),
        ({"learning_rate": {"within": 0.01, "least": 5}}, "lies nothing"),
        ({"learning_rate": []}, "bpr_search.fine.learning_rate is \\[\\]"),
        ({"negatives": {"times": 2}}, "around 'uniform'"),
        ({"factors": {"multiples": [0, 1]}}, "each must be a number above 0"),
        ({}, "leaves nothing to search"),
        (7, "bpr_search.fine is 7; it must be a mapping"),
    ],
)
def test_a_range_that_cannot_be_searched_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fine: object, message: str
) -> None:
    with_fine(monkeypatch, tmp_path, fine=fine)

    with pytest.raises(ConfigError, match=message):
        fine_ranges("bpr", complete("bpr", {}), {})


def test_an_engine_without_a_part_is_named() -> None:
    message = r"als_ratings_search\.coarse has no part for the engine spark; it has imp"
    with pytest.raises(ConfigError, match=message):
        coarse_combinations("als_ratings", None, {"engine": "spark"})


def test_a_recommender_without_a_section_is_told_so() -> None:
    with pytest.raises(ConfigError, match=r"no section content_search\. Those that can .* als,.* bpr"):
        coarse_combinations("content", None, {})


def test_a_number_of_trials_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_fine(monkeypatch, tmp_path, trials=0)
    with pytest.raises(ConfigError, match=r"bpr_search\.trials is 0"):
        n_fine_trials("bpr")
