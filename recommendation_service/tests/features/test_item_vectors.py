"""Files of vectors: what is read, what is refused and how, and the order of a dataset."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.datasets.id_map import IdMap
from recsys.errors import ConfigError, DataError
from recsys.features.item_vectors import ItemVectors, load_item_vectors

VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


def save_npy(folder: Path, vectors: object = VECTORS, ids: object = ("b", "a", "x")) -> Path:
    path = folder / "texts.npy"
    np.save(path, np.asarray(vectors))
    path.with_suffix(".ids.json").write_text(json.dumps(ids), encoding="utf-8")
    return path


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_npy_with_a_list_of_ids_is_read(tmp_path: Path, dtype: type) -> None:
    read = load_item_vectors(save_npy(tmp_path, VECTORS.astype(dtype)))

    assert read.ids == ("b", "a", "x")
    assert read.vectors.dtype == np.float32
    np.testing.assert_array_equal(read.vectors, VECTORS)
    assert read.source == "texts.npy"


def test_ids_may_be_a_text_with_an_id_a_line(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    (tmp_path / "v.ids.txt").write_text("1\n2\n3\n", encoding="utf-8")

    assert load_item_vectors(tmp_path / "v.npy").ids == ("1", "2", "3")


@pytest.mark.parametrize("key", ["product_ids", "ids"])
@pytest.mark.parametrize("ids", [["7", "8", "9"], [7, 8, 9], torch.tensor([7, 8, 9])])
def test_a_pt_is_read_without_running_what_is_in_it(tmp_path: Path, key: str, ids: object) -> None:
    torch.save({"embeddings": torch.tensor(VECTORS, dtype=torch.bfloat16), key: ids}, tmp_path / "v.pt")

    read = load_item_vectors(tmp_path / "v.pt")

    assert read.ids == ("7", "8", "9")
    np.testing.assert_array_equal(read.vectors, VECTORS)


class Malicious:
    """A pickle that writes a file when it is opened."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.write_text, (self.target, "run"))


def test_a_pt_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    torch.save({"embeddings": Malicious(tmp_path / "proof"), "ids": []}, tmp_path / "v.pt")

    with pytest.raises(DataError, match=r"v\.pt cannot be read without running code") as told:
        load_item_vectors(tmp_path / "v.pt")
    assert not (tmp_path / "proof").exists()
    assert "weights_only" not in str(told.value)  # torch's own words say how to run it


def test_pickles_in_an_npy_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([{"a": 1}], dtype=object))

    with pytest.raises(DataError, match=r"v\.npy is not a plain NumPy array"):
        load_item_vectors(tmp_path / "v.npy")


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 cut short",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4', (",
        b"\x93NUMPY\x01\x00\x45\x00{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 640)}\n",
        b"",
    ],
)
def test_a_damaged_npy_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.npy").write_bytes(content)

    with pytest.raises(DataError, match=r"v\.npy is not a plain NumPy array"):
        load_item_vectors(tmp_path / "v.npy")


def test_an_archive_of_arrays_by_the_name_of_one_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "v.npy").open("wb") as file:
        np.savez(file, vectors=VECTORS)

    with pytest.raises(DataError, match=r"v\.npy is not a plain NumPy array"):
        load_item_vectors(tmp_path / "v.npy")


@pytest.mark.parametrize(
    ("vectors", "ids", "told"),
    [
        (VECTORS, ["a", "b"], r"texts\.ids\.json names 2 ids for 3 vectors"),
        (VECTORS, ["a", "b", "a"], r"texts\.ids\.json names the id 'a' twice"),
        (VECTORS, ["a", "b", None], r"holds the id None; ids must be texts"),
        (VECTORS, {"a": 0}, r"texts\.ids\.json holds dict, not a list"),
        (VECTORS.astype(np.int8), ["a", "b", "c"], r"texts\.npy holds int8; save floating-point"),
        (VECTORS[0], ["a", "b"], r"texts\.npy has shape \(2,\); it must have a row an item"),
        (np.empty((0, 4), np.float32), [], r"texts\.npy has shape \(0, 4\)"),
        ([[1.0, 2.0], [np.nan, 0.0]], ["a", "b"], r"texts\.npy holds a value that is not finite, in row 1"),
        ([[1.0, 2.0], [1e300, 0.0]], ["a", "b"], r"not finite, in row 1"),
        ([[1.0, 2.0], [-2e30, 0.0]], ["a", "b"], r"holds 2e\+30; no value may be beyond 1e\+15.* Divide all"),
    ],
)
def test_what_does_not_fit_is_told_with_the_mend(
    tmp_path: Path, vectors: object, ids: object, told: str
) -> None:
    with pytest.raises(DataError, match=told):
        load_item_vectors(save_npy(tmp_path, vectors, ids))


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)

    with pytest.raises(DataError, match=r"v\.npy has no ids beside it; write v\.ids\.json"):
        load_item_vectors(tmp_path / "v.npy")
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(DataError, match=r"folder\.npy is a folder; name a file"):
        load_item_vectors(tmp_path / "folder.npy")
    with pytest.raises(DataError, match=r"gone\.pt does not exist"):
        load_item_vectors(tmp_path / "gone.pt")
    with pytest.raises(ConfigError, match=r"v\.csv is no file of vectors"):
        load_item_vectors(tmp_path / "v.csv")
    (tmp_path / "v.ids.json").write_text("[", encoding="utf-8")
    with pytest.raises(DataError, match=r"v\.ids\.json cannot be read"):
        load_item_vectors(tmp_path / "v.npy")


@pytest.mark.parametrize("content", [{"embeddings": torch.ones(1, 1)}, [1], {"ids": ["a"]}])
def test_a_pt_with_other_contents_says_what_it_must_hold(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "v.pt")

    with pytest.raises(DataError, match=r"it must hold 'embeddings' and 'product_ids' or 'ids'"):
        load_item_vectors(tmp_path / "v.pt")


@pytest.mark.parametrize(
    "embeddings", [torch.ones(2, 2).to_sparse(), torch.ones(2, 2, device="meta"), [[1.0], [1.0, 2.0]]]
)
def test_embeddings_that_are_no_dense_table_are_refused(tmp_path: Path, embeddings: object) -> None:
    torch.save({"embeddings": embeddings, "ids": ["a", "b"]}, tmp_path / "v.pt")

    with pytest.raises(
        DataError, match=r"v\.pt holds embeddings that are no plain table .*save a dense tensor"
    ):
        load_item_vectors(tmp_path / "v.pt")


@pytest.mark.parametrize(
    "content", [b"not torch", b"a" * 99, b"asdf" * 99, b"", pickle.dumps({"ids": [Path()]})]
)
def test_a_damaged_pt_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.pt").write_bytes(content)

    with pytest.raises(DataError, match=r"v\.pt cannot be read"):
        load_item_vectors(tmp_path / "v.pt")


def test_rows_come_in_the_order_of_the_mapping() -> None:
    vectors, has_vector = ItemVectors(("b", "a", "x"), VECTORS, "test").aligned(IdMap(["a", "b", "c"]))

    assert vectors.tolist() == [[2.0, 3.0], [0.0, 1.0], [0.0, 0.0]]
    assert has_vector.tolist() == [True, True, False]


def test_vectors_of_another_catalogue_are_refused() -> None:
    with pytest.raises(DataError, match="None of the 3 ids of test is an item of the dataset: it has 'b'"):
        ItemVectors(("b", "a", "x"), VECTORS, "test").aligned(IdMap(["0", "1"]))


def test_the_version_tells_contents_apart_and_not_their_order() -> None:
    one = ItemVectors(("a", "b"), VECTORS[:2], "test")
    swapped = ItemVectors(("b", "a"), VECTORS[:2][::-1], "other")

    assert len(one.version) == 12
    assert one.version == swapped.version
    assert one.version != ItemVectors(("b", "a"), VECTORS[:2], "test").version
    assert one.version != ItemVectors(("a", "b"), VECTORS[:2] + 1, "test").version
