"""What the users endpoints read and answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from ninja import Schema
from pydantic import AfterValidator, Field

from accounts.models import MAX_INTEREST_LENGTH, MAX_INTERESTS
from config.schemas import StrictSchema, Text


def _username(name: str) -> str:
    try:
        UnicodeUsernameValidator()(name)
    except ValidationError as error:
        raise ValueError(error.messages[0]) from error
    return name


def _email(address: str) -> str:
    try:
        if address:
            validate_email(address)
    except ValidationError as error:
        raise ValueError(error.messages[0]) from error
    return address


def _tidy(words: list[str]) -> list[str]:
    """Without blanks, each once whatever its case, in the caller's order."""
    tidy: dict[str, str] = {}
    for word in filter(None, (word.strip() for word in words)):
        tidy.setdefault(word.casefold(), word)
    return list(tidy.values())


Interests = Annotated[
    list[Annotated[Text, Field(max_length=MAX_INTEREST_LENGTH)]],
    Field(max_length=MAX_INTERESTS),
    AfterValidator(_tidy),
]


class UserIn(StrictSchema):
    """A user. A field left out stays as it is; a new user gets its default."""

    username: Annotated[Text, Field(max_length=150), AfterValidator(_username)] = Field(
        "", description="Unique; a new user without one gets their id."
    )
    email: Annotated[Text, Field(max_length=254), AfterValidator(_email)] = ""
    interests: Interests = Field(
        default_factory=list, description="What they care about, in their own words."
    )
    opted_out: bool = Field(False, description="True: not learned from, answered without personalization.")


class UserMemberIn(UserIn):
    """A user in a batch."""

    id: UUID


class InterestsIn(StrictSchema):
    """All of a user's interests, in place of those before."""

    interests: Interests


class UserOut(Schema):
    """A user. `interaction_count` is what routing goes by: distinct startups with an active act."""

    id: UUID
    username: str
    email: str
    interests: list[str]
    opted_out: bool
    date_joined: datetime
    interaction_count: int
