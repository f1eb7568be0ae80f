"""What the startups endpoints read and answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, Field

from config.schemas import Moment, StrictSchema, Text
from startups.models import MAX_TAG_LENGTH, MAX_TAGS

MAX_TEXT = 20_000
MAX_INTEGER = 2_147_483_647


def _web_address(address: str) -> str:
    if address and not address.startswith(("http://", "https://")):
        raise ValueError("start it with http:// or https://")
    return address


Short = Annotated[Text, Field(max_length=100)]


class StartupIn(StrictSchema):
    """A startup. A field left out stays as it is; a new startup needs a name."""

    name: Annotated[Text, Field(min_length=1, max_length=255)] = ""
    short_description: Annotated[Text, Field(max_length=1000)] = ""
    long_description: Annotated[Text, Field(max_length=MAX_TEXT)] = ""
    tags: Annotated[list[Annotated[Text, Field(max_length=MAX_TAG_LENGTH)]], Field(max_length=MAX_TAGS)] = (
        Field(default_factory=list)
    )
    industry: Short = ""
    country: Short = ""
    city: Annotated[Text, Field(max_length=255)] = ""
    stage: Short = ""
    team_size: Annotated[int, Field(ge=0, le=MAX_INTEGER)] | None = None
    website: Annotated[Text, Field(max_length=500), AfterValidator(_web_address)] = ""
    owner_id: UUID | None = Field(None, description="A user, who never gets it recommended.")
    is_active: bool = Field(True, description="False: never recommended.")
    created_at: Moment | None = Field(None, description="When it was founded or listed; a new one: now.")


class StartupMemberIn(StartupIn):
    """A startup in a batch."""

    id: UUID


class StartupOut(Schema):
    """A startup."""

    id: UUID
    name: str
    short_description: str
    long_description: str
    tags: list[str]
    industry: str
    country: str
    city: str
    stage: str
    team_size: int | None
    website: str
    owner_id: UUID | None
    is_active: bool
    created_at: datetime
    updated_at: datetime


class StartupQuery(Schema):
    """Which startups, newest first, and where to go on."""

    name: Text = Field("", description="A part of the name, in any case.")
    industry: Text | None = None
    country: Text | None = None
    stage: Text | None = None
    tag: Text | None = None
    owner_id: UUID | None = None
    is_active: bool | None = True
    created_after: Moment | None = None
    after: str = Field("", description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class StartupPage(Schema):
    """A page; `next` goes into `after`, null at the end."""

    startups: list[StartupOut]
    next: str | None
