"""What the recommendations endpoint reads and answers."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from ninja import Schema
from pydantic import Field

from config.schemas import Text
from startups.schemas import StartupOut


class RecommendationQuery(Schema):
    """The options of an answer."""

    limit: Annotated[int, Field(ge=1, le=100)] = 10
    exclude: list[UUID] = Field(default_factory=list, description="Startups to leave out; may be repeated.")
    method: Text | None = Field(None, description="Forces one recommender, to compare.")


class RecommendedStartupOut(Schema):
    """One recommended startup; `score` is between 0 and 1 and only its order means something."""

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
