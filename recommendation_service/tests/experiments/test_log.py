from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import ArtifactError
from recsys.experiments.log import EXPERIMENTS_FILE, append_experiment, read_experiments


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ArtifactError, match=r"file/logs/experiments\.jsonl cannot be written"):
        append_experiment(tmp_path / "file" / "logs", {"recommender": "als"})


def test_what_was_appended_is_read_back_in_order_and_what_is_not_wanted_is_left_out(tmp_path: Path) -> None:
    for name in ("als", "mf", "bpr"):
        append_experiment(tmp_path, {"recommender": name, "note": "naïve"})

    def not_mf(record: dict[str, Any]) -> str | None:
        return None if record["recommender"] == "mf" else f"{record['recommender']} {record['note']}"

    assert read_experiments(tmp_path, not_mf) == ["als naïve", "bpr naïve"]


def test_many_damaged_lines_are_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / EXPERIMENTS_FILE
    path.write_bytes(b"\xff\x00\n\n" + b"{}\n" * 5)
    append_experiment(tmp_path, {"n": 1})

    with caplog.at_level(logging.WARNING):
        assert read_experiments(tmp_path, lambda record: int(record["n"])) == [1]

    assert caplog.messages == [
        f"{path}: passed over, not as a training writes it: line 1, 2, 3, 4, 5 and 2 more"
    ]


def test_a_log_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / EXPERIMENTS_FILE).mkdir()
    with pytest.raises(ArtifactError, match=r"experiments\.jsonl cannot be read \(Is a directory\)"):
        read_experiments(tmp_path, lambda record: record)


def test_a_line_left_half_done_costs_that_line_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    append_experiment(tmp_path, {"n": 1})
    with (tmp_path / EXPERIMENTS_FILE).open("a", encoding="utf-8") as file:
        file.write('{"at": "2030-01-01T10:00:00+00:00", "n"')  # and there the disk was full
    append_experiment(tmp_path, {"n": 3, "curve": "long" * 10_000})

    assert read_experiments(tmp_path, lambda record: int(record["n"])) == [1, 3]
    assert "line 2" in caplog.text
    assert (tmp_path / EXPERIMENTS_FILE).read_bytes().count(b"\n") == 3
