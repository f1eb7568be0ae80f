"""Startups: put by id, one or many, listed and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router
from ninja.responses import Status

from accounts.auth import services, services_and_people
from accounts.models import ApiKey
from config.api_batches import body_docs, parse_member, read_json, read_members
from config.api_query import refuse_unknown_parameters
from config.puts import PutResult, PutStatus, batch_answer, put_sound_members, raise_if_rejected
from config.schemas import BatchOut, ErrorOut
from startups.models import Startup
from startups.schemas import StartupIn, StartupMemberIn, StartupOut, StartupPage, StartupQuery
from startups.selectors import get_startup, page_of_startups
from startups.services import put_startups

router = Router(tags=["startups"])

ERRORS = {(400, 401, 403, 404, 413, 422): ErrorOut}


@router.put(
    "",
    auth=services(ApiKey.Scope.WRITE),
    response={200: BatchOut, **ERRORS},
    openapi_extra=body_docs(key="startups", member=StartupMemberIn),
)
def put_many_startups(request: HttpRequest) -> Mapping[str, Any]:
    """Create or change up to 1,000 startups; a refused one spoils no other."""
    members = [parse_member(StartupMemberIn, each) for each in read_members(read_json(request), "startups")]
    return batch_answer(put_sound_members(members, _put))


@router.put("/{startup_id}", auth=services(ApiKey.Scope.WRITE), response={(200, 201): StartupOut, **ERRORS})
def put_startup(request: HttpRequest, startup_id: UUID, payload: StartupIn) -> Status[Startup]:
    """Create a startup (201) or change one (200); fields left out stay as they are."""
    (result,) = put_startups([(startup_id, payload.model_dump(exclude_unset=True))])
    raise_if_rejected(result)
    return Status(201 if result.status is PutStatus.CREATED else 200, get_startup(startup_id))


@router.get("", auth=services_and_people(ApiKey.Scope.READ), response={200: StartupPage, **ERRORS})
def list_startups(request: HttpRequest, query: Query[StartupQuery]) -> Mapping[str, Any]:
    """Startups, newest first, a page at a time: `next` of one page is `after` of the next."""
    refuse_unknown_parameters(request, StartupQuery)
    equal = query.model_dump(
        include={"industry", "country", "stage", "owner_id", "is_active"}, exclude_none=True
    )
    startups = Startup.objects.filter(**equal)
    if query.name:
        startups = startups.filter(name__icontains=query.name)
    if query.tag is not None:
        startups = startups.filter(tags__contains=[query.tag])
    if query.created_after is not None:
        startups = startups.filter(created_at__gt=query.created_after)
    shown, place = page_of_startups(startups, after=query.after, limit=query.limit)
    return {"startups": shown, "next": place}


@router.get(
    "/{startup_id}", auth=services_and_people(ApiKey.Scope.READ), response={200: StartupOut, **ERRORS}
)
def read_startup(request: HttpRequest, startup_id: UUID) -> Startup:
    """One startup."""
    return get_startup(startup_id)


def _put(members: list[StartupMemberIn]) -> list[PutResult]:
    return put_startups([(each.id, each.model_dump(exclude_unset=True, exclude={"id"})) for each in members])
