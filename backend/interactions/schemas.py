"""What the interactions endpoints read and answer."""

from __future__ import annotations

from uuid import UUID

from ninja import Schema
from pydantic import Field

from config.schemas import Context, Moment, StrictSchema, Text
from interactions.services import NewEvent
from recsys.datasets.weights import SIGNALS


class EventIn(StrictSchema):
    """One act."""

    event_id: UUID | None = Field(
        None, description="The same id sent twice is one act; left out: one is made."
    )
    user_id: UUID | None = Field(None, description="Left out by a person with a session: themselves.")
    startup_id: UUID
    type: Text = Field(description=f"One of {', '.join(SIGNALS)}.")
    occurred_at: Moment | None = Field(None, description="When it was done; left out: now.")
    context: Context = Field(default_factory=dict, description="surface, session, recommendation_id, ...")

    def as_event(self, user_id: UUID) -> NewEvent:
        """The act for `record_events`."""
        return NewEvent(
            user_id=user_id,
            startup_id=self.startup_id,
            type=self.type,
            event_id=self.event_id,
            occurred_at=self.occurred_at,
            context=self.context,
        )


class EventOut(Schema):
    """A recorded act."""

    event_id: UUID
    status: str


class EventResultOut(Schema):
    """What became of one act of a batch."""

    index: int
    event_id: UUID | None
    status: str
    error: str | None = None
    message: str | None = None


class EventBatchOut(Schema):
    """What became of a batch of acts, in its order."""

    created: int
    duplicate: int
    conflict: int
    rejected: int
    results: list[EventResultOut]


class RetractionOut(Schema):
    """An act taken back; `retracted_now` is false when it was before."""

    event_id: UUID
    retracted_now: bool
