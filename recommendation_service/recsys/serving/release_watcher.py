"""Serves the published release, and the next one as soon as it is published, without a restart."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from recsys.artifacts.layout import current_version_key, release_dirs
from recsys.artifacts.release import Release, open_current, open_release
from recsys.errors import RecsysError

logger = logging.getLogger(__name__)

POLL_S = 0.5
RETRY_FAILED_S = 60.0  # a full disk or a wrong permission may be mended without a new release


class ReleaseWatcher:
    """Holds the served release; a thread looks for another one twice a second.

    A release is loaded and verified beside the old one, then one reference changes; one that
    cannot be loaded leaves the old one in place. When it was started before a fork, the first
    use in the new process starts a thread there.
    """

    def __init__(
        self,
        models_dir: Path,
        *,
        warm: Callable[[Release], None],
        on_loaded: Callable[[Release], None],
        on_failure: Callable[[str], None],
    ) -> None:
        """`warm` prepares a release before it is served; the others are told what happened."""
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
        """Load what should be served if that is not what is served.

        A release that failed is tried again after a minute, another one at once.
        """
        now_s = time.monotonic() if now_s is None else now_s
        with self._checking:
            key, unreadable = self._current_key()
            if key == self._checked_key and (self._failure is None or now_s < self._retry_at_s):
                return
            self._checked_key, self._retry_at_s = key, now_s + RETRY_FAILED_S
            if unreadable is not None:
                self._fail(unreadable)
            elif key is not None:
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
            release = open_current(self._models_dir)
            self._warm(release)
            self._release = release
            self._on_loaded(release)
        except RecsysError as error:
            self._release = before or self._newest_kept()
            self._fail(str(error))
        except Exception as error:  # whatever a damaged file can raise, the old release stays
            logger.exception("release cannot be loaded")
            self._release = before or self._newest_kept()
            self._fail(f"Model loading failed: {type(error).__name__}: {error}; train again.")
        else:
            self._failure = None
            seconds = time.monotonic() - started_s
            logger.info("release loaded version=%s seconds=%.2f", release.version, seconds)

    def _newest_kept(self) -> Release | None:
        """The newest kept release that is whole: for a process that starts on a damaged one."""
        for folder in reversed(release_dirs(self._models_dir)):
            try:
                release = open_release(folder)
                self._warm(release)
            except Exception as error:  # as in _load
                logger.warning("kept release not served folder=%s reason=%s", folder.name, error)
            else:
                return release
        return None

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
