"""`recsys benchmark` over small files of public formats."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError, DataError
from recsys.training.benchmark import run_benchmark
from recsys.training.figures import format_benchmark
from recsys.types import ProgressReport

# Item 1 was taken by three, item 2 by two, items 3 and 4 by one each.
TRAIN = "0 1 2 3\n1 1 2\n2 1\n3 4\n"
TEST = "0 4\n1 3 9\n2\n3 1 2\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    train, test = tmp_path / "train.txt", tmp_path / "test.txt"
    train.write_text(TRAIN)
    test.write_text(TEST)
    return train, test


@pytest.fixture
def world_files(tmp_path: Path, world: Dataset) -> tuple[Path, Path]:
    """The synthetic world as a public split: a quarter of each user's likes is held back."""
    rows = [world.positive[user].indices.tolist() for user in range(world.n_users)]
    train, test = tmp_path / "world_train.txt", tmp_path / "world_test.txt"
    train.write_text(
        "".join(f"{u} {' '.join(map(str, r[len(r) // 4 :]))}\n" for u, r in enumerate(rows) if r)
    )
    test.write_text("".join(f"{u} {' '.join(map(str, r[: len(r) // 4]))}\n" for u, r in enumerate(rows) if r))
    return train, test


def test_popularity_gives_the_figures_worked_out_by_hand(files: tuple[Path, Path]) -> None:
    # Lists of two: user 0 is offered 4; user 1 is offered 3, 4; user 3 is offered 1, 2.
    result = run_benchmark(*files, "popularity", k=2)

    assert result["recall@2"] == pytest.approx((1 + 1 / 2 + 1) / 3, abs=1e-6)
    assert result["precision@2"] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3, abs=1e-6)
    user_1 = 1 / (1 + 1 / math.log2(3))  # one of two relevant, at rank 1
    assert result["ndcg@2"] == pytest.approx((1 + user_1 + 1) / 3, abs=1e-6)
    assert result["map@2"] == pytest.approx((1 + 1 / 2 + 1) / 3, abs=1e-6)
    assert result["hit_rate@2"] == 1.0
    assert (result["users"], result["items"], result["train_pairs"], result["test_pairs"]) == (4, 4, 7, 5)


def test_the_result_is_one_json_line_with_protocol_cost_and_parameters(files: tuple[Path, Path]) -> None:
    result = run_benchmark(*files, "als", {"als": {"factors": "3", "iterations": 2}})

    line = json.dumps(result)
    assert "\n" not in line
    assert json.loads(line) == result
    assert {"recall@20", "ndcg@20", "precision@20", "map@20", "hit_rate@20"} <= set(result)
    assert result["protocol"].startswith("all-ranking: public split train.txt / test.txt; all items ranked")
    assert result["parameters"]["factors"] == 3
    assert result["parameters"]["iterations"] == 2
    assert result["parameters"]["engine"] == "implicit"
    parts = result["read_seconds"] + result["fit_seconds"] + result["evaluate_seconds"]
    assert result["seconds"] == pytest.approx(parts, abs=0.01)
    assert result["peak_memory_mb"] > 10


def test_one_seed_gives_one_result(files: tuple[Path, Path]) -> None:
    def figures() -> dict[str, float]:
        result = run_benchmark(*files, "als", {"als": {"factors": 3, "seed": 5}})
        return {name: value for name, value in result.items() if "@" in name}

    assert figures() == figures()


def test_progress_only_grows_and_ends_at_the_whole(world_files: tuple[Path, Path]) -> None:
    reports: list[ProgressReport] = []
    small = {"als": {"factors": 3}, "two_tower": {"dimensions": 4, "epochs": 2}}
    run_benchmark(*world_files, "ensemble", small, progress=reports.append)

    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)


def test_an_ensemble_is_measured_beside_its_parts(world_files: tuple[Path, Path]) -> None:
    result = run_benchmark(
        *world_files,
        "ensemble",
        {"als": {"factors": 4, "iterations": 3}, "two_tower": {"dimensions": 4, "epochs": 2}},
        k=5,
    )

    assert set(result["parts"]) == {"als", "two_tower"}
    assert result["parts"]["als"]["parameters"]["factors"] == 4
    tried = result["chosen"]["ensemble"]["ndcg@5_by_als_share"]
    assert result["parameters"]["als_share"] == max(tried, key=tried.__getitem__)
    assert len(result["chosen"]["two_tower"]["learning_curve"]) >= 1
    lead = result["relative_lead_over_better_part"]["ndcg@5"]
    assert lead["over"] in result["parts"]
    assert lead["low"] <= lead["mean"] <= lead["high"]


def test_what_is_not_there_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no protocol 'sampled'; there is all-ranking"):
        run_benchmark(*files, "als", protocol="sampled")
    with pytest.raises(ConfigError, match="no recommender 'magic'"):
        run_benchmark(*files, "magic")
    with pytest.raises(ConfigError, match="als has no colour"):
        run_benchmark(*files, "als", {"als": {"colour": "red"}})
    with pytest.raises(DataError, match=r"nowhere\.txt cannot be read"):
        run_benchmark(tmp_path / "nowhere.txt", files[1], "als")
    with pytest.raises(ConfigError, match="k is 0"):
        run_benchmark(*files, "popularity", k=0)


def test_cut_offs_tiers_and_item_popularity_stand_beside_popularity(world_files: tuple[Path, Path]) -> None:
    result = run_benchmark(*world_files, "als", {"als": {"factors": 4}}, k=5, cutoffs=(3, 10))

    for k in (3, 5, 10):
        assert {f"{name}@{k}" for name in ("recall", "map", "coverage", "novelty", "popularity_bias")} <= set(
            result
        )
        better = result["improvement_over_popularity_percent"][f"recall@{k}"]
        ratio = result[f"recall@{k}"] / result["popularity"][f"recall@{k}"]
        assert better["mean"] == pytest.approx(100 * (ratio - 1), abs=0.05)
        assert better["low"] <= better["mean"] <= better["high"]
    assert set(result["by_item_popularity"]) == {"head", "mid", "tail"}
    assert sum(tier["n_users"] for tier in result["by_tier"].values()) == result["by_tier"]["warm"]["n_users"]
    assert json.loads(json.dumps(result)) == result

    table = format_benchmark(result)
    row = next(line for line in table.splitlines() if line.startswith("recall@3"))
    assert f"{result['recall@3']:.4f}" in row
    assert f"{result['popularity']['recall@3']:.4f}" in row
    assert "novelty@10" in table
    assert "mid" in table


def test_popularity_is_no_improvement_over_itself(files: tuple[Path, Path]) -> None:
    result = run_benchmark(*files, "popularity", k=2)

    assert result["improvement_over_popularity_percent"] == {}
    assert "popularity" in format_benchmark(result)


def test_a_cut_off_of_zero_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="k is 0"):
        run_benchmark(tmp_path / "nowhere", tmp_path / "nowhere", "popularity", cutoffs=(10, 0))
