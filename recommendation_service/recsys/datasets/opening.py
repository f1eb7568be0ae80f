"""Open a dataset by what lies at a path: an export, a rating folder, or the train file of a public split."""

from __future__ import annotations

from pathlib import Path

from recsys.datasets.public_split import load_public_train
from recsys.datasets.ratings import RATINGS_FILE
from recsys.datasets.reviews import load_reviews
from recsys.datasets.user_items import MATRIX_FILE, Dataset, load_dataset
from recsys.errors import DataError

TEXT_SUFFIX = ".txt"


def open_dataset(path: Path) -> Dataset:
    """The dataset at a path.

    Args:
        path: a folder with als_interactions.npz (the export) or with ratings.parquet (`recsys import`),
            one of those two files, or a .txt of `user item item ...` lines.

    Raises:
        DataError: there is nothing of the kind, a folder holds both, or a file is damaged.
    """
    if path.is_dir():
        return _open_folder(path)
    if path.name == RATINGS_FILE:
        return load_reviews(path.parent)
    if path.suffix == TEXT_SUFFIX:
        return load_public_train(path)
    return load_dataset(path)


def _open_folder(folder: Path) -> Dataset:
    is_export, is_rated = (folder / MATRIX_FILE).exists(), (folder / RATINGS_FILE).exists()
    if is_export and is_rated:
        raise DataError(
            f"{folder} holds {MATRIX_FILE} and {RATINGS_FILE}; name the one to learn from, as a file."
        )
    if is_rated:
        return load_reviews(folder)
    if is_export:
        return load_dataset(folder)
    raise DataError(
        f"{folder} holds neither {MATRIX_FILE} (manage.py generate_als_dataset) nor {RATINGS_FILE} "
        "(recsys import); name a folder with one of them."
    )
