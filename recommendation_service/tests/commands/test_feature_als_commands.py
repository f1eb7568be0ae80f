"""feature_als from the console: features beside the ratings are read, the worst rows are named by id."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.cli import main
from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.ratings import RatingBatch, load_ratings, save_ratings


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """40 people and 30 films; tags and a table of people say who likes what."""
    monkeypatch.setenv("RECSYS_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("RECSYS_LOGS_DIR", str(tmp_path / "logs"))
    users, items = np.nonzero(np.random.default_rng(0).random((40, 30)) < 0.5)
    points = np.where(users % 2 == items % 2, 5, 2).astype(np.float32)
    catalogue = Catalogue(
        tuple(CatalogueItem(f"i{i}", f"Film {i}", tags=("war" if i % 2 else "love",)) for i in range(30))
    )
    folder = tmp_path / "films"
    save_ratings(
        [RatingBatch([f"u{u}" for u in users], [f"i{i}" for i in items], points)], folder, catalogue=catalogue
    )
    likes = ["war" if u % 2 else "love" for u in range(40)]
    pq.write_table(pa.table({"id": [f"u{u}" for u in range(40)], "likes": likes}), folder / "users.parquet")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code = main(arguments)
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out


def test_training_reads_features_and_inspecting_names_the_worst_rows(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "train", "feature_als", "--data", str(films), "--set", "factors=3", "iterations=4")

    folder = tmp_path / "models" / "rating" / "feature_als" / "films"
    health = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["facts"]["health"]
    names = {
        column["name"]
        for column in json.loads((folder / "feature_columns.json").read_text())["item"]["columns"]
    }
    assert "tags" in names
    (log,) = (tmp_path / "logs").glob("rating_feature_als-*.log")
    assert f"worst_user={health['user']['worst']} " in log.read_text(encoding="utf-8")

    said = run(capsys, "inspect", "feature_als", "--category", "films")
    assert f"worst conditioned user {health['user']['worst']} (" in said
    assert f"longest item vector {health['item']['longest']} (" in said
    assert health["item"]["worst"].startswith("i")
    assert "item_factors" in said
    assert "item features: 2 columns of tags; left out: industry (constant: it has one value)" in said
    offered = run(capsys, "recommend", "feature_als", "--user", "u1", "--category", "films", "--limit", "2")
    assert len(offered.strip().splitlines()) == 3


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A CSV import and the tables a person lays beside it: who people are, what things cost."""
    monkeypatch.setenv("RECSYS_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("RECSYS_LOGS_DIR", str(tmp_path / "logs"))
    users, items = np.nonzero(np.random.default_rng(0).random((40, 30)) < 0.5)
    lines = [f"{u},{i},{5 if u % 2 == i % 2 else 2}" for u, i in zip(users, items, strict=True)]
    (tmp_path / "reviews.csv").write_text("\n".join(["user,item,rating", *lines]))
    folder = tmp_path / "shop"
    run(
        capsys,
        *("import", str(tmp_path / "reviews.csv"), "--format", "csv", "--output", str(folder)),
        *("--scale", "1:5"),
    )
    people = {
        "id": list(range(40)),
        "shoe": [36 + u % 2 for u in range(40)],
        "zip": [f"7{u:04}" for u in range(40)],
        "region_id": [u % 3 for u in range(40)],
    }
    things = {"id": [str(i) for i in range(30)], "price": [1.0 + i % 2 for i in range(30)]}
    pq.write_table(pa.table(people), folder / "users.parquet")
    pq.write_table(pa.table(things), folder / "items.parquet")
    return folder


def test_tables_beside_a_csv_import_are_read_and_inspecting_shows_their_columns(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "feature_als", "--data", str(shop), "--set", "factors=3", "iterations=4"]
    assert main(command) == 1
    mend = "ignore it (user_columns=region_id:ignore)"
    assert mend in " ".join(capsys.readouterr().out.split())

    run(capsys, *command, "user_columns=shoe:category,zip:ignore,region_id:category")

    said = run(capsys, "inspect", "feature_als", "--category", "shop")
    assert "user features: 5 columns of shoe, region_id; left out: zip (asked to be ignored)" in said
    assert "item features: 1 columns of price" in said
    run(capsys, "train", "mf", "--data", str(shop), "--set", "features=true", "factors=3", "epochs=2",
        "user_columns=region_id:ignore")  # fmt: skip
    said = run(capsys, "inspect", "mf", "--category", "shop")
    assert (
        "user features: 1 columns of shoe; left out: zip (constant: all 40 values are rare), region_id"
        in said
    )
    assert "item features: 1 columns of price" in said


def test_features_that_are_not_there_are_told_or_refused(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("users", "items"):
        (shop / f"{name}.parquet").unlink()

    said = run(capsys, "train", "feature_als", "--data", str(shop), "--set", "factors=3", "iterations=4")
    assert f"shop: no user features: looked for {shop}/users.parquet" in said
    assert f"shop: no item features: looked for {shop}/catalogue.parquet and {shop}/items.parquet" in said

    assert main(["train", "mf", "--data", str(shop), "--set", "features=true", "factors=3"]) == 1
    said = capsys.readouterr().out
    assert f"mf was asked to use features and there are none: looked for {shop}/users.parquet, " in said
    assert not (tmp_path / "models" / "rating" / "mf" / "shop").exists()


BY_FEATURES, BY_BIASES = "by what is known of the user beside ratings", "by item biases alone"


@pytest.mark.parametrize(
    ("pipeline", "options", "rests_on"),
    [
        ("feature_als", ["factors=3", "iterations=4"], BY_FEATURES),
        ("mf", ["factors=3", "epochs=3", "batch_size=64", "features=true"], BY_FEATURES),
        ("mf", ["factors=3", "epochs=3", "batch_size=64"], BY_BIASES),
        ("svd", ["factors=3"], BY_BIASES),
    ],
)
def test_a_user_without_a_rating_in_training_is_told_what_the_list_rests_on(
    films: Path, capsys: pytest.CaptureFixture[str], pipeline: str, options: list[str], rests_on: str
) -> None:
    users = [f"u{u}" for u in range(40) for _ in range(30)]
    items = [f"i{i}" for _ in range(40) for i in range(30)]
    points = np.array([5 if (u + i) % 2 == 0 else 2 for u in range(40) for i in range(30)], np.float32)
    parts = np.array([2 if user == "u7" else i % 3 for i, user in enumerate(users)], np.uint8)
    catalogue = load_ratings(films).catalogue
    people = pq.read_table(films / "users.parquet")
    save_ratings([RatingBatch(users, items, points, parts=parts)], films, catalogue=catalogue, users=people)
    run(capsys, "train", pipeline, "--data", str(films), "--set", *options)

    for user, told in (("u7", rests_on), ("nobody", BY_BIASES)):
        said = run(capsys, "recommend", pipeline, "--user", user, "--category", "films", "--limit", "2")
        assert said.splitlines()[-1].startswith(f"user {user} has no rating here: {told}")
