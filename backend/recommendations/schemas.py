"""What the recommendations endpoint reads and answers."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from ninja import Schema
from pydantic import Field

from config.schemas import Text
from startups.schemas import StartupOut


class RecommendationQuery(Schema):
    """The options of an answer; the inference service reads them, and refuses what it cannot."""

    limit: Annotated[int, Field(ge=1, le=100)] = 10
    exclude: list[UUID] = Field(
        default_factory=list, max_length=1000, description="Startups to leave out; may be repeated."
    )
    industry: list[Text] = Field(
        default_factory=list, description="Only these industries, in any case: comma-separated, or repeated."
    )
    country: list[Text] = Field(
        default_factory=list, description="Only these countries, in any case: comma-separated, or repeated."
    )
    stage: list[Text] = Field(
        default_factory=list, description="Only these stages, in any case: comma-separated, or repeated."
    )
    created_after: Text | None = Field(
        None, description="Only startups created after this: 2026-11-22, or 2026-11-22T10:00:00Z."
    )
    diversity: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        0.0, description="0: the plain list; up to 1, startups less like each other."
    )
    method: Text | None = Field(None, description="Asks one recommender alone, to compare.")
    seen: Text | None = Field(
        None,
        description="After how many days startups acted on come back, by type of act: view:7,click:30. A "
        "type left out hides for ever.",
    )


class RecommendedStartupOut(Schema):
    """One recommended startup; `score` is between 0 and 1 and only its order means something.

    `source` is the recommender that filled this place, or `new`: a place kept for a new startup.
    """

    id: UUID
    rank: int
    score: float
    source: str
    reason: str
    startup: StartupOut


class RecommendationsOut(Schema):
    """A list for a user. An act that follows from it should carry `recommendation_id` in its context."""

    user_id: UUID
    startups: list[RecommendedStartupOut]
    method_used: str
    interaction_count: int
    model_version: str
    recommendation_id: str
    degraded: str | None = Field(description="What stood in the way of a better answer, if anything.")
