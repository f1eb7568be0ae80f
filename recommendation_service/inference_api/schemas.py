"""What callers send and get, checked and documented by the same models."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from recsys.datasets.id_map import MAX_ID_LENGTH
from recsys.serving.router import MAX_LIMIT

UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def as_stored(outside_id: str) -> str:
    """A UUID in lower case, as Django writes it; any other id as it came."""
    return outside_id.lower() if UUID.fullmatch(outside_id) else outside_id


OutsideId = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH), AfterValidator(as_stored)]


class Query(BaseModel):
    """A misspelt parameter is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")


class ListQuery(Query):
    """How long a list."""

    limit: int = Field(default=10, ge=1, le=MAX_LIMIT, description="How many startups at most.")


class RecommendQuery(ListQuery):
    """For whom."""

    user_id: OutsideId = Field(description="Whom to recommend to; a UUID in any case.")
    exclude: str = Field(
        default="", description="Startup ids not to show, comma-separated; the parameter may be repeated."
    )
    method: Literal["content", "als", "ensemble", "popularity"] | None = Field(
        default=None, description="Ask this recommender whatever the user did; an error if it cannot answer."
    )


class SimilarQuery(ListQuery):
    """To what."""

    startup_id: OutsideId = Field(description="The startup to compare with; a UUID in any case.")


class RankedStartup(BaseModel):
    """One place of a list."""

    id: str
    rank: int = Field(description="From 1, the best.")
    score: float = Field(description="Between 0 and 1; the order of the list.")
    source: str = Field(description="The recommender it came from.")
    reason: str = Field(description="Why it is here, in a few words.")


class StartupList(BaseModel):
    """A list and how it came about."""

    startups: list[RankedStartup]
    method_used: str = Field(description="The recommender that really made the list.")
    model_version: str
    recommendation_id: str = Field(description="To be sent along with acts on what was shown.")
    degraded: str | None = Field(description="What stood in the way of a better answer, if anything.")


class ForUser(BaseModel):
    """Whom a list is for."""

    user_id: str
    interaction_count: int = Field(description="Startups the user had acted on up to now.")


class Recommendations(StartupList, ForUser):
    """A list for one user; pydantic shows the fields of the last base first."""


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """What is served."""

    status: Literal["ready"] = "ready"
    model_version: str
    recommenders: list[str]
    release_failure: str | None = Field(description="Why a newer release is not served, if so.")
    live_store: Literal["synced", "not synced", "unavailable"]


class Error(BaseModel):
    """Every error has this shape."""

    error: str = Field(description="A code for programs.")
    message: str = Field(description="What is wrong and how to mend it.")
    detail: dict[str, object]
