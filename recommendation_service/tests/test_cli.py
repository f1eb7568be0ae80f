"""The console command `recsys`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recsys.cli import main
from recsys.datasets.ratings import load_ratings


def test_import_reads_columns_of_other_names_in_another_encoding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ratings.csv"
    path.write_bytes("who;what;marks\nJosé;x;3\nana;x;5\n".encode("latin-1"))
    command = ["import", str(path), "--format", "csv", "--output", str(tmp_path / "out")]
    options = ["--columns", "user=who, item=what,rating=marks", "--encoding", "latin-1"]

    assert main([*command, *options]) == 0

    assert json.loads(capsys.readouterr().out) == {"users": 2, "items": 1, "ratings": 2}
    assert load_ratings(tmp_path / "out").user_mapping.ids == ("José", "ana")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "is not utf-8 text; give its encoding"),
        (["--encoding", "klingon"], "The encoding 'klingon' is unknown"),
        (["--encoding", "latin-1", "--columns", "user=nobody"], "has no column 'nobody' for the user"),
        (["--encoding", "latin-1", "--columns", "member=who"], "There is no column 'member' to name"),
    ],
)
def test_import_names_what_is_wrong_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    path = tmp_path / "ratings.csv"
    path.write_bytes("user,item,rating\nJosé,x,3\n".encode("latin-1"))

    code = main(["import", str(path), "--format", "csv", "--output", str(tmp_path / "out"), *options])

    said = capsys.readouterr().err
    assert (code, said.count("\n")) == (1, 1)
    assert message in said
    assert not list((tmp_path / "out").glob("*.json"))


@pytest.mark.parametrize("text", ["user", "user=", "=who", "", "user=a,user=b", ","])
def test_columns_that_are_not_written_as_pairs_are_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["import", "x.csv", "--format", "csv", "--output", str(tmp_path), "--columns", text])
    assert "write it like user=member,item=company" in capsys.readouterr().err


def test_an_empty_output_is_a_usage_error_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `--output "$UNSET"` says it; the working folder is asked for by name only."""
    (tmp_path / "ratings.csv").write_text("user,item,rating\na,x,3\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["import", "ratings.csv", "--format", "csv", "--output", ""])
    assert "name a folder, or . for this one" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["ratings.csv"]
    assert main(["import", "ratings.csv", "--format", "csv", "--output", "."]) == 0
    assert (tmp_path / "ratings.parquet").is_file()
