from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.artifacts import layout, publish
from recsys.artifacts.layout import DOCUMENTED_FILES, current_version_key, point_to, release_dirs
from recsys.artifacts.publish import Trained, publish_release
from recsys.artifacts.release import open_current
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset, save_dataset
from recsys.errors import ArtifactError


def test_the_five_documented_files_and_nothing_else(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    publish_release(tmp_path, dataset, trained)

    assert sorted(path.name for path in tmp_path.glob("als_v1*")) == sorted(DOCUMENTED_FILES)
    assert all((tmp_path / name).read_bytes() for name in DOCUMENTED_FILES)


def test_a_published_release_answers_as_what_was_trained(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    publish_release(tmp_path, dataset, trained)

    release = open_current(tmp_path)

    assert tuple(release.items.ids) == dataset.all_items.ids
    history = release.history_of("u03")
    assert history is not None
    assert history.item_indices.tolist() == dataset.history(3).item_indices.tolist()
    for one in trained:
        np.testing.assert_array_equal(
            release.recommenders[one.recommender.name].score_batch([history]),
            one.recommender.score_batch([history]),
        )


def test_a_user_the_training_never_saw_has_no_row(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    assert publish_release(tmp_path, dataset, trained).history_of("somebody") is None


def test_the_last_three_are_kept_and_the_served_one_always(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    versions = [publish_release(tmp_path, dataset, trained).version for _ in range(4)]
    point_to(tmp_path, tmp_path / "releases" / versions[1])  # a person rolled back

    publish_release(tmp_path, dataset, trained)
    kept = {path.name for path in release_dirs(tmp_path)}
    assert len(kept) == 3

    point_to(tmp_path, tmp_path / "releases" / min(kept))
    assert open_current(tmp_path).version == min(kept)


def test_another_publish_changes_the_key_readers_watch(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    assert current_version_key(tmp_path) is None
    publish_release(tmp_path, dataset, trained)
    first = current_version_key(tmp_path)

    publish_release(tmp_path, dataset, trained)

    assert first != current_version_key(tmp_path)


def test_recommenders_trained_on_the_same_dataset_are_carried_over(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    publish_release(tmp_path, dataset, trained)

    release = publish_release(tmp_path, dataset, [one for one in trained if one.recommender.name == "als"])

    assert set(release.recommenders) == {"popularity", "content", "als"}


def test_on_another_dataset_nothing_is_carried_over(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    publish_release(tmp_path, dataset, trained)
    other = replace(dataset, user_items=dataset.user_items * 2)

    release = publish_release(tmp_path, other, [one for one in trained if one.recommender.name == "als"])

    assert set(release.recommenders) == {"als"}


def test_a_damaged_served_release_does_not_stop_the_next(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    publish_release(tmp_path, dataset, trained)
    (tmp_path / "current" / "popularity_scores.npy").unlink()

    assert set(publish_release(tmp_path, dataset, trained).recommenders) == {"popularity", "content", "als"}


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(files=[]),
        lambda m: m["files"].update({"als_v1.pkl": None}),
        lambda m: m["recommenders"]["popularity"].update(golden={}),
        lambda m: m["recommenders"]["popularity"]["recipe"].clear(),
    ],
)
def test_a_served_manifest_that_lies_does_not_stop_the_next(
    tmp_path: Path, dataset: Dataset, trained: list[Trained], change: Callable[[dict[str, Any]], None]
) -> None:
    publish_release(tmp_path, dataset, trained)
    path = tmp_path / "current" / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.chmod(0o644)
    path.write_text(json.dumps(manifest))

    release = publish_release(tmp_path, dataset, [one for one in trained if one.recommender.name == "als"])

    assert set(release.recommenders) == {"als"}


def test_a_models_folder_that_cannot_be_made_is_named(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ArtifactError, match=r"file/models .*mend the permissions"):
        publish_release(tmp_path / "file" / "models", dataset, trained)


def test_a_pointer_that_cannot_be_flipped_leaves_the_served_release(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    good = publish_release(tmp_path, dataset, trained).version
    (tmp_path / ".current.new").mkdir()  # in the way of the new link

    with pytest.raises(ArtifactError, match="served release is unchanged"):
        publish_release(tmp_path, dataset, trained)

    assert [path.name for path in release_dirs(tmp_path)] == [good]


def test_an_old_release_that_cannot_be_removed_is_a_warning(
    tmp_path: Path,
    dataset: Dataset,
    trained: list[Trained],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(models_dir: Path, keep: int, holds: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(layout, "remove_old_releases", refuse)

    version = publish_release(tmp_path, dataset, trained).version

    assert open_current(tmp_path).version == version
    assert "old releases not removed" in caplog.text


def test_factors_that_do_not_fit_the_mapping_are_not_published(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    good = publish_release(tmp_path, dataset, trained).version
    narrow = replace(
        dataset, user_items=dataset.user_items[:, :8], item_mapping=type(dataset.item_mapping)("abcdefgh")
    )

    with pytest.raises(ArtifactError, match="train again"):
        publish_release(tmp_path, narrow, trained)

    assert open_current(tmp_path).version == good
    assert not list((tmp_path / "releases").glob(".writing-*"))


def test_a_full_disk_leaves_the_served_release(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    good = publish_release(tmp_path, dataset, trained).version
    publish = f"""
        import resource, sys
        from pathlib import Path
        from recsys.artifacts.publish import Trained, publish_release
        from recsys.artifacts.release import open_release
        from recsys.datasets.user_items import load_dataset
        from recsys.recommenders.table import make_recommender
        from dataclasses import asdict
        from recsys.errors import ArtifactError
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        dataset = load_dataset(Path({str(tmp_path / "data")!r}))
        als = make_recommender("als", factors=3, iterations=2).fit(dataset)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))  # a longer file cannot be written
        try:
            publish_release(Path({str(tmp_path)!r}), dataset, [Trained(als, asdict(als.config), 0.1, 1.0)])
        except ArtifactError as error:
            sys.exit(0 if "free space" in str(error) else 3)
    """
    save_dataset(replace(dataset, last_event_at=None), tmp_path / "data")
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(publish)], env=os.environ, check=False)

    assert done.returncode == 0
    assert open_current(tmp_path).version == good
    assert not list((tmp_path / "releases").glob(".writing-*"))


def test_what_a_killed_publisher_left_is_removed(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    abandoned = tmp_path / "releases" / ".writing-abc"
    abandoned.mkdir(parents=True)
    (abandoned / "half.npy").write_bytes(b"x")

    publish_release(tmp_path, dataset, trained)

    assert not abandoned.exists()


def test_files_put_under_the_documented_names_by_hand_are_kept(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    for name in DOCUMENTED_FILES:
        (tmp_path / name).write_bytes(b"mine")

    publish_release(tmp_path, dataset, trained)

    kept = list(tmp_path.glob("before-*"))
    assert len(kept) == 1
    assert {path.name for path in kept[0].iterdir()} == set(DOCUMENTED_FILES)


@pytest.mark.parametrize("side", ["user", "item"])
def test_a_mapping_that_names_other_ids_than_are_served_is_not_published(
    tmp_path: Path, dataset: Dataset, trained: list[Trained], monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    good = publish_release(tmp_path, dataset, trained).version
    write_ids = publish._write_ids

    def write_them_backwards(folder: Path, name: str, ids: IdMap) -> None:
        write_ids(folder, name, IdMap(reversed(ids.ids)) if name == side else ids)

    monkeypatch.setattr(publish, "_write_ids", write_them_backwards)
    with pytest.raises(ArtifactError, match="do not name the ids"):
        publish_release(tmp_path, dataset, trained)
    assert open_current(tmp_path).version == good


def test_a_published_file_cannot_be_written_to_and_its_folder_can_be_removed(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    for _ in range(2):  # the second carries files of the first over
        publish_release(tmp_path, dataset, trained, keep=1)
        trained = trained[:1]

    (folder,) = release_dirs(tmp_path)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}


def test_what_holds_a_recommender_that_newer_releases_lack_is_kept_until_one_has_it(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    whole = publish_release(tmp_path, dataset, trained).version
    newer = replace(dataset, last_event_at=None)  # another dataset: nothing is carried over

    for _ in range(3):
        publish_release(tmp_path, newer, trained[:1], keep=2)
    assert whole in {path.name for path in release_dirs(tmp_path)}

    publish_release(tmp_path, newer, trained, keep=2)
    assert len(release_dirs(tmp_path)) == 2


def test_two_publishers_at_once_make_two_whole_releases(
    tmp_path: Path, dataset: Dataset, trained: list[Trained]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        versions = {
            r.version for r in pool.map(lambda _: publish_release(tmp_path, dataset, trained), range(2))
        }

    assert len(versions) == 2
    assert open_current(tmp_path).version in versions
