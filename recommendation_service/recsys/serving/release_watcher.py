"""Serves the published release, and the next one as soon as it is published, without a restart."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from recsys.artifacts.layout import current_version_key, file_identity, release_dirs
from recsys.artifacts.release import Release, open_current, open_release
from recsys.errors import RecsysError
from recsys.serving.memory import give_memory_back

logger = logging.getLogger(__name__)

POLL_S = 0.5
RETRY_FAILED_S = 60.0  # a full disk or a wrong permission may be mended without a new release


class ReleaseWatcher:
    """Holds the served release; a thread looks twice a second for another one, and after its files.

    A release is loaded and verified beside the old one, then one reference changes; one that
    cannot be loaded leaves the old one in place, unless somebody has written to the very files
    that the old one is answered from: then the newest kept release that is whole is served. When
    it was started before a fork, the first use in the new process starts a thread there.
    """

    def __init__(
        self,
        models_dir: Path,
        *,
        warm: Callable[[Release], None],
        on_loaded: Callable[[Release | None], None],
        on_failure: Callable[[str], None],
    ) -> None:
        """`warm` prepares a release before it is served; the others are told what happened.

        `on_loaded` is told None when nothing can be served any more.
        """
        self._models_dir = models_dir
        self._warm = warm
        self._on_loaded = on_loaded
        self._on_failure = on_failure
        self._release: Release | None = None
        self._failure: str | None = None
        self._checked_key: tuple[object, ...] | None = None
        self._retry_at_s = 0.0
        self._checking = threading.Lock()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._watching_pid: int | None = None
        self._stop = threading.Event()

    @property
    def release(self) -> Release | None:
        """The release to answer from; None before the first one."""
        if self._watching_pid not in (None, os.getpid()):
            self.start()
        return self._release

    @property
    def failure(self) -> str | None:
        """Why the release that should be served is not; None while it is."""
        return self._failure

    def check(self, now_s: float | None = None) -> None:
        """Load what should be served if that is not what is served, or is not what it was.

        A release that failed is tried again after a minute, another or a changed one at once.
        """
        now_s = time.monotonic() if now_s is None else now_s
        with self._checking:
            key, unreadable = self._current_key()
            waits = self._failure is None or now_s < self._retry_at_s
            if key == self._checked_key and waits and not _is_written_to(self._release):
                return
            self._checked_key, self._retry_at_s = key, now_s + RETRY_FAILED_S
            if unreadable is not None:
                self._fail(unreadable)
            elif key is not None or self._release is not None:
                self._load()

    def start(self) -> None:
        """Watch from a thread of this process; starting twice is starting once."""
        with self._starting:
            if self._watching_pid == os.getpid():
                return
            # A fork may have copied the lock while another thread held it.
            self._checking, self._stop = threading.Lock(), threading.Event()
            self._thread = threading.Thread(target=self._watch, name="release-watcher", daemon=True)
            self._thread.start()
            self._watching_pid = os.getpid()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._watching_pid = None

    def _current_key(self) -> tuple[tuple[object, ...] | None, str | None]:
        """What should be served, and why that cannot be told."""
        try:
            return current_version_key(self._models_dir), None
        except OSError as error:
            return ("unreadable", error.errno), (
                f"Model loading failed: {self._models_dir} cannot be read ({error}); "
                "mend the folder or its permissions."
            )

    def _load(self) -> None:
        started_s, before = time.monotonic(), self._release
        try:
            release = self._serve(lambda: open_current(self._models_dir))
        except RecsysError as error:
            self._serve_what_is_whole(before)
            self._fail(str(error))
        except Exception as error:  # whatever a damaged file can raise, the old release stays
            logger.exception("release cannot be loaded")
            self._serve_what_is_whole(before)
            self._fail(f"Model loading failed: {type(error).__name__}: {error}; train again.")
        else:
            self._failure = None
            seconds = time.monotonic() - started_s
            logger.info("release loaded version=%s seconds=%.2f", release.version, seconds)

    def _serve(self, open_it: Callable[[], Release]) -> Release:
        """Open a release, warm it, serve it and tell."""
        release = open_it()
        self._warm(release)
        self._release = release
        self._on_loaded(release)
        give_memory_back()
        return release

    def _serve_what_is_whole(self, before: Release | None) -> None:
        """After a failure: what was served before; if that cannot be, the newest kept whole release."""
        self._release = before
        if before is not None and not _is_written_to(before):
            return
        for folder in reversed(release_dirs(self._models_dir)):
            try:
                self._serve(partial(open_release, folder))
            except Exception as error:  # as in _load
                logger.warning("kept release not served folder=%s reason=%s", folder.name, error)
            else:
                return
        self._release = None
        if before is not None:
            self._on_loaded(None)

    def _fail(self, failure: str) -> None:
        served = "nothing" if self._release is None else self._release.version
        logger.error("%s still_serving=%s", failure, served)
        self._failure = failure
        try:
            self._on_failure(failure)
        except Exception:  # who is told of a failure must not make another one
            logger.exception("release failure cannot be told")

    def _watch(self) -> None:
        while True:
            try:
                self.check()
            except Exception as error:  # a thread that ended would miss every release to come
                logger.exception("release check failed")
                self._fail(f"Model loading failed: {type(error).__name__}: {error}; see the log.")
            if self._stop.wait(POLL_S):
                return


def _is_written_to(release: Release | None) -> bool:
    """Whether a file that answers are made from was changed in place.

    One that was replaced or deleted is still there for those who have it mapped.
    """
    for path, before in release.mapped_files.items() if release is not None else ():
        now = file_identity(path)
        if now is not None and before is not None and now.inode == before.inode and now != before:
            return True
    return False
