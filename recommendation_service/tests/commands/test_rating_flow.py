"""From files as people have them to a trained rating pipeline: `recsys import`, then `recsys train svd`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.cli import main
from recsys.datasets.files import describe_files
from recsys.datasets.ratings import PARTS, RatingBatch, save_ratings

FACTORS = ("--set", "factors=2")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("RECSYS_LOGS_DIR", str(tmp_path / "logs"))


def rows_of_tastes(n_users: int = 30, n_items: int = 20) -> list[tuple[str, str, int]]:
    """Every user rates two thirds of the items, those of their own taste high."""
    return [
        (f"u{u}", f"i{i}", 4 + (u + i) % 2 if u % 2 == i % 2 else 1 + (u * i) % 3)
        for u in range(n_users)
        for i in range(n_items)
        if (u + 2 * i) % 3
    ]


def write_csv(path: Path, rows: list[tuple[str, str, Any]]) -> Path:
    lines = [f"{user},{item},{points}" for user, item, points in rows]
    path.write_text("\n".join(["user,item,rating", *lines]) + "\n")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def manifest_of(folder: Path, category: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / category / "manifest.json").read_text())
    return manifest


def test_points_out_of_range_are_clipped_zeros_dropped_and_the_latest_of_a_pair_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of_tastes()
    odd = [(*rows[0][:2], 9), (*rows[1][:2], 2), ("u0", "i0", -3), ("u1", "i1", 0)]
    path = write_csv(tmp_path / "shop.csv", [*rows, *odd])
    shop, models = tmp_path / "shop", tmp_path / "models" / "rating" / "svd"

    code, out, _ = run(capsys, "import", path, "--format", "csv", "--output", shop, "--scale", "1:5")
    assert code == 0
    counts = json.loads(out)
    assert counts["ratings"] == len(rows) + 3
    told = {name: counts[name] for name in ("clipped", "zeros_dropped", "repeated_pairs")}
    assert told == {"clipped": 2, "zeros_dropped": 1, "repeated_pairs": 2}

    code, out, _ = run(capsys, "train", "svd", "--data", shop, *FACTORS)
    assert code == 0
    assert "shop: 2 ratings of a pair rated again later left out: the latest counts" in out
    manifest = manifest_of(models, "shop")
    assert manifest["facts"]["range"] == [1.0, 5.0]
    assert (
        sum(manifest["split"][part]["ratings"] for part in ("train", "validation", "test")) == len(rows) + 1
    )

    run(capsys, "import", path, "--format", "csv", "--output", shop, "--scale", "1:5", "--zeros", "keep")
    code, out, _ = run(capsys, "train", "svd", "--data", shop, *FACTORS, "--again")
    assert code == 0
    assert manifest_of(models, "shop")["facts"]["range"] == [0.0, 5.0]
    assert "extremes found" not in out

    run(capsys, "import", path, "--format", "csv", "--output", shop)
    code, out, _ = run(capsys, "train", "svd", "--data", shop, *FACTORS, "--again")
    assert code == 0
    assert "shop: points are taken to go from -3 to 9, the extremes found" in out


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("nan", "line 2: its rating is not a finite number"),
        ("inf", "line 2: its rating is not a finite number"),
        ("", "line 2: it has no rating"),
        ("good", "line 2: the rating 'good' is not a number"),
    ],
)
def test_a_rating_that_is_no_number_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], points: str, message: str
) -> None:
    path = write_csv(tmp_path / "shop.csv", [("u0", "i0", points), *rows_of_tastes()])
    code, _, err = run(capsys, "import", path, "--format", "csv", "--output", tmp_path / "shop")
    assert code == 1
    assert f"{path}, {message}" in err


def write_amazon(folder: Path, category: str, parts: dict[str, list[tuple[str, str, Any]]]) -> None:
    folder.mkdir(exist_ok=True)
    names = ("user_id", "parent_asin", "rating")
    for part, rows in parts.items():
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}
        table = pa.table(columns or {name: pa.array([], pa.string()) for name in names})
        pq.write_table(table, folder / f"{category}.{part}.parquet")


def test_a_category_in_train_valid_and_test_files_is_taken_as_it_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, source, models = rows_of_tastes(), tmp_path / "amazon", tmp_path / "models" / "rating" / "svd"
    shares = dict(zip(PARTS, (rows[40:], rows[:20], rows[20:40]), strict=True))
    write_amazon(source, "Books", shares)
    write_amazon(source, "Games", {"train": rows[:300]})
    assert run(capsys, "import", source, "--format", "amazon", "--output", tmp_path / "shop")[0] == 0

    code, out, _ = run(capsys, "train", "svd", "--data", tmp_path / "shop", *FACTORS)

    assert code == 0
    assert f"Books: divided as its files were ({len(rows) - 40} train, 20 valid, 20 test)" in out
    split = manifest_of(models, "Books")["split"]
    assert split["strategy"] == "the train, valid and test files as they came"
    assert [split[part]["ratings"] for part in ("train", "validation", "test")] == [len(rows) - 40, 20, 20]
    assert manifest_of(models, "Books")["metrics"]["n_pairs"] == 20
    assert manifest_of(models, "Games")["metrics"] == {}
    code, out, _ = run(capsys, "tune", "svd", "--data", tmp_path / "shop", "--grid", "factors=2,3", "--again")
    assert code == 1
    assert "Games: Games has no validation part to choose by" in out
    assert "chosen: factors=" in out


def write_rowless(folder: Path) -> Path:
    """A rating folder that is whole and holds nothing, as no import leaves one; the path of its ratings."""
    save_ratings([RatingBatch(["u"], ["i"], [3.0])], folder)
    manifest_file, path = folder / "manifest.json", folder / "ratings.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    manifest = json.loads(manifest_file.read_text())
    manifest_file.unlink()
    manifest_file.write_text(json.dumps({**manifest, "files": describe_files(folder)}))
    return path


def test_a_category_without_rows_is_named_and_the_others_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, source = rows_of_tastes(), tmp_path / "amazon"
    write_amazon(source, "Books", {"train": rows[:200], "test": rows[200:]})
    write_amazon(source, "Empty", {"train": [], "test": []})
    write_amazon(source, "Untrained", {"train": [], "test": rows})

    code, out, err = run(capsys, "import", source, "--format", "amazon", "--output", tmp_path / "shop")
    assert code == 1
    assert [json.loads(line)["category"] for line in out.splitlines()] == ["Books", "Untrained"]
    assert "Empty: No ratings found: the source is empty" in err

    path = write_rowless(tmp_path / "shop" / "Rowless")
    (tmp_path / "shop" / "Missing").mkdir()
    code, out, _ = run(capsys, "train", "svd", "--data", tmp_path / "shop", *FACTORS)
    assert code == 1
    assert f"Untrained: {tmp_path}/shop/Untrained/ratings.parquet has no rows of a train file" in out
    assert f"Missing: {tmp_path}/shop/Missing/manifest.json does not exist" in out
    assert f"Rowless: {path} has no rows" in out
    assert "1 of 4 categories are there, 3 failed" in out


def test_some_of_the_categories_are_trained_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("books", "games", "toys"):
        users, items, points = (list(column) for column in zip(*rows_of_tastes(), strict=True))
        batch = RatingBatch(users, items, np.array(points, np.float32))
        save_ratings([batch], tmp_path / "shop" / name, source={"scale": [1, 5]})
    command = ["train", "svd", "--data", tmp_path / "shop", *FACTORS, "--category"]

    code, out, _ = run(capsys, *command, "toys", "books")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ["toys", "books"]
    assert "2 of 2 categories are there" in out

    code, _, err = run(capsys, *command, "books", "cars", "boats")
    assert code == 1
    assert f"There is no category cars, boats in {tmp_path}/shop; there are books, games, toys." in err
