"""Ids of imported rows: the same outside id of the same source is always the same row."""

from __future__ import annotations

import re
from uuid import UUID, uuid5

from recsys.errors import ConfigError

NAMESPACE = UUID("6f0c5a3e-2b1d-5c43-9a57-0d1c6c2f7b11")
SOURCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
DEFAULT_SOURCE = "import"


def import_id(source: str, kind: str, outside_id: str) -> UUID:
    """An outside id that is a UUID is used as it is; any other gets one from source and kind."""
    try:
        return UUID(outside_id)
    except ValueError:
        return uuid5(NAMESPACE, f"{source}/{kind}/{outside_id}")


def check_source(source: str) -> None:
    """Refuse a name that could not stand in a username.

    Raises:
        ConfigError: it is empty, longer than 40 characters, or has others than letters and digits.
    """
    if not SOURCE_NAME.fullmatch(source):
        raise ConfigError(
            f"The source {source!r} must be 1 to 40 letters, digits, dots, dashes or underscores: ml-100k."
        )
