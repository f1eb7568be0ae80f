from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from recsys.artifacts.layout import Switch, publishing, served_version
from recsys.artifacts.promote import kept_releases, promote, roll_back
from recsys.artifacts.publish import Trained, publish_release
from recsys.artifacts.release import open_current
from recsys.cli import main
from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError, InvalidRequestError, NotFoundError, UnavailableError


@pytest.fixture
def versions(tmp_path: Path, dataset: Dataset, trained: list[Trained]) -> list[str]:
    """Three releases, the oldest first; the last is served."""
    return sorted(publish_release(tmp_path, dataset, trained).version for _ in range(3))


@pytest.fixture
def served(tmp_path: Path, versions: list[str]) -> str:
    return served_version(tmp_path)


def test_a_kept_release_is_served_and_the_documented_files_are_its_own(
    tmp_path: Path, versions: list[str], served: str
) -> None:
    other = next(version for version in versions if version != served)

    switch = promote(tmp_path, other)

    assert switch == Switch(other, served)
    assert open_current(tmp_path).version == other
    own = tmp_path / "releases" / other / "als_v1_item_factors.npy"
    assert (tmp_path / "als_v1_item_factors.npy").resolve() == own
    assert [one.version for one in kept_releases(tmp_path) if one.is_served] == [other]


def test_rolling_back_goes_to_the_newest_older_one_until_there_is_none(
    tmp_path: Path, versions: list[str]
) -> None:
    promote_if_needed(tmp_path, versions[2])

    assert roll_back(tmp_path) == Switch(versions[1], versions[2])
    assert roll_back(tmp_path).version == versions[0]
    with pytest.raises(InvalidRequestError, match=f"no release older than {versions[0]}"):
        roll_back(tmp_path)
    assert served_version(tmp_path) == versions[0]


def promote_if_needed(models_dir: Path, version: str) -> None:
    if served_version(models_dir) != version:
        promote(models_dir, version)


def test_two_who_roll_back_what_they_saw_go_back_one_release(tmp_path: Path, versions: list[str]) -> None:
    promote_if_needed(tmp_path, versions[2])

    def ask(_: int) -> str:
        try:
            return roll_back(tmp_path, served=versions[2]).version
        except InvalidRequestError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(ask, range(2)))

    assert said[0] == versions[1]
    assert "is served by now" in said[1]
    assert served_version(tmp_path) == versions[1]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "deleted", "no manifest"])
def test_a_damaged_release_is_refused_by_name_and_the_served_one_stays(
    tmp_path: Path, versions: list[str], served: str, damage: str
) -> None:
    other = next(version for version in versions if version != served)
    folder = tmp_path / "releases" / other
    factors = folder / "als_v1_item_factors.npy"
    factors.chmod(0o644)
    if damage == "truncated":
        factors.write_bytes(factors.read_bytes()[:-4])
    elif damage == "flipped":
        factors.write_bytes(factors.read_bytes()[:-1] + b"\x01")
    elif damage == "deleted":
        factors.unlink()
    else:
        (folder / "manifest.json").unlink()

    with pytest.raises(ArtifactError, match=f"Release {other} is damaged"):
        promote(tmp_path, other)

    assert open_current(tmp_path).version == served
    faults = {one.version: one.fault for one in kept_releases(tmp_path)}
    assert (faults[other] is None) == (damage == "flipped")  # a hash is looked at when it counts
    assert faults[served] is None


def test_a_deleted_served_release_is_shown_as_gone_and_can_be_rolled_back_from(
    tmp_path: Path, versions: list[str]
) -> None:
    promote_if_needed(tmp_path, versions[2])
    shutil.rmtree(tmp_path / "releases" / versions[2])

    newest = kept_releases(tmp_path)[0]
    assert (newest.version, newest.is_served) == (versions[2], True)
    assert "does not exist" in (newest.fault or "")
    assert roll_back(tmp_path).version == versions[1]
    assert open_current(tmp_path).version == versions[1]


@pytest.mark.parametrize("version", ["", ".", "../outside", "20200101T000000Z-0000", "x" * 300])
def test_what_is_not_kept_is_refused_with_what_is(
    tmp_path: Path, versions: list[str], served: str, version: str
) -> None:
    with pytest.raises(NotFoundError, match=f"kept are: {', '.join(reversed(versions))}"):
        promote(tmp_path, version)
    assert served_version(tmp_path) == served


def test_the_served_one_is_not_served_again(tmp_path: Path, served: str) -> None:
    with pytest.raises(InvalidRequestError, match="is served already"):
        promote(tmp_path, served)


def test_while_a_training_publishes_it_is_refused_after_a_while(tmp_path: Path, versions: list[str]) -> None:
    with publishing(tmp_path), pytest.raises(UnavailableError, match="publishing its release right now"):
        promote(tmp_path, versions[0], wait_s=0.1)


def test_what_the_record_refuses_does_not_happen(
    tmp_path: Path, versions: list[str], served: str, dataset: Dataset, trained: list[Trained]
) -> None:
    @contextmanager
    def refuse(switch: Switch) -> Iterator[None]:
        raise LookupError(switch.previous)
        yield

    other = next(version for version in versions if version != served)
    for switch in (
        lambda: promote(tmp_path, other, on_switch=refuse),
        lambda: publish_release(tmp_path, dataset, trained, on_switch=refuse),
    ):
        with pytest.raises(LookupError, match=served):
            switch()

    assert served_version(tmp_path) == served
    assert [one.version for one in kept_releases(tmp_path)] == versions[::-1]


def test_on_the_command_line(tmp_path: Path, versions: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    promote_if_needed(tmp_path, versions[2])
    models = ["--models-dir", str(tmp_path)]

    assert main(["rollback", *models]) == 0
    assert main(["promote", versions[0], *models]) == 0
    assert main(["promote", "nothing", *models]) == 1
    assert main(["releases", *models]) == 0

    said = capsys.readouterr()
    assert said.err.startswith("Error: There is no release 'nothing'; kept are: ")
    assert said.out.splitlines() == [
        f"Served is {versions[1]}, before it was {versions[2]}.",
        f"Served is {versions[0]}, before it was {versions[1]}.",
        f"  {versions[2]}  popularity, content, als",
        f"  {versions[1]}  popularity, content, als",
        f"* {versions[0]}  popularity, content, als",
    ]
