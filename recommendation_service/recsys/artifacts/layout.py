"""The names in a models folder, the pointer to the served release, and how it is flipped.

models/current -> releases/20261122T030012Z-3f9a
models/als_v1.pkl -> current/als_v1.pkl        (and the other four documented files)
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recsys.datasets.files import sync_file
from recsys.recommenders.als import ITEM_FACTORS_FILE, MODEL_FILE, USER_FACTORS_FILE

POINTER = "current"
RELEASES = "releases"
MANIFEST_FILE = "manifest.json"
USER_MAPPING_FILE = "als_v1_user_mapping.json"
ITEM_MAPPING_FILE = "als_v1_item_mapping.json"
DOCUMENTED_FILES = (MODEL_FILE, USER_FACTORS_FILE, ITEM_FACTORS_FILE, USER_MAPPING_FILE, ITEM_MAPPING_FILE)
CATALOGUE_FILE = "catalogue.json"
# Every user's cells, so that a user can be answered when no live profile can be had.
ROWS_FILES = {
    "indptr": "history_indptr.npy",
    "indices": "history_items.npy",
    "weights": "history_weights.npy",
}
LAST_EVENT_FILE = "history_last_event_at.npy"  # only when the dataset knows the times


def current_version_key(models_dir: Path) -> tuple[object, ...] | None:
    """What identifies the files to serve; it changes when others should be loaded.

    A link read, or five `stat` calls where documented files lie there by themselves, whole or not.
    None when there is nothing at all.
    """
    pointer = models_dir / POINTER
    if pointer.is_symlink():
        return (str(pointer.readlink()),)
    key = tuple(_identity(models_dir / name) for name in DOCUMENTED_FILES)
    return key if any(key) else None


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def current_release_dir(models_dir: Path) -> Path | None:
    """The folder of the served release, or None when no release is published."""
    pointer = models_dir / POINTER
    return models_dir / pointer.readlink() if pointer.is_symlink() else None


def release_dirs(models_dir: Path) -> list[Path]:
    """The kept releases, the oldest first."""
    releases = models_dir / RELEASES
    if not releases.is_dir():
        return []
    return sorted(path for path in releases.iterdir() if (path / MANIFEST_FILE).is_file())


@contextmanager
def publishing(models_dir: Path) -> Iterator[None]:
    """Hold the right to publish; a second publisher waits."""
    models_dir.mkdir(parents=True, exist_ok=True)
    with (models_dir / ".publish.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def point_to(models_dir: Path, release: Path) -> None:
    """Make a kept release the served one: one atomic rename, then the documented links."""
    _replace_link(models_dir / POINTER, Path(RELEASES) / release.name)
    _move_plain_files_aside(models_dir, release.name)
    for name in DOCUMENTED_FILES:
        if (release / name).exists():
            _replace_link(models_dir / name, Path(POINTER) / name)
        else:
            (models_dir / name).unlink(missing_ok=True)
    sync_file(models_dir)


def remove_old_releases(models_dir: Path, keep: int) -> None:
    """Delete all but the newest `keep` releases; the served one always stays."""
    served = current_release_dir(models_dir)
    removable = [path for path in release_dirs(models_dir) if served is None or path.name != served.name]
    n_kept_beside = keep - 1 if served is not None else keep
    for path in removable[: max(len(removable) - n_kept_beside, 0)]:
        shutil.rmtree(path)


def _replace_link(link: Path, target: Path) -> None:
    aside = link.with_name(f".{link.name}.new")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target)
    aside.replace(link)


def _move_plain_files_aside(models_dir: Path, version: str) -> None:
    """Files somebody put under the documented names are kept, in a folder of their own."""
    plain = [
        models_dir / n
        for n in DOCUMENTED_FILES
        if (models_dir / n).is_file() and not (models_dir / n).is_symlink()
    ]
    if plain:
        folder = models_dir / f"before-{version}"
        folder.mkdir()
        for path in plain:
            path.replace(folder / path.name)
