"""A SECRET_KEY for a development machine: made once, kept in a file only its owner reads."""

from __future__ import annotations

import secrets
from pathlib import Path

from config.env import SettingError


def development_secret_key(path: Path) -> str:
    """The key in the file, which is made when missing; processes starting at once agree on one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        if not path.exists():
            aside.touch(mode=0o600)
            aside.write_text(secrets.token_urlsafe(48))
            _link_unless_there(aside, path)
        return path.read_text()
    except OSError as error:
        raise SettingError(
            "SECRET_KEY", "", f"a random string (none could be kept in {path}: {error})"
        ) from error


def _link_unless_there(aside: Path, path: Path) -> None:
    """Give the whole file its name in one act; another process may have been first."""
    try:
        path.hardlink_to(aside)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
