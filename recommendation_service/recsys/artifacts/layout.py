"""The names in a models folder, the pointer to the served release, and how it is flipped.

models/current -> releases/20261122T030012Z-3f9a
models/als_v1.pkl -> current/als_v1.pkl        (and the other four documented files)
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from recsys.datasets.files import sync_file
from recsys.errors import ArtifactError, UnavailableError
from recsys.recommenders.als import ITEM_FACTORS_FILE, MODEL_FILE, USER_FACTORS_FILE

POINTER = "current"
RELEASES = "releases"
MANIFEST_FILE = "manifest.json"
USER_MAPPING_FILE = "als_v1_user_mapping.json"
ITEM_MAPPING_FILE = "als_v1_item_mapping.json"
DOCUMENTED_FILES = (MODEL_FILE, USER_FACTORS_FILE, ITEM_FACTORS_FILE, USER_MAPPING_FILE, ITEM_MAPPING_FILE)
# The same mappings as the service reads them, and the item one with the startups nobody acted on.
IDS_FILES = {
    side: {
        part: f"{side}_ids{ending}.npy"
        for part, ending in (("sorted_ids", ""), ("index_of", "_index"), ("place_of", "_place"))
    }
    for side in ("user", "item")
}
# Every user's cells, so that a user can be answered when no live profile can be had.
ROWS_FILES = {
    "indptr": "history_indptr.npy",
    "indices": "history_items.npy",
    "weights": "history_weights.npy",
}
LAST_EVENT_FILE = "history_last_event_at.npy"  # only when the dataset knows the times
LOCK_POLL_S = 0.05


class Identity(NamedTuple):
    """What changes when a file is replaced (`inode`) or written to (the others)."""

    inode: int
    modified_ns: int
    size: int


def current_version_key(models_dir: Path) -> tuple[object, ...] | None:
    """What identifies the files to serve; it changes when they should be loaded, or loaded again.

    The pointer and a `stat` of each file behind it, or of the five documented files where they lie
    there by themselves, whole or not. None when there is nothing at all.
    """
    pointer = models_dir / POINTER
    if pointer.is_symlink():
        return str(pointer.readlink()), *_identities(pointer)
    documented = tuple(file_identity(models_dir / name) for name in DOCUMENTED_FILES)
    kept = tuple(folder.name for folder in release_dirs(models_dir))
    at_pointer = file_identity(pointer)
    return (at_pointer, documented, kept) if at_pointer or any(documented) or kept else None


def file_identity(path: Path) -> Identity | None:
    """What a path names now; None when it names nothing."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return Identity(facts.st_ino, facts.st_mtime_ns, facts.st_size)


def _identities(folder: Path) -> list[tuple[str, Identity | None]]:
    try:
        paths = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    return [(path.name, file_identity(path)) for path in paths]


def check_pointer(models_dir: Path) -> None:
    """Refuse a models folder whose releases nothing points to.

    Raises:
        ArtifactError: the pointer is gone or is no link, with how to make it.
    """
    pointer = models_dir / POINTER
    if pointer.is_symlink():
        return
    kept = release_dirs(models_dir)
    if pointer.exists():
        mend = f"move it away (mv {pointer} {models_dir / 'not-a-link'}), then "
        what = f"{pointer} is not a link to a release"
    elif kept and not any((models_dir / name).is_file() for name in DOCUMENTED_FILES):
        mend, what = "", f"{pointer} is missing though releases are kept"
    else:
        return
    newest = kept[-1].name if kept else None
    make = f"point it to a kept one: ln -s {RELEASES}/{newest} {pointer}." if newest else "train again."
    raise ArtifactError(f"{what}; {mend}{make}")


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


@dataclass(frozen=True)
class Switch:
    """The pointer moves to `version`, from `previous` ("" when it pointed nowhere)."""

    version: str
    previous: str


# Entered when a release has been verified, left when the pointer has moved: what it raises on entry
# stops the switch. For a row in a database that must stand exactly when the pointer moved.
OnSwitch = Callable[[Switch], AbstractContextManager[object]]


def tell_nobody(switch: Switch) -> AbstractContextManager[object]:
    """For callers who keep no record."""
    return nullcontext()


def served_version(models_dir: Path) -> str:
    """What the pointer names, whether it is there or not; "" when there is no pointer."""
    served = current_release_dir(models_dir)
    return served.name if served is not None else ""


@contextmanager
def publishing(models_dir: Path, *, wait_s: float | None = None) -> Iterator[None]:
    """Hold the right to publish; a second publisher waits, for ever or for some seconds.

    Raises:
        UnavailableError: somebody else has held it all the while.
    """
    models_dir.mkdir(parents=True, exist_ok=True)
    with (models_dir / ".publish.lock").open("w") as lock:
        if wait_s is None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        else:
            _lock_within(lock, wait_s)
        yield


def _lock_within(lock: IO[str], wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise UnavailableError(
                    "A training is publishing its release right now; wait until it has ended, then ask again."
                ) from None
            time.sleep(LOCK_POLL_S)
        else:
            return


def point_to(models_dir: Path, release: Path) -> None:
    """Make a kept release the served one: one atomic rename, then the documented links."""
    _move_aside(models_dir, release.name, (POINTER,))
    _replace_link(models_dir / POINTER, Path(RELEASES) / release.name)
    _move_aside(models_dir, release.name, DOCUMENTED_FILES)
    for name in DOCUMENTED_FILES:
        if (release / name).exists():
            _replace_link(models_dir / name, Path(POINTER) / name)
        else:
            (models_dir / name).unlink(missing_ok=True)
    sync_file(models_dir)


def flip(models_dir: Path, release: Path) -> OSError | None:
    """`point_to`; an error after the pointer itself has moved is returned, for the release is served."""
    try:
        point_to(models_dir, release)
    except OSError as error:
        if served_version(models_dir) != release.name:
            raise
        return error
    return None


def remove_old_releases(models_dir: Path, keep: int, holds: Callable[[Path], Set[str]]) -> None:
    """Delete all but the newest `keep` releases; the served one always stays.

    So does the newest that holds a recommender none of these does: after trainings of one recommender
    alone there must be something to roll back to.

    Args:
        models_dir: where releases are kept.
        keep: how many, the served one included.
        holds: names of what a release folder holds; none where it cannot be read.
    """
    served = current_release_dir(models_dir)
    newest_first = release_dirs(models_dir)[::-1]
    others = [path for path in newest_first if served is None or path.name != served.name]
    n_kept_beside = keep - 1 if served is not None else keep
    kept = others[:n_kept_beside] + ([] if served is None else [served])
    held = set().union(*map(holds, kept))
    for path in others[n_kept_beside:]:
        if holds(path) <= held:
            shutil.rmtree(path)
        else:
            held |= holds(path)


def _replace_link(link: Path, target: Path) -> None:
    aside = link.with_name(f".{link.name}.new")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target)
    aside.replace(link)


def _move_aside(models_dir: Path, version: str, links: Sequence[str]) -> None:
    """What somebody put under the names of our links is kept, in a folder of its own."""
    paths = [models_dir / name for name in links]
    plain = [path for path in paths if path.exists() and not path.is_symlink()]
    if plain:
        folder = models_dir / f"before-{version}"
        folder.mkdir(exist_ok=True)
        for path in plain:
            path.replace(folder / path.name)
