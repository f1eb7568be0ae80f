"""POST and DELETE /api/v1/interactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router
from ninja.responses import Status

from accounts.auth import Caller, services_and_people
from accounts.models import ApiKey
from config.api_batches import body_docs, parse_member, read_json, read_members
from config.api_errors import ApiError
from config.schemas import ErrorOut
from interactions.schemas import EventBatchOut, EventIn, EventOut, RetractionOut
from interactions.selectors import user_of_event
from interactions.services import EventResult, EventStatus, NewEvent, record_events, retract_event

router = Router(tags=["interactions"])

BATCH_KEY = "events"


@router.post(
    "",
    auth=services_and_people(ApiKey.Scope.WRITE),
    response={201: EventOut, 200: EventOut | EventBatchOut, (400, 401, 403, 409, 413, 422): ErrorOut},
    openapi_extra=body_docs(EventIn, key=BATCH_KEY, member=EventIn),
)
def record_interactions(request: HttpRequest) -> Status[Mapping[str, Any]]:
    """Record one act, or up to 1,000 as `{"events": [...]}` or a list.

    One: 201 recorded, 200 the same act again, 409 its event_id names another act, 4xx refused.
    Several: 200 with what became of each; a refused one spoils no other.
    """
    caller: Caller = request.auth
    payload = read_json(request)
    is_single = isinstance(payload, Mapping) and BATCH_KEY not in payload
    members = [payload] if is_single else read_members(payload, BATCH_KEY)
    results = _record(caller, members)
    return _one(results[0]) if is_single else Status(200, _many(results))


@router.delete(
    "/{event_id}",
    auth=services_and_people(ApiKey.Scope.WRITE),
    response={200: RetractionOut, (401, 403, 404): ErrorOut},
)
def retract_interaction(request: HttpRequest, event_id: UUID) -> Mapping[str, Any]:
    """Take an act back. It stays in the log, marked, and counts no more. Twice is once."""
    caller: Caller = request.auth
    user_id = user_of_event(event_id)
    if user_id is not None and not caller.may_act_for(user_id):
        user_id = None  # whether another person's act exists is not told
    if user_id is None:
        raise ApiError(404, "not_found", f"No interaction has event_id {event_id}; check the id.")
    return {"event_id": event_id, "retracted_now": retract_event(event_id)}


def _record(caller: Caller, members: list[Any]) -> list[EventResult | ApiError]:
    """Record the members that are sound; the result of each, in order."""
    parsed = [_parse(caller, member) for member in members]
    recorded = iter(record_events([event for event in parsed if isinstance(event, NewEvent)]))
    return [next(recorded) if isinstance(event, NewEvent) else event for event in parsed]


def _parse(caller: Caller, member: Any) -> NewEvent | ApiError:
    event = parse_member(EventIn, member)
    if isinstance(event, ApiError):
        is_time = any(field["field"].startswith("occurred_at") for field in event.detail["fields"])
        event.code = "malformed_time" if is_time else event.code
        return event
    user_id = event.user_id or caller.user_id
    if user_id is None:
        return ApiError(422, "invalid_request", "user_id: Field required. See /api/v1/docs.")
    if not caller.may_act_for(user_id):
        return ApiError(
            403, "forbidden", "You can act only for yourself; leave user_id out, or send your own."
        )
    return event.as_event(user_id)


def _one(result: EventResult | ApiError) -> Status[Mapping[str, Any]]:
    if isinstance(result, ApiError):
        raise result
    if result.status in (EventStatus.CONFLICT, EventStatus.REJECTED):
        status = 409 if result.status is EventStatus.CONFLICT else 422
        raise ApiError(status, result.code or "", result.message or "", event_id=result.event_id)
    status = 201 if result.status is EventStatus.CREATED else 200
    return Status(status, {"event_id": result.event_id, "status": result.status})


def _many(results: list[EventResult | ApiError]) -> Mapping[str, Any]:
    shown = [
        {
            "index": index,
            "event_id": None,
            "status": EventStatus.REJECTED,
            "error": result.code,
            "message": str(result),
        }
        if isinstance(result, ApiError)
        else {
            "index": index,
            "event_id": result.event_id,
            "status": result.status,
            "error": result.code,
            "message": result.message,
        }
        for index, result in enumerate(results)
    ]
    counts = Counter(each["status"] for each in shown)
    return {**{status: counts[status] for status in EventStatus}, "results": shown}
