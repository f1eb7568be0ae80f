"""Users: put by id, one or many, and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router
from ninja.responses import Status

from accounts.auth import Caller, services, services_and_people
from accounts.models import ApiKey, User
from accounts.schemas import InterestsIn, UserIn, UserMemberIn, UserOut
from accounts.services import put_users
from config.api_batches import body_docs, parse_member, read_json, read_members
from config.puts import PutResult, PutStatus, batch_answer, put_sound_members, raise_if_rejected
from config.schemas import BatchOut, ErrorOut
from interactions.selectors import interaction_count
from recsys.errors import NotFoundError

router = Router(tags=["users"])

ERRORS = {(400, 401, 403, 404, 413, 422): ErrorOut}


@router.put(
    "",
    auth=services(ApiKey.Scope.WRITE),
    response={200: BatchOut, **ERRORS},
    openapi_extra=body_docs(key="users", member=UserMemberIn),
)
def put_many_users(request: HttpRequest) -> Mapping[str, Any]:
    """Create or change up to 1,000 users; a refused one spoils no other."""
    members = [parse_member(UserMemberIn, member) for member in read_members(read_json(request), "users")]
    return batch_answer(put_sound_members(members, _put))


@router.put("/{user_id}", auth=services(ApiKey.Scope.WRITE), response={(200, 201): UserOut, **ERRORS})
def put_user(request: HttpRequest, user_id: UUID, payload: UserIn) -> Status[Mapping[str, Any]]:
    """Create a user (201) or change one (200); fields left out stay as they are."""
    (result,) = put_users([(user_id, payload.model_dump(exclude_unset=True))])
    raise_if_rejected(result)
    return Status(201 if result.status is PutStatus.CREATED else 200, _shown(user_id))


@router.get("/{user_id}", auth=services_and_people(ApiKey.Scope.READ), response={200: UserOut, **ERRORS})
def get_user(request: HttpRequest, user_id: UUID) -> Mapping[str, Any]:
    """One user, with the number of startups they acted on."""
    caller: Caller = request.auth
    caller.check_may_act_for(user_id)
    return _shown(user_id)


@router.put(
    "/{user_id}/interests", auth=services_and_people(ApiKey.Scope.WRITE), response={200: UserOut, **ERRORS}
)
def put_interests(request: HttpRequest, user_id: UUID, payload: InterestsIn) -> Mapping[str, Any]:
    """Replace what a user says they care about; the next recommendations follow it."""
    caller: Caller = request.auth
    caller.check_may_act_for(user_id)
    _find(user_id)
    put_users([(user_id, {"interests": payload.interests})])
    return _shown(user_id)


def _put(members: list[UserMemberIn]) -> list[PutResult]:
    return put_users([(each.id, each.model_dump(exclude_unset=True, exclude={"id"})) for each in members])


def _find(user_id: UUID) -> User:
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFoundError(f"No user has id {user_id}; create them with PUT /users/{user_id}.")
    return user


def _shown(user_id: UUID) -> Mapping[str, Any]:
    user = _find(user_id)
    fields = ("id", "username", "email", "interests", "opted_out", "date_joined")
    return {**{name: getattr(user, name) for name in fields}, "interaction_count": interaction_count(user_id)}
