"""What callers send and get at the addresses of `question_views`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from inference_api.schemas import ListQuery, OutsideId, StartupList, SteeredBody, SteeredQuery
from recsys.serving.session import MAX_SESSION_STARTUPS, MAX_WEIGHT
from recsys.serving.steering import MAX_LIMIT

MAX_INTERESTS = 50
Interest = Annotated[str, Field(min_length=1, max_length=100)]
Signal = Literal["view", "click", "like", "dislike", "favorite", "apply", "interest"]
Weight = Annotated[float, Field(ge=-MAX_WEIGHT, le=MAX_WEIGHT, allow_inf_nan=False)]


class SimilarQuery(ListQuery):
    """To what, and by whom."""

    startup_id: OutsideId = Field(description="The startup to compare with.")
    method: Literal["als", "two_tower", "content", "blend"] = Field(
        default="blend", description="Compare by this model alone; an error if it cannot."
    )


class AudienceQuery(ListQuery):
    """Of what."""

    startup_id: OutsideId = Field(description="The startup people may act on.")
    limit: int = Field(default=10, ge=1, le=MAX_LIMIT, description="How many users at most.")


class ExplainQuery(SteeredQuery):
    """What for whom, in which list."""

    user_id: OutsideId = Field(description="Whose list.")
    startup_id: OutsideId = Field(description="Any startup, offered or not.")
    limit: int = Field(default=MAX_LIMIT, ge=1, le=MAX_LIMIT, description="Of the list `rank` counts in.")


class SessionBody(SteeredBody):
    """What a visitor did, and what is asked of the list."""

    startup_ids: list[OutsideId] = Field(
        max_length=MAX_SESSION_STARTUPS,
        description="The startups of the visit, the latest last; one that comes twice counts once.",
    )
    types: dict[OutsideId, Signal] = Field(
        default_factory=dict, description="What was done to some of them; by default a click."
    )
    weights: dict[OutsideId, Weight] = Field(
        default_factory=dict,
        description="What that is worth instead of its signal's weight; below 0 it was a dislike.",
    )
    interests: list[Interest] = Field(
        default_factory=list, max_length=MAX_INTERESTS, description="In the visitor's own words."
    )


class ForVisitor(BaseModel):
    """Whom a list is for."""

    user_id: None = Field(description="Always null.")
    interaction_count: int = Field(description="The startups sent that are known here.")


class SessionList(StartupList, ForVisitor):
    """A list for a visitor nobody knows."""

    ignored: list[str] = Field(description="Ids sent that are no startup here.")


class LikelyUser(BaseModel):
    """One place of an audience."""

    user_id: str
    rank: int = Field(description="From 1, the likeliest.")
    score: float = Field(description="Between 0 and 1; falls with the rank.")


class UserList(BaseModel):
    """The users most likely to act on a startup."""

    startup_id: str
    users: list[LikelyUser]
    method_used: str = Field(description="als, or content for a startup als does not know.")
    model_version: str = Field(description="Users and their taste are as of this release.")
    degraded: str | None = Field(description="What stood in the way of a better answer, if anything.")


class KeptOut(BaseModel):
    """A rule that keeps a startup out of a list."""

    rule: Literal["inactive", "own", "disliked", "acted_on", "excluded", "filter"]
    why: str


class ActPart(BaseModel):
    """A startup the user acted on."""

    startup_id: str
    name: str
    did: Signal | None = Field(description="The strongest type of act, where known.")
    weight: float
    share: float = Field(description="Of the raw score.")
    effect: float = Field(
        description="How far the raw score would fall without this act; below 0 it would rise."
    )


class InterestPart(BaseModel):
    """The user's stated interests together."""

    stated: list[str]
    closest: str = Field(description="The one most like the startup.")
    share: float = Field(description="Of the raw score.")


class TermPart(BaseModel):
    """A tag or a word the startup shares with what the user chose or stated."""

    term: str
    share: float = Field(description="Of the raw score; a second way to tell the acts and interests.")


class PopularityPart(BaseModel):
    """The users who liked the startup by the time of the release."""

    users: int
    recent_users: float = Field(description="The same, each halved every `half_life_days`.")
    half_life_days: float
    share: float = Field(description="Of the raw score.")


class LoweredPart(BaseModel):
    """The disliked startup most like this one."""

    startup_id: str
    name: str
    amount: float = Field(description="What the raw score lost for it.")


class Explained(BaseModel):
    """Where a startup stands for a user, and what its score is made of.

    `raw_score` is the shares of `acts`, `interests`, `popularity` and `other`, less `lowered`.
    """

    user_id: str
    interaction_count: int
    startup_id: str
    name: str
    offered: bool = Field(description="Whether no rule keeps it out; it may still be too low for the list.")
    kept_out_by: list[KeptOut]
    rank: int | None = Field(description="Its place in the list; null when it is not in it.")
    overall_rank: int = Field(
        description="By the raw score among all startups that may be offered and that `source` knows; of one "
        "that is kept out, as if it alone were let in."
    )
    n_candidates: int = Field(description="Of how many, itself among them.")
    n_users: int | None = Field(
        description="The users who had acted on it by the release; null when the release does not know it."
    )
    score: float = Field(description="Between 0 and 1, as in a list.")
    method_used: str = Field(description="Who made the list.")
    source: str = Field(description="Who scores this startup.")
    reason: str
    model_version: str
    degraded: str | None
    raw_score: float = Field(description="What lists are ordered by; not comparable between recommenders.")
    acts: list[ActPart] = Field(description="At most 50, the largest effects first.")
    interests: InterestPart | None
    tags: list[TermPart]
    words: list[TermPart]
    popularity: PopularityPart | None
    lowered: LoweredPart | None
    other: float = Field(description="What no part accounts for.")
