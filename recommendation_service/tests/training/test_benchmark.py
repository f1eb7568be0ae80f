"""`recsys benchmark` over small files of public formats."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.cli import main
from recsys.datasets.processed import save_processed
from recsys.datasets.processing import ProcessingConfig, process_dataset
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError, DataError
from recsys.evaluation.evaluate import evaluate
from recsys.recommenders.table import RECOMMENDERS, make_recommender
from recsys.training.benchmark import BenchmarkPlan, run_benchmark, run_on_processed
from recsys.training.figures import format_benchmark
from recsys.types import ProgressReport


def plan(recommender: str = "als", **values: Any) -> BenchmarkPlan:
    """A plan; what is called as a recommender replaces its hyper-parameters."""
    overrides = {name: values.pop(name) for name in RECOMMENDERS if name in values}
    return BenchmarkPlan(recommender, overrides, **values)


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
    result = run_benchmark(*files, plan("popularity", k=2))

    assert result["recall@2"] == pytest.approx((1 + 1 / 2 + 1) / 3, abs=1e-6)
    assert result["precision@2"] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3, abs=1e-6)
    user_1 = 1 / (1 + 1 / math.log2(3))  # one of two relevant, at rank 1
    assert result["ndcg@2"] == pytest.approx((1 + user_1 + 1) / 3, abs=1e-6)
    assert result["map@2"] == pytest.approx((1 + 1 / 2 + 1) / 3, abs=1e-6)
    assert result["hit_rate@2"] == 1.0
    assert (result["users"], result["items"], result["train_pairs"], result["test_pairs"]) == (4, 4, 7, 5)


def test_the_result_is_one_json_line_with_protocol_cost_and_parameters(files: tuple[Path, Path]) -> None:
    result = run_benchmark(*files, plan(als={"factors": "3", "iterations": 2}))

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
        result = run_benchmark(*files, plan(als={"factors": 3, "seed": 5}))
        return {name: value for name, value in result.items() if "@" in name}

    assert figures() == figures()


def test_progress_only_grows_and_ends_at_the_whole(world_files: tuple[Path, Path]) -> None:
    reports: list[ProgressReport] = []
    small = plan("ensemble", als={"factors": 3}, two_tower={"dimensions": 4, "epochs": 2})
    run_benchmark(*world_files, small, progress=reports.append)

    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)


def test_an_ensemble_is_measured_beside_its_parts(world_files: tuple[Path, Path]) -> None:
    small = {"als": {"factors": 4, "iterations": 3}, "two_tower": {"dimensions": 4, "epochs": 2}}
    result = run_benchmark(*world_files, plan("ensemble", k=5, **small))

    assert set(result["parts"]) == {"als", "two_tower"}
    assert result["parts"]["als"]["parameters"]["factors"] == 4
    tried = result["chosen"]["ensemble"]["ndcg@5_by_als_share"]
    assert result["parameters"]["als_share"] == max(tried, key=tried.__getitem__)
    assert len(result["chosen"]["two_tower"]["learning_curve"]) >= 1
    lead = result["relative_lead_over_better_part"]["ndcg@5"]
    assert lead["over"] in result["parts"]
    assert lead["low"] <= lead["mean"] <= lead["high"]


def test_a_plan_that_cannot_work_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ConfigError, match="no protocol 'sampled'; there is all-ranking"):
        plan(protocol="sampled")
    with pytest.raises(ConfigError, match="no recommender 'magic'"):
        plan("magic")
    with pytest.raises(ConfigError, match="als has no colour"):
        plan(als={"colour": "red"})
    with pytest.raises(ConfigError, match="k is 0"):
        plan("popularity", k=0)
    with pytest.raises(ConfigError, match="k is 0"):
        plan("popularity", cutoffs=(10, 0))
    for split in (-1.0, 1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"validation split is .* from 0 \(choose nothing\) to below 1"):
            plan(validation_split=split)


def test_files_that_are_not_there_are_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt cannot be read"):
        run_benchmark(tmp_path / "nowhere.txt", files[1], plan())


def test_cut_offs_tiers_and_item_popularity_stand_beside_popularity(world_files: tuple[Path, Path]) -> None:
    result = run_benchmark(*world_files, plan(k=5, cutoffs=(3, 10), als={"factors": 4}))

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
    result = run_benchmark(*files, plan("popularity", k=2))

    assert result["improvement_over_popularity_percent"] == {}
    assert "popularity" in format_benchmark(result)


def test_processed_data_is_measured_on_its_own_split_and_cold_users_apart(
    world: Dataset, tmp_path: Path
) -> None:
    config = ProcessingConfig.default(min_user_interactions=6, test_split=0.3)
    processed = process_dataset(world, config)
    save_processed(processed, tmp_path, "v1", facts={})
    small = plan(k=5, als={"factors": 4})

    result = run_on_processed(tmp_path, small)

    assert result["data_version"] == "v1"
    assert result["test_pairs"] == processed.trainable.test.nnz
    expected = evaluate(make_recommender("als", factors=4).fit(processed.split.train), processed.split, k=5)
    assert result["ndcg@5"] == pytest.approx(expected.metrics["ndcg@5"]["mean"], abs=1e-6)
    cold = result["cold_users"]
    assert cold["users"] == np.count_nonzero(np.diff(processed.cold.test.indptr)) > 0
    content = evaluate(make_recommender("content").fit(processed.split.train), processed.cold_split, k=5)
    assert cold["content"]["recall@5"] == pytest.approx(content.metrics["recall@5"]["mean"], abs=1e-6)
    assert set(cold) == {"users", "popularity", "content"}
    assert f"{cold['users']:,} users too cold to train on" in format_benchmark(result)
    assert run_on_processed(tmp_path / "v1", small)["ndcg@5"] == result["ndcg@5"]
    with pytest.raises(DataError, match="no data version 'v2'; it has v1"):
        run_on_processed(tmp_path / "v2", small)
    assert json.loads(json.dumps(result)) == result


def test_counts_given_to_the_version_are_a_second_baseline_of_warm_and_cold_users(
    world: Dataset, tmp_path: Path
) -> None:
    config = ProcessingConfig.default(min_user_interactions=6, test_split=0.3)
    sold = np.arange(world.n_items, 0, -1.0)  # s00 most, against what people liked
    sold[7] = 1_000.0
    processed = process_dataset(world, config, counts=sold)
    save_processed(processed, tmp_path / "counted", "v1", facts={})
    save_processed(process_dataset(world, config), tmp_path / "plain", "v2", facts={})
    name = "popularity, counts given"

    result = run_on_processed(tmp_path / "counted", plan("popularity", k=5))
    plain = run_on_processed(tmp_path / "plain", plan("popularity", k=5))

    by_hand = {}
    for whose, segment in (("warm", processed.trainable), ("cold", processed.cold)):
        recalls = []
        for seen, relevant in zip(segment.confidence.toarray(), segment.test.toarray(), strict=True):
            if relevant.any():
                unseen = [item for item in np.argsort(-sold, kind="stable") if seen[item] == 0]
                recalls.append((relevant[unseen[:5]] > 0).sum() / (relevant > 0).sum())
        by_hand[whose] = float(np.mean(recalls))
    assert result[name]["recall@5"] == pytest.approx(by_hand["warm"], abs=1e-6)
    assert result["cold_users"][name]["recall@5"] == pytest.approx(by_hand["cold"], abs=1e-6)
    assert result[name]["recall@5"] != result["popularity"]["recall@5"]
    assert result["popularity"] == plain["popularity"]
    assert name not in plain
    assert name not in plain["cold_users"]
    table = format_benchmark(result)
    assert table.count(f"{name}  recall@5") + table.count(f"{name}  ndcg@5") == 2
    assert name not in format_benchmark(plain)


def test_processed_data_that_holds_nothing_out_is_refused(world: Dataset, tmp_path: Path) -> None:
    processed = process_dataset(world, ProcessingConfig.default(test_split=0.0))
    save_processed(processed, tmp_path, "v1", facts={})

    with pytest.raises(DataError, match="holds nothing out; process the data with a --test-split above 0"):
        run_on_processed(tmp_path, plan())


@pytest.mark.parametrize(
    "flags",
    [[], ["--train", "a.txt"], ["--processed", "x", "--test", "b.txt"], ["--processed", "x", "--train", "a"]],
)
def test_a_command_names_two_files_or_processed_data(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", *flags]) == 1

    assert "Name --train and --test, the files of a public split, or --processed." in capsys.readouterr().err
