"""Types that several endpoints share."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field

MAX_CONTEXT_BYTES = 4096
EARLIEST_YEAR, LATEST_YEAR = 1970, 9998
DATE_FIRST = re.compile(r"\s*\d{4}-\d\d-\d\d")
ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("holds the character U+0000, which cannot be stored; remove it")
    return text


def _not_a_number(value: object) -> object:
    """Pydantic takes numbers, and digits in quotes, for seconds or milliseconds since 1970."""
    if not isinstance(value, datetime) and not (isinstance(value, str) and DATE_FIRST.match(value)):
        raise ValueError("send ISO 8601 with a zone, such as 2026-11-22T10:00:00Z")
    return value


def _storable(moment: datetime) -> datetime:
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise ValueError(f"is outside the years {EARLIEST_YEAR} to {LATEST_YEAR}")
    return moment.astimezone(UTC)  # PostgreSQL reads no zone more than 16 hours away


def _small_json(context: dict[str, Any]) -> dict[str, Any]:
    try:
        text = json.dumps(context, allow_nan=False)
    except ValueError as error:
        raise ValueError("holds a number that is not finite; remove it") from error
    if len(text) > MAX_CONTEXT_BYTES:
        raise ValueError(f"is {len(text):,} bytes of JSON; send at most {MAX_CONTEXT_BYTES:,}")
    if ESCAPED_NUL.search(text):
        raise ValueError("holds the character U+0000, which cannot be stored; remove it")
    return context


Text = Annotated[str, AfterValidator(_without_nul)]
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_not_a_number),
    AfterValidator(_storable),
    Field(description="ISO 8601 with a zone, such as 2026-11-22T10:00:00Z."),
]
Context = Annotated[dict[str, Any], AfterValidator(_small_json)]


class StrictSchema(Schema):
    """What callers send: a misspelt field is told, not ignored."""

    model_config = ConfigDict(extra="forbid")


class ErrorOut(Schema):
    """Every error of the API."""

    error: str
    message: str
    detail: dict[str, Any]


class MemberOut(Schema):
    """What became of one member of a batch of users or startups."""

    index: int
    id: str | None
    status: str
    error: str | None = None
    message: str | None = None


class BatchOut(Schema):
    """What became of a batch, in its order."""

    created: int
    updated: int
    rejected: int
    results: list[MemberOut]
