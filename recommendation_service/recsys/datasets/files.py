"""Files of a folder that are written aside, renamed into place, and checked by size and hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recsys.errors import DataError

# What NumPy and SciPy raise over a damaged .npy or .npz, found by flipping bytes: a header is parsed before
# its checksum is known, and one bit says that an archive wants a password (RuntimeError).
UNREADABLE_NUMPY = (
    *(ValueError, TypeError, IndexError, KeyError, AttributeError),
    *(OSError, EOFError, NotImplementedError, RuntimeError, MemoryError, OverflowError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


class Staging:
    """A hidden folder beside the files of `folder`; what is not moved into place is deleted."""

    def __init__(self, folder: Path) -> None:
        self._target = folder
        self.folder = Path()

    def __enter__(self) -> Self:
        self._target.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=self._target))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name: str) -> Path:
        """Where to write the file that will be called `name`."""
        return self.folder / name

    def move_into_place(self, *, last: str, optional: Sequence[str] = ()) -> None:
        """Sync every file and rename it into the target, `last` after all others.

        A file of `optional` that was not written this time is removed from the target, so that
        it never describes an older set.
        """
        names = sorted(path.name for path in self.folder.iterdir() if path.name != last)
        for name in (*names, last):
            sync_file(self.folder / name)
        for name in (*names, last):
            (self.folder / name).replace(self._target / name)
        for name in optional:
            if name not in names:
                (self._target / name).unlink(missing_ok=True)
        sync_file(self._target)


def sync_file(path: Path) -> None:
    """Force a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_file(path: Path) -> str:
    """The sha256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Bytes and sha256 of every file in a folder, by name."""
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": hash_file(path)}
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


def check_descriptions(source: Path, described: object) -> None:
    """Refuse what `describe_files` cannot have written.

    Raises:
        DataError: it is not a mapping of plain file names to whole bytes and a sha256.
    """
    if not isinstance(described, dict):
        raise DataError(f"{source} says files: {described!r:.80}, not name -> facts; make the folder again.")
    for name, facts in described.items():
        if Path(name).name != name:
            raise DataError(f"{source} names {name!r}, which is not a file of its folder; make it again.")
        known = facts if isinstance(facts, dict) else {}
        if type(known.get("bytes")) is not int or not isinstance(known.get("sha256"), str):
            raise DataError(
                f"{source} says {facts!r:.80} of {name}, not its bytes and sha256; make the folder again."
            )


def check_files(folder: Path, described: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare files with what a manifest says of them.

    Raises:
        DataError: a file is missing, or its size or hash differs.
    """
    for name, facts in described.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path} is missing but its manifest lists it; make the folder again.")
        if path.stat().st_size != facts["bytes"]:
            found, expected = path.stat().st_size, facts["bytes"]
            raise DataError(
                f"{path} has {found:,} bytes, its manifest says {expected:,}; make the folder again."
            )
        if hash_file(path) != facts["sha256"]:
            raise DataError(f"{path} is not the file its manifest was written for; make the folder again.")
