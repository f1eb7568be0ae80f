"""Faults made for real: a damaged, lying or half-written release is never served."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.artifacts.layout import DOCUMENTED_FILES
from recsys.artifacts.publish import Trained, publish_release
from recsys.artifacts.release import Release, open_current, open_documented, open_release
from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError


@pytest.fixture
def folder(tmp_path: Path, dataset: Dataset, trained: list[Trained]) -> Path:
    """A release that a test may write to."""
    version = publish_release(tmp_path, dataset, trained).version
    folder = tmp_path / "releases" / version
    for path in folder.iterdir():
        path.chmod(0o644)
    return folder


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "name", ["als_v1_item_factors.npy", "content_text.json", "catalogue_values.json", "item_ids.npy"]
)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(ArtifactError, match=name):
        open_release(folder)


def test_one_flipped_bit_is_seen(folder: Path) -> None:
    data = bytearray((folder / "als_v1_item_factors.npy").read_bytes())
    data[-3] ^= 1
    (folder / "als_v1_item_factors.npy").write_bytes(data)

    with pytest.raises(ArtifactError, match=r"als_v1_item_factors\.npy"):
        open_release(folder)


def test_a_half_written_file_is_seen(folder: Path) -> None:
    path = folder / "als_v1_user_factors.npy"
    path.write_bytes(path.read_bytes()[:150])

    with pytest.raises(ArtifactError, match="bytes"):
        open_release(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["recommenders"]["als"]["recipe"].update(factors=64), "says 64 columns"),
        (lambda m: m["recommenders"]["als"]["golden"]["scores"].reverse(), "does not answer as it did"),
        (lambda m: m["recommenders"]["als"]["golden"].update(top=[], scores=[]), "asks als no golden query"),
        (lambda m: m["recommenders"]["als"]["golden"].pop("scores"), "golden query of als"),
        (lambda m: m.update(version="a\nb"), "says version"),
        (lambda m: m.update(version=None), "says version"),
        (lambda m: m.update(recommenders={}), "names no recommender"),
        (lambda m: m.update(format_version=9), "format version 9"),
        (lambda m: m.pop("dataset"), "lacks a field"),
        (lambda m: m["recommenders"].update(oracle=m["recommenders"]["als"]), "oracle"),
        (
            lambda m: m["files"].update({"../../etc/passwd": {"bytes": 1, "sha256": "0"}}),
            "not a file of its folder",
        ),
        (lambda m: m.update(files=[]), "says files"),
        (lambda m: m.update(files={}), "gives no bytes and sha256"),
        (lambda m: m["files"].update({"als_v1.pkl": {}}), "of als_v1.pkl, not its bytes"),
        (lambda m: m["files"].update({"als_v1.pkl": None}), "of als_v1.pkl, not its bytes"),
        (lambda m: m["files"].pop("als_v1_item_factors.npy"), "no bytes and sha256 of 'als_v1_item_f"),
        (lambda m: m.update(created_at="yesterday"), "not an ISO 8601 time"),
        (lambda m: m.update(created_at=None), "says created_at: None"),
        (lambda m: m.update(dataset=[]), "says dataset"),
        (lambda m: m.update(recommenders=[]), "lacks a field"),
        (lambda m: m["recommenders"]["als"].update(recipe=None), "says als.recipe: None"),
        (lambda m: m["recommenders"]["als"].update(golden=[]), "says als.golden"),
        (lambda m: m["recommenders"]["als"].update(files=[]), "als has no files"),
        (lambda m: m["recommenders"]["als"].update(files=[{}]), "gives no bytes"),
        (lambda m: m["recommenders"]["als"].update(metrics={"metrics": {"ndcg@10": 1}}), "ndcg@10: 1"),
        (lambda m: m["recommenders"]["als"].update(score_range={"mean": "x", "std": 1}), "range.mean: 'x'"),
        (lambda m: m["recommenders"]["als"].update(score_range={"mean": 0.5}), "range.std: None"),
        (lambda m: m["recommenders"]["als"].update(score_range={"mean": float("nan"), "std": 1}), "finite"),
        (lambda m: m["recommenders"]["als"]["recipe"].pop("alpha"), r"recipe of als in .*manifest\.json"),
    ],
)
def test_a_manifest_that_lies_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit_manifest(folder, change)

    with pytest.raises(ArtifactError, match=message):
        open_release(folder)


def replace_array(folder: Path, name: str, array: np.ndarray) -> None:
    """Write an array with the hash the manifest gives it."""
    np.save(folder / name, array)
    data = (folder / name).read_bytes()
    facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit_manifest(folder, lambda manifest: manifest["files"].update({name: facts}))


@pytest.mark.parametrize(
    "name",
    ["popularity_scores.npy", "content_item_vectors.npy", "history_weights.npy", "history_last_event_at.npy"],
)
def test_a_value_that_is_no_finite_number_is_refused(folder: Path, name: str) -> None:
    array = np.load(folder / name)
    array.flat[0] = np.nan
    replace_array(folder, name, array)

    with pytest.raises(ArtifactError, match=f"{name} holds a value that is not finite"):
        open_release(folder)


def test_a_time_too_few_is_refused(folder: Path) -> None:
    name = "history_last_event_at.npy"
    replace_array(folder, name, np.load(folder / name)[:-1])

    with pytest.raises(ArtifactError, match=name):
        open_release(folder)


def test_a_manifest_that_is_half_written_is_refused(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text()[:400])

    with pytest.raises(ArtifactError, match=r"manifest\.json cannot be read"):
        open_release(folder)


def test_a_pickle_in_place_of_an_array_is_refused_even_with_its_hash(folder: Path) -> None:
    name = "popularity_scores.npy"
    np.save(folder / name, np.array([{"code": "runs"}], dtype=object), allow_pickle=True)
    data = (folder / name).read_bytes()
    facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit_manifest(folder, lambda manifest: manifest["files"].update({name: facts}))

    with pytest.raises(ArtifactError, match="not a plain NumPy array"):
        open_release(folder)


def test_the_pickled_model_is_never_opened(folder: Path) -> None:
    """A file that would raise when unpickled loads as long as its hash is right."""
    (folder / "als_v1.pkl").write_bytes(b"cos\nabort\n(tR.")
    data = (folder / "als_v1.pkl").read_bytes()
    facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit_manifest(folder, lambda manifest: manifest["files"].update({"als_v1.pkl": facts}))

    assert "als" in open_release(folder).recommenders


def test_loading_failures_say_so(folder: Path) -> None:
    (folder / "manifest.json").unlink()

    with pytest.raises(ArtifactError, match="Model loading failed: "):
        open_current(folder.parents[1])


def test_an_empty_models_folder_says_to_train(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"train_all_models\.sh"):
        open_current(tmp_path)


@pytest.fixture
def five_files(folder: Path, tmp_path: Path) -> Path:
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in DOCUMENTED_FILES:
        shutil.copyfile(folder / name, alone / name)
    return alone


def test_the_five_files_alone_are_an_als_release_that_admits_it(five_files: Path, folder: Path) -> None:
    release, whole = open_documented(five_files), open_release(folder)

    assert set(release.recommenders) == {"als"}
    assert release.notice is not None
    np.testing.assert_array_equal(
        release.recommenders["als"].item_vectors(), whole.recommenders["als"].item_vectors()
    )
    assert open_current(five_files).version == release.version


def test_a_copy_over_a_documented_file_leaves_its_reader_alive(five_files: Path) -> None:
    als = open_documented(five_files).recommenders["als"]
    before = np.array(als.item_vectors())

    (five_files / "als_v1_item_factors.npy").write_bytes(b"")

    np.testing.assert_array_equal(als.item_vectors(), before)


@pytest.mark.parametrize("name", DOCUMENTED_FILES)
def test_four_of_the_five_are_not_enough(five_files: Path, name: str) -> None:
    (five_files / name).unlink()

    with pytest.raises(ArtifactError, match=name):
        open_documented(five_files)


def test_factors_of_another_mapping_are_refused(five_files: Path) -> None:
    factors = np.load(five_files / "als_v1_item_factors.npy")
    np.save(five_files / "als_v1_item_factors.npy", factors[:-1])

    with pytest.raises(ArtifactError, match="items but the mapping names"):
        open_documented(five_files)


def test_scaled_scores_keep_the_order_and_stay_inside_zero_and_one(folder: Path) -> None:
    release: Release = open_release(folder)
    raw = np.array([-3e38, -5.0, 0.0, 1e-3, 0.5, 0.5001, 40.0, 1e6], np.float32)

    scaled = release.scale("als", raw)

    assert (np.diff(scaled) > 0).all()
    assert scaled.min() >= 0
    assert scaled.max() < 1
