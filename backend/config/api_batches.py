"""Requests that carry one member or up to a thousand, of which a bad one spoils no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic
from django.http import HttpRequest
from ninja.parser import Parser
from pydantic_core import from_json

from config.api_errors import ApiError, describe_errors

MAX_BATCH = 1000

SchemaT = TypeVar("SchemaT", bound=pydantic.BaseModel)


def read_json(request: HttpRequest) -> Any:
    """The body as JSON, strictly: no NaN, no Infinity, no half characters.

    Raises:
        ApiError: it is not JSON.
    """
    if not request.body:
        raise ApiError(
            400, "invalid_json", "The body is empty; send JSON with its Content-Length (not chunked)."
        )
    try:
        return from_json(request.body, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(
            400, "invalid_json", f"The body is not JSON ({error}); send JSON in UTF-8, without NaN."
        ) from error


class StrictJsonParser(Parser):
    """Ninja's parser, strict about JSON."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Read the body."""
        return read_json(request)


def read_members(payload: Any, key: str) -> list[Any]:
    """The members of a batch: a list, or an object with the list under `key`.

    Raises:
        ApiError: neither of the two, empty, or more than a batch may hold.
    """
    members = payload.get(key) if isinstance(payload, Mapping) else payload
    if not isinstance(members, list):
        raise ApiError(422, "invalid_batch", f'Send a list, or an object {{"{key}": [...]}}.')
    if not members:
        raise ApiError(422, "empty_batch", "The batch is empty; send at least one member.")
    if len(members) > MAX_BATCH:
        raise ApiError(
            422,
            "batch_too_large",
            f"The batch has {len(members):,} members; send at most {MAX_BATCH:,} at once.",
            members=len(members),
            limit=MAX_BATCH,
        )
    return members


def parse_member(schema: type[SchemaT], member: Any) -> SchemaT | ApiError:
    """One member by its schema, or what is wrong with it."""
    try:
        return schema.model_validate(member)
    except pydantic.ValidationError as error:
        message, fields = describe_errors(
            error.errors(include_url=False, include_input=False, include_context=False)
        )
        return ApiError(422, "invalid_request", f"{message}. See /api/v1/docs.", fields=fields)


def body_docs(
    *alternatives: type[pydantic.BaseModel], key: str, member: type[pydantic.BaseModel]
) -> dict[str, Any]:
    """The `openapi_extra` of an endpoint that reads its body itself."""
    batch = {"type": "array", "items": _schema(member), "maxItems": MAX_BATCH}
    wrapped = {"type": "object", "properties": {key: batch}, "required": [key]}
    choices = [*(_schema(alternative) for alternative in alternatives), wrapped, batch]
    content = {"application/json": {"schema": {"anyOf": choices}}}
    return {"requestBody": {"required": True, "content": content}}


def _schema(schema: type[pydantic.BaseModel]) -> dict[str, Any]:
    return schema.model_json_schema()
