"""`recsys tune` as a person types it: the stages on a folder of data, and flags that do not go together."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys.cli import main
from recsys.datasets.opening import open_dataset
from recsys.datasets.splits import split_for_training
from recsys.datasets.user_items import Dataset, save_dataset
from recsys.evaluation.evaluate import evaluate
from recsys.experiments.trials import TRIALS_FILE, TrialRow, data_version, read_trials
from recsys.experiments.tuned import read_tuned
from recsys.recommenders.table import make_recommender

SERVICE = Path(__file__).resolve().parents[2]
GRID = ("--grid", "factors=2,4", "alpha=10", "regularization=0.1", "iterations=3", "--jobs", "1")
PART = ("--max-users", "50", "--max-items", "30")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECSYS_EXPERIMENTS_DIR", str(tmp_path / "experiments"))
    return tmp_path / "experiments"


@pytest.fixture
def data(world: Dataset, tmp_path: Path) -> Path:
    save_dataset(world, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def tune(data: Path, experiments: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """`recsys tune` on the folder; its exit code, stdout and stderr."""

    def tune(recommender: str, *arguments: str) -> tuple[int, str, str]:
        code = main(["tune", recommender, "--data", str(data), *arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return tune


def test_the_three_stages_on_a_part_of_a_folder_and_on_the_whole_are_two_searches(
    tune: Command, data: Path, experiments: Path
) -> None:
    stages = (("coarse", *GRID), ("fine", "--trials", "2", "--jobs", "1"), ("validate",))

    told = [tune("als", "--stage", *stage, *PART) for stage in stages]

    assert [code for code, _, _ in told] == [0, 0, 0]
    part = open_dataset(data, max_users=50, max_items=30)
    assert all(out.startswith("A part of the data: 50 of 60 users, 30 of 40 items") for _, out, _ in told)
    rows = read_trials(experiments)
    assert {row.data_version for row in rows} == {data_version(part)}
    assert {row.stage for row in rows} == {"coarse", "fine", "validate"}
    assert all(", of 50 of 60 users and 30 of 40 items" in row.protocol for row in rows)
    split = split_for_training(part, 0.2, seed=0)
    entry = read_tuned(experiments)["als"][data_version(part)]
    expected = evaluate(make_recommender("als", **entry["parameters"]).fit(split.train), split, k=10)
    assert entry["test"]["metrics"]["ndcg@10"] == expected.metrics["ndcg@10"]
    assert f"NDCG@10 {expected.metrics['ndcg@10']['mean']:.4f}".lower() in told[-1][1].lower()

    code, _, err = tune("als", "--stage", "fine")
    whole = data_version(open_dataset(data))
    assert code == 1
    assert f"Nothing was tried of als on data version {whole}" in err
    assert f"the log has tries on {data_version(part)}" in err
    assert tune("als", "--stage", "coarse", *GRID)[0] == 0
    assert {row.data_version for row in read_trials(experiments)} == {whole, data_version(part)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stage", "coarse", "--trials", "3"], "--trials goes with --stage fine, not with --stage coarse."),
        (["--stage", "coarse", "--again"], "--again goes with --stage validate, not with --stage coarse."),
        (["--stage", "coarse", "--metric", "ndcg@5"], "--metric goes without a --stage, not with --stage co"),
        (["--stage", "coarse", "--output", "x.csv"], "--output goes without a --stage, not with --stage coa"),
        (
            ["--stage", "fine", "--grid", "factors=2"],
            "--grid goes without a --stage or with --stage coarse, n",
        ),
        (
            ["--stage", "coarse", "--validation-popularity", "0.2"],
            "--validation-popularity goes without a --stage, not with --stage coarse.",
        ),
        (["--stage", "fine", "--again"], "--again goes with --stage validate, not with --stage fine."),
        (["--stage", "fine", "--metric", "ndcg@5"], "not with --stage fine."),
        (["--stage", "fine", "--output", "x.csv"], "not with --stage fine."),
        (["--stage", "fine", "--trials", "0"], "--trials is 0; it must be a whole number from 1."),
        (["--stage", "validate", "--grid", "factors=2"], "not with --stage validate."),
        (["--stage", "validate", "--jobs", "1"], "--jobs goes with --stage coarse or with --stage fine, not"),
        (["--stage", "validate", "--trials", "1"], "not with --stage validate."),
        (["--stage", "validate", "--metric", "ndcg@5"], "not with --stage validate."),
        (["--stage", "validate", "--output", "x.csv"], "not with --stage validate."),
        (
            ["--set", "engine=irspack"],
            "--set goes with --stage coarse or with --stage fine or with --stage v",
        ),
        (["--jobs", "2"], "not without a --stage."),
        (["--trials", "0"], "--trials goes with --stage fine, not without a --stage."),
        (["--again"], "--again goes with --stage validate, not without a --stage."),
        (["--stage", "coarse", "--jobs", "0"], "--jobs is 0; it must be a whole number from 1."),
        (["--stage", "coarse", "--max-users", "0"], "--max-users is 0; it must be a whole number from 1."),
        (["--stage", "coarse", "--max-items", "-1"], "--max-items is -1; it must be a whole number from 1."),
        (["--stage", "coarse", "--validation-split", "1.5"], "1.5"),
        (["--stage", "coarse", "--test-split", "0"], "test"),
        (["--stage", "coarse", "--grid", "factors"], "'factors' is not of the form name=value"),
        (["--stage", "coarse", "--grid", "colour=red"], "als has no colour to search by; it has engine"),
        (["--stage", "coarse", "--grid", "factors=4,,8"], "--grid factors=4,,8 has an empty value"),
        (["--stage", "coarse", "--set", "colour=red"], "als has no colour to search by; it has engine"),
        (["--stage", "fine", "--set", "factors=-1"], "als.factors is -1; it must be a whole number from 1"),
        (["--stage", "validate", "--set", "engine=flink"], "als.engine is 'flink'; it must be one of"),
        (["--stage", "validate"], "run recsys tune als --stage coarse on the same data first"),
        (["--metric", "speed@10"], "There is no metric 'speed@10'"),
        (["--grid", "alpha=-4"], "als.alpha is -4.0; it must be above zero"),
        (["--test", "test.txt"], "name its --train too"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_what_cannot_work_is_one_line_and_nothing_is_tried(
    tune: Command,
    experiments: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    code, out, err = tune("als", *arguments)

    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err
    assert not (experiments / TRIALS_FILE).exists()
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("ensemble", ["--grid", "als_share=0.1,0.5"], "put together from als and two_tower: tune those"),
        ("ensemble", ["--stage", "coarse"], "put together from als and two_tower: tune those"),
        ("content", ["--stage", "coarse"], "no section content_search. Those that can be searched are als"),
        ("popularity", [], "name a plain --grid, without a --stage"),
        (
            "als_ratings",
            ["--grid", "factors=2"],
            "als_ratings cannot learn from this dataset: its cells must",
        ),
        ("als_ratings", ["--stage", "coarse"], "als_ratings cannot learn from this dataset: its cells must"),
    ],
)
def test_a_recommender_that_cannot_be_searched_so_is_named(
    tune: Command, name: str, arguments: list[str], message: str
) -> None:
    code, _, err = tune(name, *arguments)

    assert (code, err.count("\n")) == (1, 1)
    assert message in err


@pytest.mark.parametrize("flag", ["--max-users=5", "--max-items=5", "--test-split=0.3", "--data=elsewhere"])
@pytest.mark.parametrize("command", [["tune", "als"], ["compare", "als", "bpr", "--test", "x"]])
def test_what_belongs_to_a_dataset_does_not_go_with_a_public_split(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, flag: str, command: list[str]
) -> None:
    assert main([*command, "--train", str(tmp_path / "train.txt"), flag]) == 1
    assert f"{flag.split('=')[0]} goes with a dataset, not with a public split" in capsys.readouterr().err


def test_validate_of_a_public_split_wants_both_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["tune", "als", "--stage", "validate", "--train", str(tmp_path / "train.txt")]) == 1
    assert "name its --test too" in capsys.readouterr().err


def test_a_log_of_other_columns_is_named_and_left_as_it_is(tune: Command, experiments: Path) -> None:
    experiments.mkdir()
    (experiments / TRIALS_FILE).write_text("nothing,of,ours\n")

    code, _, err = tune("als", "--stage", "coarse", *GRID)

    assert (code, err.count("\n")) == (1, 1)
    assert "has the columns nothing, of, ours, not at, model, stage" in err
    assert (experiments / TRIALS_FILE).read_text() == "nothing,of,ours\n"


def test_a_folder_that_is_a_file_is_named(tune: Command, experiments: Path) -> None:
    experiments.write_text("")

    code, _, err = tune("als", "--stage", "coarse", *GRID)

    assert (code, err.count("\n")) == (1, 1)
    assert "RECSYS_EXPERIMENTS_DIR" in err


def statuses_of_workers(pid: int) -> list[str]:
    """What the kernel tells of the processes that make tries for this one."""
    children = [
        Path("/proc", child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ]
    workers = [child for child in children if b"spawn_main" in (child / "cmdline").read_bytes()]
    assert workers
    return [(worker / "status").read_text() for worker in workers]


def test_ctrl_c_ends_all_at_once_in_one_line_and_the_same_command_goes_on(
    data: Path, experiments: Path, tune: Command
) -> None:
    command = [sys.executable, "-m", "recsys.cli", "tune", "als", "--data", str(data), "--stage", "coarse"]
    search = subprocess.Popen(
        [*command, *GRID],
        env={**os.environ, "PYTHONPATH": str(SERVICE)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, which a terminal would send Ctrl-C to
    )
    assert search.stderr is not None
    first = next(line for line in search.stderr if "try 2 of" in line)  # so the first has its process
    for status in statuses_of_workers(search.pid):
        blocked = int(re.search(r"^SigBlk:\s*(\w+)", status, re.MULTILINE)[1], 16)  # type: ignore[index]
        assert blocked & 1 << signal.SIGINT - 1, "a process of the search would hear Ctrl-C itself"
    os.killpg(search.pid, signal.SIGINT)
    _, rest = search.communicate(timeout=60)

    assert search.returncode == 130
    assert "Traceback" not in first + rest
    assert "the same command goes on there" in rest
    before: list[TrialRow] = read_trials(experiments)
    assert tune("als", "--stage", "coarse", *GRID)[0] == 0
    after = read_trials(experiments)
    assert after[: len(before)] == before
    assert len({row.key for row in after}) == len(after)


def test_a_plot_that_cannot_be_written_is_a_warning_and_the_choice_is_told(
    tune: Command, experiments: Path
) -> None:
    tune("als", "--stage", "coarse", *GRID)
    (plot,) = experiments.glob("*-trials.png")
    plot.unlink()
    plot.mkdir()

    code, out, err = tune("als", "--stage", "coarse", *GRID)

    assert code == 0
    assert "chosen: " in out
    assert f"Warning: no plot could be written to {experiments} (Is a directory); free space" in err


def test_tuned_parameters_are_json_a_person_can_read(tune: Command, experiments: Path) -> None:
    tune("als", "--stage", "coarse", *GRID)

    assert tune("als", "--stage", "validate")[0] == 0

    (entry,) = json.loads((experiments / "tuned.json").read_text())["als"].values()
    assert entry["parameters"]["alpha"] == 10.0
    code, _, err = tune("als", "--stage", "validate")
    assert code == 1
    assert "read for als before" in err
