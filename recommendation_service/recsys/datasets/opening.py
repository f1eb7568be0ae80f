"""Open a dataset by what lies at a path: an export, ratings, a public split's train file, processed data."""

from __future__ import annotations

from pathlib import Path

from recsys.datasets.processed import MANIFEST_FILE as PROCESSED_FILE
from recsys.datasets.processed import ProcessedData, load_processed
from recsys.datasets.public_split import load_public_train
from recsys.datasets.ratings import RATINGS_FILE
from recsys.datasets.reviews import load_reviews
from recsys.datasets.subsample import subsample
from recsys.datasets.user_items import MATRIX_FILE, Dataset, load_dataset
from recsys.errors import DataError

TEXT_SUFFIX = ".txt"


def open_dataset(path: Path, *, max_users: int | None = None, max_items: int | None = None) -> Dataset:
    """The dataset at a path, or a part of it (see `subsample`).

    Args:
        path: a folder with als_interactions.npz (the export) or with ratings.parquet (`recsys import`),
            one of those two files, a .txt of `user item item ...` lines, or what `recsys process` wrote:
            the folder of one version, or of all of them for the latest. Of processed data it is every
            cell of the trainable users, train and held out.

    Raises:
        ConfigError: a number of users or items is below 1.
        DataError: there is nothing of the kind, a folder holds both, or a file is damaged.
    """
    return subsample(_open(path), max_users=max_users, max_items=max_items)


def is_processed(path: Path) -> bool:
    """Whether a path names what `recsys process` wrote: a version, a folder of them, or one it lacks."""
    if path.is_dir():
        is_other = (path / MATRIX_FILE).exists() or (path / RATINGS_FILE).exists()
        return not is_other and ((path / PROCESSED_FILE).exists() or _holds_versions(path))
    is_other = path.exists() or path.name == RATINGS_FILE or path.suffix == TEXT_SUFFIX
    return not is_other and _holds_versions(path.parent)


def open_processed(path: Path) -> ProcessedData:
    """What `recsys process` wrote: the folder of one version, or of all of them for the latest.

    Raises:
        DataError: it is not there (the message names the versions that are) or damaged.
    """
    is_version = (path / PROCESSED_FILE).is_file() or (not path.exists() and _holds_versions(path.parent))
    return load_processed(path.parent, path.name) if is_version else load_processed(path)


def _open(path: Path) -> Dataset:
    if is_processed(path):
        return open_processed(path).dataset
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
        "(recsys import) nor processed data (recsys process); name a folder with one of them."
    )


def _holds_versions(folder: Path) -> bool:
    return next(folder.glob(f"*/{PROCESSED_FILE}"), None) is not None
