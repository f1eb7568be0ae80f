"""What lies at a path decides how it is opened."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.opening import open_dataset
from recsys.datasets.ratings import RatingBatch, save_ratings
from recsys.datasets.user_items import Dataset, save_dataset
from recsys.errors import DataError


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    save_dataset(Dataset(csr_matrix([[2.0, 0.0], [0.0, 3.5]]), IdMap("ab"), IdMap("xy")), folder)
    return folder


@pytest.fixture
def rated(tmp_path: Path) -> Path:
    folder = tmp_path / "rated"
    save_ratings([RatingBatch(["a", "b"], ["x", "y"], [5.0, 2.0])], folder)
    return folder


def test_an_export_is_opened_by_its_folder_or_its_matrix(export: Path) -> None:
    for path in (export, export / "als_interactions.npz"):
        assert open_dataset(path).user_items.toarray().tolist() == [[2.0, 0.0], [0.0, 3.5]]


def test_ratings_are_opened_by_their_folder_or_their_file(rated: Path) -> None:
    for path in (rated, rated / "ratings.parquet"):
        assert open_dataset(path).user_items.toarray().tolist() == [[5.0, 0.0], [0.0, -2.0]]


def test_a_text_file_is_the_train_file_of_a_public_split(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("0 0 1\n1 1\n")

    assert open_dataset(path).user_items.toarray().tolist() == [[1.0, 1.0], [0.0, 1.0]]


def test_a_folder_with_both_asks_which(export: Path, rated: Path) -> None:
    for path in rated.iterdir():
        shutil.copy(path, export)

    with pytest.raises(DataError, match=r"holds als_interactions.npz and ratings.parquet; name the one"):
        open_dataset(export)


def test_a_folder_with_neither_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"generate_als_dataset.*recsys import"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "ratings.parquet", "als_interactions.npz", "train.txt"])
def test_a_path_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        open_dataset(tmp_path / name)
