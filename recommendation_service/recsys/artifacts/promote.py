"""The kept releases, and serving another of them: one pointer moves, under the lock of publishing."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsys.artifacts import layout
from recsys.artifacts.layout import MANIFEST_FILE, RELEASES, OnSwitch, Switch, served_version, tell_nobody
from recsys.artifacts.manifest import VERSION, Manifest
from recsys.artifacts.release import open_release
from recsys.errors import ArtifactError, InvalidRequestError, NotFoundError, RecsysError

logger = logging.getLogger(__name__)

WAIT_S = 10.0  # for a training that is publishing; the person at the button waits with it


@dataclass(frozen=True)
class KeptRelease:
    """A release folder: `manifest` as it is on disk, or why it cannot be served (`fault`)."""

    version: str
    created_at: datetime
    is_served: bool
    manifest: Mapping[str, Any] | None = None
    fault: str | None = None


def kept_releases(models_dir: Path) -> list[KeptRelease]:
    """Every release folder, the newest first, and the served one even when its folder is gone.

    Manifests and sizes are looked at, hashes are not: that is what `promote` does.
    """
    served = served_version(models_dir)
    releases = models_dir / RELEASES
    folders = releases.iterdir() if releases.is_dir() else ()
    versions = {folder.name for folder in folders if VERSION.fullmatch(folder.name)}
    versions |= {served} if VERSION.fullmatch(served) else set()
    return [_look_at(releases / version, served) for version in sorted(versions, reverse=True)]


def promote(
    models_dir: Path, version: str, *, on_switch: OnSwitch = tell_nobody, wait_s: float = WAIT_S
) -> Switch:
    """Serve a kept release, verified first as a stranger would.

    Raises:
        NotFoundError: no such release is kept.
        InvalidRequestError: it is served already.
        ArtifactError: it is damaged, or the pointer cannot be moved; what was served still is.
        UnavailableError: a training is publishing, and has been for `wait_s` seconds.
    """
    with layout.publishing(models_dir, wait_s=wait_s):
        return _switch(models_dir, version, on_switch)


def roll_back(
    models_dir: Path,
    *,
    served: str | None = None,
    on_switch: OnSwitch = tell_nobody,
    wait_s: float = WAIT_S,
) -> Switch:
    """Serve the newest kept release that is older than the served one.

    Args:
        models_dir: the models folder.
        served: what the caller saw served; another one by now is refused, so that two people
            who roll back at once go back one release, not two.
        on_switch: see `layout.OnSwitch`.
        wait_s: for a training that is publishing.

    Raises:
        InvalidRequestError: nothing older is kept, or another release is served by now.
        ArtifactError: the older one is damaged, or the pointer cannot be moved.
        UnavailableError: a training is publishing.
    """
    with layout.publishing(models_dir, wait_s=wait_s):
        now = served_version(models_dir)
        if served is not None and served != now:
            raise InvalidRequestError(
                f"Release {now or 'none'} is served by now, not {served}; look again, then decide."
            )
        older = [one.version for one in kept_releases(models_dir) if one.version < now]
        if not older:
            raise InvalidRequestError(
                f"There is no release older than {now or 'none'} to go back to; the last ones are kept "
                "(training.keep_releases)."
            )
        return _switch(models_dir, older[0], on_switch)


def _switch(models_dir: Path, version: str, on_switch: OnSwitch) -> Switch:
    """With the lock held: verify, move the pointer, tell."""
    folder = models_dir / RELEASES / version
    previous = served_version(models_dir)
    if not VERSION.fullmatch(version) or not folder.is_dir():
        raise NotFoundError(_not_kept(version, kept_releases(models_dir)))
    if version == previous:
        raise InvalidRequestError(f"Release {version} is served already.")
    try:
        open_release(folder)
    except (RecsysError, OSError) as error:
        raise ArtifactError(
            f"Release {version} is damaged and is not served: {error} What was served still is."
        ) from error
    switch = Switch(version, previous)
    try:
        with on_switch(switch):
            unlinked = layout.flip(models_dir, folder)
    except OSError as error:
        raise ArtifactError(
            f"The pointer in {models_dir} could not be moved ({error.strerror or error}); mend the "
            "permissions and ask again. What was served still is."
        ) from error
    if unlinked is not None:
        logger.warning("documented files not linked models_dir=%s reason=%s", models_dir, unlinked)
    logger.info("release switched version=%s previous=%s", version, previous)
    return switch


def _look_at(folder: Path, served: str) -> KeptRelease:
    version = folder.name
    created_at = datetime.strptime(version.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    try:
        manifest = Manifest.load(folder / MANIFEST_FILE)
        _check_sizes(folder, manifest)
        on_disk = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (RecsysError, OSError, ValueError) as error:
        return KeptRelease(version, created_at, version == served, fault=str(error))
    return KeptRelease(version, created_at, version == served, manifest=on_disk)


def _check_sizes(folder: Path, manifest: Manifest) -> None:
    for name, facts in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts["bytes"]:
            raise ArtifactError(f"{path} is missing or has another size than its manifest says; train again.")


def _not_kept(version: str, kept: Sequence[KeptRelease]) -> str:
    names = ", ".join(one.version for one in kept if one.fault is None) or "none"
    return f"There is no release {version!r:.80}; kept are: {names}."
