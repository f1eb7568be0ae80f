"""The documented command, run as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from recsys.cli import main
from recsys.datasets.user_items import Dataset, save_dataset
from recsys.training.script import exit_code

SERVICE = Path(__file__).resolve().parents[2]
DOCUMENTED = [
    "als_v1.pkl",
    "als_v1_item_factors.npy",
    "als_v1_item_mapping.json",
    "als_v1_user_factors.npy",
    "als_v1_user_mapping.json",
]


def run(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    places = {"RECSYS_MODELS_DIR": str(tmp_path / "models"), "RECSYS_LOGS_DIR": str(tmp_path / "logs")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=SERVICE,
        env={**os.environ, **places, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def three_files(world: Dataset, tmp_path: Path) -> Path:
    save_dataset(replace(world, last_event_at=None, catalogue=None), tmp_path / "data")
    (tmp_path / "data" / "als_manifest.json").unlink()
    return tmp_path / "data" / "als_interactions.npz"


def test_the_documented_command_works_from_the_three_files(three_files: Path, tmp_path: Path) -> None:
    parameters = ("--factors", "128", "--regularization", "0.01", "--iterations", "20", "--alpha", "40")

    done = run(tmp_path, "train_als.py", "--data", str(three_files), *parameters, "--test-split", "0.2")

    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "models").glob("als_v1*")) == DOCUMENTED
    for word in ("Precision@10", "MAP@10", "popularity", "als", "Published release"):
        assert word in done.stdout
    logs = list((tmp_path / "logs").glob("als-*.log"))
    assert len(logs) == 1
    assert "published version=" in logs[0].read_text()


def test_a_missing_file_is_one_line_and_exit_code_one(tmp_path: Path) -> None:
    done = run(tmp_path, "train_als.py", "--data", str(tmp_path / "none.npz"))

    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        f"Error: {tmp_path / 'none.npz'} does not exist; run manage.py generate_als_dataset first."
    ]


def test_a_wrong_flag_is_exit_code_two(tmp_path: Path) -> None:
    assert run(tmp_path, "train_als.py", "--factor", "many").returncode == 2


def test_help_names_every_parameter_with_its_default(tmp_path: Path) -> None:
    text = run(tmp_path, "train_als.py", "--help").stdout

    for flag in ("--factors", "--regularization", "--iterations", "--alpha", "--test-split", "--data"):
        assert flag in text
    assert "default: 128" in text


def test_recsys_train_replaces_a_parameter(three_files: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "recsys.cli", "train", "--data", str(three_files), "--set", "als.factors=5")

    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "models" / "current" / "manifest.json").read_text())
    assert manifest["recommenders"]["als"]["recipe"]["factors"] == 5


def test_a_parameter_that_is_not_there_is_one_line(three_files: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "recsys.cli", "train", "--data", str(three_files), "--set", "als.factor=5")

    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("Error: als has no factor; it has")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["bpr.factors=5"], "bpr.factors would be read by nobody: bpr is not among popularity, als. Name it"),
        (["als.factors=5", "als.iterations=0"], "als.iterations is 0; it must be a whole number from 1"),
        (["svd.factors=5"], "There is no recommender 'svd'; there are popularity"),
    ],
)
def test_an_override_that_cannot_work_is_one_line_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], message: str
) -> None:
    command = ["train", "--recommenders", "als", "--data", str(tmp_path / "none"), "--set", *given]

    assert main(command) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"Error: {message}")
    assert told.count("\n") == 1


def test_a_failed_training_says_why_in_its_log(three_files: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "train_als.py", "--data", str(three_files), "--regularization", "0")

    assert done.returncode == 1
    missing = run(tmp_path, "train_als.py", "--data", str(tmp_path / "none.npz"))
    assert missing.returncode == 1
    logs = [path.read_text() for path in (tmp_path / "logs").glob("als-*.log")]
    assert any("none.npz does not exist" in log for log in logs)


@pytest.mark.parametrize("config", ["/proc/none.yaml", "/usr"])
def test_a_configuration_that_cannot_be_read_is_one_line(tmp_path: Path, config: str) -> None:
    done = run(tmp_path, "train_als.py", RECSYS_CONFIG=config)

    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {Path(config).resolve()}")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_logs_folder_that_is_a_file_is_one_line(three_files: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("not a folder")

    done = run(tmp_path, "train_als.py", "--data", str(three_files))

    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_warm_start_is_a_flag_of_both_commands_that_train_als(three_files: Path, tmp_path: Path) -> None:
    small = ("--factors", "4", "--warm-iterations", "2", "--no-use-gpu", "--track-loss")

    first = run(tmp_path, "train_als.py", "--data", str(three_files), *small, "--warm-start")
    second = run(tmp_path, "train_als.py", "--data", str(three_files), *small, "--warm-start")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "Note: als starts at random factors: no release is served yet." in first.stdout
    assert "Note: als starts from release" in second.stdout
    entry = json.loads((tmp_path / "models" / "current" / "manifest.json").read_text())["recommenders"]["als"]
    assert entry["facts"]["start"]["iterations"] == 2
    assert entry["recipe"]["track_loss"] is True
    assert "--warm-start" in run(tmp_path, "-m", "recsys.cli", "train", "--help").stdout


def test_a_gpu_that_is_not_there_is_one_line(three_files: Path, tmp_path: Path) -> None:
    from implicit.gpu import HAS_CUDA

    if HAS_CUDA:
        pytest.skip("this machine has one")

    done = run(tmp_path, "train_als.py", "--data", str(three_files), "--use-gpu")

    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("Error: als.use_gpu is true but implicit")


def test_ctrl_c_is_known_behind_what_a_compiler_made_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped_while_a_kernel_was_loaded() -> None:
        unpickling = SystemError("unpickled with an exception set")
        unpickling.__cause__ = KeyboardInterrupt()
        raise SystemError("returned a result with an exception set") from unpickling

    def broken() -> None:
        raise SystemError("bad internal call")

    assert exit_code(stopped_while_a_kernel_was_loaded) == 130
    assert capsys.readouterr().err == "Stopped; what was served before is still served.\n"
    with pytest.raises(SystemError, match="bad internal call"):
        exit_code(broken)


def test_ctrl_c_is_exit_code_130_with_what_was_kept(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> None:
        stop = KeyboardInterrupt()
        stop.add_note("als is kept up to iteration 5.")
        raise stop

    assert exit_code(stopped) == 130
    assert (
        capsys.readouterr().err
        == "Stopped; what was served before is still served. als is kept up to iteration 5.\n"
    )
