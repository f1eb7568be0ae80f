"""What callers send and get, checked and documented by the same models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from recsys.datasets.id_map import MAX_ID_LENGTH
from recsys.serving.seen import parse_seen_policy
from recsys.serving.steering import MAX_EXCLUDED, MAX_LIMIT, MAX_VALUES, Steering, parse_created_after

Values = Annotated[list[str], Field(max_length=MAX_VALUES)]

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


class Steered(ListQuery):
    """What is asked of a list; alike in an address and in a body."""

    created_after: str | None = Field(
        default=None,
        description="Only startups created after this: 2026-11-22, or 2026-11-22T10:00:00Z; UTC where no "
        "zone is named.",
    )
    diversity: float = Field(
        default=0.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="0: the plain list. Above, startups give way to others that suit less and are less like "
        "those before them; at 1 likeness alone counts.",
    )
    method: Literal["content", "als", "two_tower", "ensemble", "popularity"] | None = Field(
        default=None,
        description="Ask this recommender alone, whatever the user did; an error if it cannot answer. No "
        "other fills up the list, and no place is kept for new startups.",
    )
    seen: str | None = Field(
        default=None,
        description="After how many days a startup comes back that the user acted on, by type of act: "
        "view:7,click:30. The longest of the types done counts; 0 hides nothing, a type left out hides for "
        "ever, and a disliked startup never comes back. Default: SEEN_POLICY of the service.",
    )

    def steering(
        self,
        exclude: Sequence[str],
        industry: Sequence[str],
        country: Sequence[str],
        stage: Sequence[str],
    ) -> Steering:
        """What the core is asked.

        Raises:
            InvalidRequestError: a value cannot be read, or is out of its range.
        """
        return Steering(
            limit=self.limit,
            exclude=[as_stored(startup_id) for startup_id in exclude],
            industry=industry,
            country=country,
            stage=stage,
            created_after=None if self.created_after is None else parse_created_after(self.created_after),
            diversity=self.diversity,
            method=self.method,
            seen=None if self.seen is None else parse_seen_policy(self.seen),
        )


class SteeredQuery(Steered):
    """An address; a list is comma-separated, its parameter may be repeated."""

    exclude: str = Field(
        default="",
        description="Startup ids not to show: comma-separated, may be repeated. An address holds some 200 "
        f"UUIDs; POST takes {MAX_EXCLUDED:,}.",
    )
    industry: str = Field(
        default="",
        description="Only startups with one of these industries: comma-separated, may be repeated.",
    )
    country: str = Field(
        default="",
        description="Only startups of one of these countries, in any case: comma-separated, may be repeated.",
    )
    stage: str = Field(
        default="",
        description="Only startups at one of these stages, in any case: comma-separated, may be repeated.",
    )


class RecommendQuery(SteeredQuery):
    """For whom."""

    user_id: OutsideId = Field(description="Whom to recommend to; a UUID in any case.")


class SteeredBody(Steered):
    """A body; lists are lists."""

    exclude: list[str] = Field(
        default_factory=list, max_length=MAX_EXCLUDED, description="Startup ids not to show."
    )
    industry: Values = Field(
        default_factory=list, description="Only startups with one of these industries, in any case."
    )
    country: Values = Field(
        default_factory=list, description="Only startups of one of these countries, in any case."
    )
    stage: Values = Field(
        default_factory=list, description="Only startups at one of these stages, in any case."
    )


class RecommendBody(SteeredBody):
    """For whom."""

    user_id: OutsideId = Field(description="Whom to recommend to; a UUID in any case.")


class RankedStartup(BaseModel):
    """One place of a list."""

    id: str
    rank: int = Field(description="From 1, the best.")
    score: float = Field(
        description="Between 0 and 1; falls with the rank, unless `diversity` has put another order."
    )
    source: str = Field(
        description="The recommender that filled this place, or `new`: a place kept for a new startup."
    )
    reason: str = Field(description="Why it is here, in a few words.")


class StartupList(BaseModel):
    """A list and how it came about."""

    startups: list[RankedStartup]
    method_used: str = Field(
        description="The recommender that really made the list; where it knew too few startups the others "
        "filled up, see `source`."
    )
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
    cold_below: int = Field(description="With fewer startups acted on, content answers.")
    hot_from: int = Field(description="From so many on, the ensemble answers; als between.")


class Error(BaseModel):
    """Every error has this shape."""

    error: str = Field(description="A code for programs.")
    message: str = Field(description="What is wrong and how to mend it.")
    detail: dict[str, object]
