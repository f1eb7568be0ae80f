"""`recsys inspect mf --log`: the runs a person has made, as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.cli import main
from recsys.datasets.ratings import RatingBatch, save_ratings


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two categories of 240 ratings."""
    monkeypatch.setenv("RECSYS_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("RECSYS_LOGS_DIR", str(tmp_path / "logs"))
    pairs = [(u, i) for u in range(24) for i in range(15) if (u + 2 * i) % 3]
    for name in ("books", "games"):
        batch = RatingBatch(
            [f"u{u}" for u, _ in pairs],
            [f"i{i}" for _, i in pairs],
            [float(4 + (u + i) % 2 if u % 2 == i % 2 else 1 + (u * i) % 3) for u, i in pairs],
        )
        save_ratings([batch], tmp_path / "shop" / name, source={"scale": [1, 5]})
    return tmp_path / "shop"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_two_runs_and_a_damaged_line_are_a_table_of_two_rows(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    train = ["train", "mf", "--data", shop / "books", "--again", "--set", "epochs=3"]
    code, out, _ = run(capsys, *train, "factors=2")
    assert code == 0
    assert out.splitlines()[-1] == (
        "This run beside those before it: recsys inspect mf --category books --log"
    )
    with (tmp_path / "logs" / "experiments.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"at": "2030-01-01T10:00:00+00:00", "kind": "rating", "recommender": "mf"\n')
    assert run(capsys, *train, "factors=3", "dropout=0.5")[0] == 0
    run(capsys, "train", "svd", "--data", shop / "books", "--set", "factors=2")
    caplog.clear()

    code, out, _ = run(capsys, "inspect", "mf", "--category", "books", "--log")

    assert code == 0
    about, _, *table = out.splitlines()
    assert about.startswith("mf on books: 2 runs, ")
    assert " The first: factors=2 epochs=3 " in about
    assert table[0].split(" | ")[:4] == ["| run", "change", "ratings", "train loss"]
    first, second = (line.strip("| ").split(" | ") for line in table[2:])
    assert first[:3] == ["1", "first run", "192"]
    assert second[:3] == ["2", "factors 2 -> 3; dropout 0.0 -> 0.5", "192"]
    for cells in (first, second):
        train_loss, validation_loss = map(float, cells[3:5])
        assert cells[5].endswith(" of 3")
        assert f"{validation_loss / train_loss:.1f} times the train loss" in cells[6]
    assert second[6].startswith("validation loss ")
    assert [message.split(": ")[-1] for message in caplog.messages] == ["line 2"]


def test_a_table_each_category_and_a_line_that_names_none_of_several(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(capsys, "train", "mf", "--data", shop, "--set", "epochs=1", "factors=2")
    assert out.splitlines()[-1] == "This run beside those before it: recsys inspect mf --log"

    _, out, _ = run(capsys, "inspect", "mf", "--log")

    assert [line.split(": ")[0] for line in out.splitlines() if line.startswith("mf on ")] == [
        "mf on books",
        "mf on games",
    ]
    assert out.count("| 1 | first run |") == 2


def test_what_no_log_can_show_is_told_in_one_line(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "inspect", "mf", "--log")
    assert code == 1
    assert f"{tmp_path}/logs/experiments.jsonl does not exist: no run is recorded. Train first" in err

    _, out, _ = run(capsys, "train", "svd", "--data", shop / "books", "--set", "factors=2")
    assert "recsys inspect" not in out
    code, out, err = run(capsys, "inspect", "svd", "--category", "books", "--log")
    assert (code, out) == (1, "")
    assert "svd is not trained in epochs: its runs have no learning curve" in err
    assert (
        "holds no run of mf on the category books"
        in run(*(capsys, "inspect", "mf", "--category", "books", "--log"))[2]
    )

    code, _, err = run(capsys, "inspect", "mf", "--log", "--models", tmp_path)
    assert code == 1
    assert "--log reads the runs from the folder of logs, not --models; leave that out" in err
