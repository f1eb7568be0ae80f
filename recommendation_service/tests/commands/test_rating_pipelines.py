"""`recsys train svd`, `tune svd`, `recommend` and `inspect` as a person runs them."""

from __future__ import annotations

import csv
import doctest
import json
from pathlib import Path

import numpy as np
import pytest

from recsys.cli import main
from recsys.commands import rating_pipelines
from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.ratings import RatingBatch, load_ratings, save_ratings
from recsys.training import rating_report

N_USERS, N_ITEMS = 40, 30


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("RECSYS_LOGS_DIR", str(tmp_path / "logs"))


def write_tastes(folder: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((N_USERS, N_ITEMS)) < 0.4)
    points = np.where(users % 2 == items % 2, 5, 2) - rng.integers(0, 2, len(users))
    batch = RatingBatch([f"u{u}" for u in users], [f"i{i}" for i in items], points.astype(np.float32))
    films = Catalogue(tuple(CatalogueItem(f"i{i}", f"Film {i}") for i in range(N_ITEMS)))
    save_ratings([batch], folder, catalogue=films)
    return folder


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Two categories, and one whose files are not there."""
    for seed, name in enumerate(("books", "games")):
        write_tastes(tmp_path / "shop" / name, seed)
    (tmp_path / "shop" / "empty").mkdir()
    return tmp_path / "shop"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_categories_are_trained_each_into_a_folder_and_one_that_fails_does_not_stop_the_others(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "svd", "--data", str(shop), "--output", str(tmp_path / "out"), "--set", "factors=4"]

    code, out, err = run(capsys, *command)

    assert code == 1
    status = {line.split()[0]: line.split()[1] for line in out.splitlines()[1:4]}
    assert status == {"books": "trained", "empty": "failed", "games": "trained"}
    assert f"empty: {shop}/empty/manifest.json does not exist; make the folder with `recsys import`" in out
    assert "2 of 3 categories are there, 1 failed" in out
    assert "accuracy: share of pairs predicted within 0.5" in out
    assert "1 of 3 categories failed: empty" in err
    written = ["books", "games", "results.csv", "results.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == written
    with (tmp_path / "out" / "results.csv").open(newline="", encoding="utf-8") as file:
        assert [(row["category"], row["factors"]) for row in csv.DictReader(file)] == [
            ("books", "4"),
            ("games", "4"),
        ]

    run(capsys, *command, "--category", "games", "--again")
    with (tmp_path / "out" / "results.csv").open(newline="", encoding="utf-8") as file:
        assert [row["category"] for row in csv.DictReader(file)] == ["books", "games"]  # all that is kept

    before = (tmp_path / "out" / "books" / "manifest.json").read_bytes()
    (shop / "empty").rmdir()
    code, out, _ = run(capsys, *command)
    assert code == 0
    assert out.count(" skipped ") == 2
    assert "exists; --again trains it anew" in out
    assert (tmp_path / "out" / "books" / "manifest.json").read_bytes() == before

    write_tastes(shop / "books", seed=9)
    assert "was trained on other data" in run(capsys, *command)[1]
    assert run(capsys, *command, "--again")[1].count(" trained ") == 2


def test_training_uses_what_tuning_has_chosen(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    books = str(shop / "books")
    assert run(capsys, "tune", "svd", "--data", books, "--grid", "factors=3")[0] == 0
    _, out, _ = run(capsys, "train", "svd", "--data", books, "--again")
    assert out.splitlines()[1].split()[:3] == ["books", "trained", "3"]
    assert "tuned values of" in out
    _, out, _ = run(capsys, "train", "svd", "--data", books, "--again", "--set", "factors=2")
    assert out.splitlines()[1].split()[2] == "2"


def test_tuning_shows_every_try_its_choice_and_one_test_and_draws_it(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tune", "svd", "--data", str(shop / "books"), "--output", str(tmp_path / "out")]
    command += ["--grid", "factors=2,4,50"]

    code, out, _ = run(capsys, *command)

    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("books, on the validation part of each user's ratings split 80%/10%/10%")
    ranking = [f"{name}@{k}" for name in ("ndcg", "recall", "map") for k in (10, 20, 50)]
    for header in (["rmse", "mae", "accuracy", "fit", "s", "evaluate", "s"], ranking):
        place = [line.split() for line in lines].index(["factors", *header])
        assert [line.split()[0] for line in lines[place + 1 : place + 3]] == ["2", "4"]
    shown = [line.removeprefix("best ").partition(": factors=") for line in lines if line.startswith("best ")]
    assert [name for name, _, _ in shown] == [*ranking, "rmse", "mae", "accuracy"]
    with (tmp_path / "out" / "books" / "tuning.csv").open(newline="", encoding="utf-8") as file:
        tried = list(csv.DictReader(file))
    for name, _, value in shown:
        least_or_most = min if name in ("rmse", "mae") else max
        assert f"({least_or_most(float(row[name]) for row in tried):.4f})" in value
    assert any("the smallest within 2% of the best ndcg@10" in line for line in lines)
    assert any(line.startswith("retrained, tested once: rmse") for line in lines)
    assert "books: factors 50 left out: the matrix allows 29 at most" in out
    assert any(line.startswith("factors=") and "that was tried" in line for line in lines)
    for picture in ("books/tuning.png", "books/validation_against_test.png", "results.png"):
        assert f"Written: {tmp_path}/out/{picture}" in lines
        assert (tmp_path / "out" / picture).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert not list((tmp_path / "out").rglob(".*"))

    code, out, _ = run(capsys, *command)
    assert code == 0
    assert out.splitlines()[1].split()[1] == "loaded"
    assert "tuned before: factors=" in out


def test_a_user_gets_unrated_items_with_their_names_and_a_stranger_is_told_apart(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(
        capsys,
        "train",
        "svd",
        "--data",
        str(shop / "books"),
        "--set",
        "factors=2",
        "--shares",
        "0.8",
        "0",
        "0.2",
    )
    ask = ["recommend", "svd", "--category", "books", "--limit", "3", "--user"]

    code, out, _ = run(capsys, *ask, "u1")

    assert code == 0
    header, *rows = out.splitlines()
    assert header.split() == ["rank", "item", "name", "score", "points"]
    offered = [row.split()[1] for row in rows]
    assert len(offered) == 3
    assert all(int(item[1:]) % 2 == 1 for item in offered)  # what people of this taste like
    ratings = load_ratings(shop / "books")
    artifact = json.loads((shop.parent / "models/rating/svd/books/manifest.json").read_text())
    assert artifact["split"]["train"]["ratings"] < len(ratings.ratings)

    code, out, _ = run(capsys, *ask, "nobody")
    assert code == 0
    assert len(out.splitlines()) == 5
    assert out.splitlines()[-1].startswith("user nobody has no rating here: by item biases alone")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recommend", "svd", "--user", "u1", "--category", "toys"], "trained there: books"),
        (["recommend", "svd", "--user", "u1", "--category", "../books"], "'../books' is no category"),
        (["recommend", "svd", "--user", "u1", "--category", "books", "--limit", "0"], "ask for at least 1"),
        (
            ["recommend", "svd", "--user", "u1", "--category", "books", "--models", "no"],
            "no/books/manifest.json",
        ),
        (["inspect", "svd", "--models", "nowhere"], "nowhere holds no trained category"),
        (["inspect", "svd", "--category", "toys"], "toys/manifest.json does not exist"),
        (["train", "svd", "--data", "nowhere"], "nowhere is not a folder"),
        (["train", "svd", "--data", "BOOKS", "--set", "factors=0"], "svd.factors is 0"),
        (["train", "svd", "--data", "BOOKS", "--set", "colour=red"], "svd has no colour"),
        (["train", "svd", "--data", "BOOKS", "--set", "seed=-1"], "svd.seed is -1"),
        (["train", "svd", "--data", "BOOKS", "--seed", "-1"], "seed of the division is -1"),
        (["train", "svd", "--data", "BOOKS", "--shares", "1", "1", "0"], "three that add up to 1"),
        (["train", "svd", "--data", "BOOKS", "--relevant-at", "nan"], "relevant-at is nan"),
        (["train", "svd", "--data", "BOOKS", "--output", "/dev/null"], "/dev/null cannot be written"),
        (["tune", "svd", "--data", "BOOKS", "--tolerance", "2"], "tolerance is 2.0"),
        (["tune", "svd", "--data", "BOOKS", "--grid", "factors=2,,3"], "svd.factors is ''"),
        (["tune", "svd", "--data", "BOOKS", "--grid", "factors=x"], "svd.factors is 'x'"),
        (["tune", "svd", "--data", "BOOKS", "--grid", "factors=2", "--set", "factors=3"], "in one of them"),
        (["recommend", "svd", "--user", "u1", "--category", ".."], "'..' is no category"),
        (["inspect", "svd", "--category", ""], "'' is no category"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    shop: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    run(capsys, "train", "svd", "--data", str(shop / "books"), "--set", "factors=2")
    books = str(shop / "books")

    code, _, err = run(capsys, *(books if argument == "BOOKS" else argument for argument in arguments))

    assert code == 1
    assert err.startswith("Error: ")
    assert message in err
    assert err.count("\n") == 1


def test_what_the_data_does_not_allow_is_told_in_the_table(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tune", "svd", "--data", str(shop / "books"), "--grid", "factors=2", "--relevant-at", "9"]
    code, out, _ = run(capsys, *command)
    assert code == 1
    assert out.splitlines()[1].split()[:2] == ["books", "failed"]
    assert "no user has a liked item in the validation part" in out


@pytest.mark.parametrize("flag", ["--data", "--output"])
def test_a_folder_without_a_name_is_refused(
    shop: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["train", "svd", "--data", str(shop / "books"), flag, ""])
    assert f"argument {flag}: it is empty; name a folder" in capsys.readouterr().err


def test_more_factors_than_the_matrix_allows_are_told_by_category(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "svd", "--data", str(shop / "books"), "--set", "factors=50"]
    _, out, _ = run(capsys, *command)
    assert out.splitlines()[1].split()[:3] == ["books", "trained", "29"]
    assert "books: factors capped from 50 to 29: the matrix allows no more" in out
    with (tmp_path / "models" / "rating" / "svd" / "results.csv").open() as file:
        assert [row["factors"] for row in csv.DictReader(file)] == ["29"]
    assert run(capsys, *command)[1].splitlines()[1].split()[:3] == ["books", "skipped", "29"]


def test_a_folder_of_another_pipeline_is_left_alone(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ["--data", str(shop / "books"), "--output", str(tmp_path / "out")]
    run(capsys, "tune", "svd", *there, "--grid", "factors=3")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out" / "books").iterdir()}

    for command in (["train", "feature_als"], ["tune", "feature_als", "--grid", "factors=2"]):
        code, out, _ = run(capsys, *command, *there, "--again")
        assert code == 1
        assert "out/books holds a svd, not a feature_als; give another --output" in out
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / "books").iterdir()} == before


def test_tuned_values_of_other_data_or_by_hand_are_told(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--data", str(shop / "books"), "--output", str(tmp_path / "out"), "--again"]
    run(capsys, "tune", "svd", *command, "--grid", "factors=3")
    assert "tuned values of" not in run(capsys, "train", "svd", *command, "--set", "factors=2")[1]

    write_tastes(shop / "books", seed=9)
    out = run(capsys, "train", "svd", *command)[1]
    assert "factors=3" in out
    assert "chosen on other data than" in out

    path = tmp_path / "out" / "books" / "tuned.json"
    path.write_text(path.read_text().replace('"factors": "3"', '"factors": "many"'))
    code, out, _ = run(capsys, "train", "svd", *command)
    assert code == 1
    assert "tuned.json: svd.factors is 'many'" in out


def test_a_tuning_without_a_test_part_leaves_no_picture_of_an_earlier_one(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tune", "svd", "--data", str(shop / "books"), "--output", str(tmp_path / "out")]
    command += ["--grid", "factors=2,2"]
    run(capsys, *command)
    assert run(capsys, *command, "--shares", "0.8", "0.2", "0")[0] == 0
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["tuning.png"]
    assert len((tmp_path / "out" / "books" / "tuning.csv").read_text().splitlines()) == 2


def test_ids_that_a_terminal_cannot_show_are_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((12, 10)) < 0.8)
    points = rng.integers(1, 6, len(users)).astype(np.float32)
    batch = RatingBatch([f"u\n{u}" for u in users], [f"\x1b[31mi{i}" for i in items], points)
    save_ratings([batch], tmp_path / "odd")
    run(capsys, "train", "svd", "--data", str(tmp_path / "odd"))
    ask = ["recommend", "svd", "--category", "odd", "--user"]

    _, out, _ = run(capsys, *ask, " u\n1 ")
    assert "\x1b" not in out
    assert r"\x1b[31mi" in out
    _, out, _ = run(capsys, *ask, "\x1b" + "x" * 1000)
    assert out.splitlines()[-1].startswith(r"user \x1bxxx")
    assert len(out.splitlines()[-1]) < 200
    _, out, _ = run(capsys, *ask, "")
    assert out.splitlines()[-1].startswith("user without a name has no rating here")


def test_a_category_of_any_name_is_trained_shown_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tastes(tmp_path / "odd" / "$x_{$\nb")
    out_folder = ["--output", str(tmp_path / "out")]
    code, out, _ = run(
        capsys, "tune", "svd", "--data", str(tmp_path / "odd"), *out_folder, "--grid", "factors=2"
    )
    assert code == 0
    assert [r"$x_{$\nb", "trained"] in [line.split()[:2] for line in out.splitlines()]
    assert (
        run(capsys, "train", "mf", "--data", str(tmp_path / "odd"), "--set", "epochs=1", "factors=2")[0] == 0
    )
    curve = tmp_path / "models" / "rating" / "mf" / "$x_{$\nb" / "learning_curve.png"
    assert curve.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert run(capsys, "inspect", "mf", "--all")[1].splitlines()[1].split() == [r"$x_{$\nb", "pass"]

    (tmp_path / "odd" / "bad\udcff").mkdir()
    code, _, err = run(capsys, "train", "svd", "--data", str(tmp_path / "odd"), *out_folder)
    assert code == 1
    assert r"'bad\udcff' is not UTF-8; rename it" in err


def test_a_file_where_a_category_would_go_is_named(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "books").touch()
    code, out, _ = run(
        capsys, "train", "svd", "--data", str(shop / "books"), "--output", str(tmp_path / "out")
    )
    assert code == 1
    assert "out/books'; mend that path, or name another folder" in out


def test_who_has_rated_everything_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    users, items = np.divmod(np.arange(36), 6)
    batch = RatingBatch([f"u{u}" for u in users], [f"i{i}" for i in items], (users + items) % 5 + 1.0)
    save_ratings([batch], tmp_path / "full")
    run(capsys, "train", "svd", "--data", str(tmp_path / "full"), "--shares", "1", "0", "0")
    _, out, _ = run(capsys, "recommend", "svd", "--category", "full", "--user", "u1")
    assert out.splitlines()[1:] == ["user u1 has rated every item here: there is nothing left to offer"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("split", None),
        ("split", {"train": {"ratings": 3}}),
        ("split", {"train": 3}),
        ("metrics", []),
        ("metrics", {"figures": {"rmse": 1.0}}),
        ("metrics", {"protocol": "p", "figures": {"rmse": "low"}}),
    ],
)
def test_a_manifest_that_does_not_count_is_told_by_all_who_read_it(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, value: object
) -> None:
    command = ["train", "svd", "--data", str(shop / "books"), "--set", "factors=2"]
    run(capsys, *command)
    path = tmp_path / "models" / "rating" / "svd" / "books" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    told = "does not say split and metrics as a training does; train again"

    code, _, err = run(capsys, "inspect", "svd")
    assert code == 1
    assert told in err
    code, out, _ = run(capsys, *command)
    assert code == 1
    assert told in out
    assert run(capsys, *command, "--again")[0] == 0


def test_a_look_inside_shows_the_split_the_factors_the_errors_and_the_coverage(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "train", "svd", "--data", str(shop / "books"), "--set", "factors=4", "centre=biases")

    code, out, _ = run(capsys, "inspect", "svd")

    assert code == 0
    for part in ("train", "validation", "test"):
        assert any(line.split()[:1] == [part] and "sparsity" in line for line in out.splitlines())
    assert "user_factors         40 x 4" in out
    assert "item_factors         30 x 4" in out
    learned, tested = (float(line.split()[1][:-1]) for line in out.splitlines() if line.startswith("  rmse"))
    assert 0 < learned < tested
    assert "40 of 40 users and 30 of 30 items had a rating in training" in out
    assert "of the items stand in the first 10 of 40 users" in out


def test_the_smoke_check_passes_what_is_whole_and_names_what_is_not(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "train", "svd", "--data", str(shop / "books"), str(shop / "games"), "--set", "factors=4")
    code, out, _ = run(capsys, "inspect", "svd", "--all")
    assert code == 0
    assert out.splitlines()[:3] == ["category  outcome", "books        pass", "games        pass"]
    assert out.splitlines()[-1] == "2 of 2 categories pass"

    (tmp_path / "models" / "rating" / "svd" / "games" / "item_factors.npy").unlink()
    code, out, err = run(capsys, "inspect", "svd", "--all")
    assert code == 1
    assert out.splitlines()[1:3] == ["books        pass", "games        FAIL"]
    assert "item_factors.npy is missing" in out
    assert "1 of 2 categories fail" in err


def test_the_help_of_train_and_tune_names_the_pipelines(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("train", "tune"):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert "Rating pipelines (svd, mf, feature_als)" in capsys.readouterr().out
        with pytest.raises(SystemExit, match="0"):
            main([command, "svd", "--help"])
        assert f"usage: recsys {command} svd" in capsys.readouterr().out


def test_the_examples_in_the_docstrings_hold() -> None:
    for module, n_examples in ((rating_pipelines, 1), (rating_report, 1)):
        results = doctest.testmod(module)
        assert (results.attempted, results.failed) == (n_examples, 0)
