"""The record of tries: whole rows, whoever else writes, whatever was killed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from recsys.errors import ArtifactError
from recsys.experiments.trials import (
    COLUMNS,
    TRIALS_FILE,
    TrialRow,
    append_trial,
    check_writable,
    read_trials,
    varied,
)

ROW = TrialRow(
    model="als",
    stage="coarse",
    status="done",
    seed=42,
    data_version="0123456789ab",
    parameters={"engine": "implicit", "factors": 64, "regularization": 0.05},
    protocol='10% at random, "seed" 0; k=10',
    recall=0.25,
    ndcg=0.125,
    seconds=1.5,
    best_epoch=15,
    curve=((5, 0.1), (10, 0.125)),
    at="2026-11-29T12:00:00+00:00",
)
N_WRITERS, ROWS_A_WRITER = 4, 25


def test_a_row_is_read_as_it_was_written(tmp_path: Path) -> None:
    failed = replace(ROW, status="failed", recall=None, ndcg=None, error="it\ndiverged, twice", curve=())

    append_trial(tmp_path / "new" / "folder", ROW)
    append_trial(tmp_path / "new" / "folder", failed)

    assert read_trials(tmp_path / "new" / "folder") == [ROW, replace(failed, error="it diverged, twice")]


def test_the_first_line_names_what_a_reader_looks_for(tmp_path: Path) -> None:
    append_trial(tmp_path, ROW)

    header = (tmp_path / TRIALS_FILE).read_text().splitlines()[0].split(",")
    assert header == list(COLUMNS)
    asked_for = {"model", "parameters", "recall@10", "ndcg@10", "seconds", "data_version", "seed"}
    assert asked_for | {"stage", "protocol"} <= set(header)


def test_a_folder_that_takes_no_row_is_refused_before_there_is_one(
    tmp_path: Path, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    append_trial(tmp_path, ROW)

    with full_disk(), pytest.raises(ArtifactError, match=rf"{TRIALS_FILE} cannot be written .*free space"):
        check_writable(tmp_path)

    check_writable(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [TRIALS_FILE]
    assert read_trials(tmp_path) == [ROW]


def test_nothing_was_tried_where_there_is_no_file(tmp_path: Path) -> None:
    assert read_trials(tmp_path) == []


def test_the_same_values_in_another_order_are_the_same_try() -> None:
    turned = replace(ROW, parameters=dict(reversed(ROW.parameters.items())), at="later", stage="fine")

    assert turned.key == ROW.key
    assert replace(ROW, seed=43).key != ROW.key
    assert replace(ROW, data_version="another").key != ROW.key


def test_a_row_torn_by_a_kill_costs_no_other_row(tmp_path: Path) -> None:
    append_trial(tmp_path, ROW)
    path = tmp_path / TRIALS_FILE
    whole = path.read_text()
    row = whole.splitlines()[1]
    for torn in (row[:20], row[: row.index('""engine') + 4]):  # the second amid a quoted cell
        path.write_text(whole + torn)

        append_trial(tmp_path, replace(ROW, seed=43))

        assert [one.seed for one in read_trials(tmp_path)] == [42, 43]


def test_writers_at_once_lose_no_row_and_mix_none(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(tmp_path, seed)) for seed in range(N_WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)

    rows = read_trials(tmp_path)
    assert (tmp_path / TRIALS_FILE).read_text().count("\n") == N_WRITERS * ROWS_A_WRITER + 1
    for seed in range(N_WRITERS):
        assert [row.best_epoch for row in rows if row.seed == seed] == list(range(ROWS_A_WRITER))


def _write_many(folder: Path, seed: int) -> None:
    for number in range(ROWS_A_WRITER):
        append_trial(folder, replace(ROW, seed=seed, best_epoch=number))


def test_a_file_of_other_columns_is_named_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / TRIALS_FILE).write_text("a,b\n1,2\n")

    with pytest.raises(ArtifactError, match="has the columns a, b, not at, model"):
        read_trials(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ArtifactError, match="RECSYS_EXPERIMENTS_DIR"):
        append_trial(tmp_path / "file", ROW)


def test_what_rows_differ_in() -> None:
    other = replace(ROW, parameters={**ROW.parameters, "factors": 32})

    assert varied([ROW, other, other]) == ["factors"]
    assert varied([ROW]) == []
