"""What becomes of a row that a caller puts by its id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from config.api_errors import ApiError

SchemaT = TypeVar("SchemaT")


class PutStatus(StrEnum):
    """Putting the same again is an update."""

    CREATED = "created"
    UPDATED = "updated"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class PutResult:
    """What became of one; `code` and `message` are for those refused."""

    id: UUID | None
    status: PutStatus
    code: str | None = None
    message: str | None = None


def raise_if_rejected(result: PutResult) -> None:
    """The answer to a single put that was refused."""
    if result.status is PutStatus.REJECTED:
        raise ApiError(422, result.code or "", result.message or "", id=result.id)


def batch_answer(results: Sequence[PutResult]) -> Mapping[str, Any]:
    """The answer to a batch, as `schemas.BatchOut`."""
    counts = Counter(result.status for result in results)
    shown = [
        {
            "index": index,
            "id": str(result.id) if result.id else None,
            "status": result.status,
            "error": result.code,
            "message": result.message,
        }
        for index, result in enumerate(results)
    ]
    return {**{status: counts[status] for status in PutStatus}, "results": shown}


def put_sound_members(
    members: Sequence[SchemaT | ApiError], put: Callable[[list[SchemaT]], Sequence[PutResult]]
) -> list[PutResult]:
    """Put the members that could be read; the result of each, in order."""
    put_results = iter(put([member for member in members if not isinstance(member, ApiError)]))
    return [
        PutResult(None, PutStatus.REJECTED, member.code, str(member))
        if isinstance(member, ApiError)
        else next(put_results)
        for member in members
    ]
