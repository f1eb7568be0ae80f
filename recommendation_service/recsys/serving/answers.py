"""What callers get back, the same over HTTP and from Python."""

from __future__ import annotations

import dataclasses
import secrets
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class RankedStartup:
    """One place of a list; `score` is between 0 and 1, and 1 is the first `rank`."""

    id: str
    rank: int
    score: float
    source: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The place as plain values."""
        return {
            "id": self.id,
            "rank": self.rank,
            "score": self.score,
            "source": self.source,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class RankedList:
    """A list with who made it (`method_used`) and, in `degraded`, what stood in the way."""

    startups: tuple[RankedStartup, ...]
    method_used: str
    model_version: str
    recommendation_id: str
    degraded: str | None

    def to_json(self) -> dict[str, Any]:
        """The list as plain values."""
        return {
            "startups": [startup.to_json() for startup in self.startups],
            "method_used": self.method_used,
            "model_version": self.model_version,
            "recommendation_id": self.recommendation_id,
            "degraded": self.degraded,
        }


@dataclass(frozen=True, slots=True)
class Answer(RankedList):
    """A list for one user, who had acted on `interaction_count` startups."""

    user_id: str
    interaction_count: int

    def to_json(self) -> dict[str, Any]:
        """The list as plain values, for whom first."""
        return {
            "user_id": self.user_id,
            "interaction_count": self.interaction_count,
            **RankedList.to_json(self),
        }

    @classmethod
    def from_list(cls, made: RankedList, user_id: str, interaction_count: int) -> Self:
        """The same list as an answer for a user."""
        return cls(
            startups=made.startups,
            method_used=made.method_used,
            model_version=made.model_version,
            recommendation_id=made.recommendation_id,
            degraded=made.degraded,
            user_id=user_id,
            interaction_count=interaction_count,
        )


@dataclass(frozen=True, slots=True)
class SessionAnswer(RankedList):
    """A list for a visitor nobody knows; `ignored` are the ids sent that are no startup here."""

    interaction_count: int
    ignored: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The list as plain values, in the shape of an `Answer`."""
        return {
            "user_id": None,
            "interaction_count": self.interaction_count,
            **RankedList.to_json(self),
            "ignored": list(self.ignored),
        }


@dataclass(frozen=True, slots=True)
class LikelyUser:
    """One place of an audience; `score` is between 0 and 1, and 1 is the first `rank`."""

    user_id: str
    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class AudienceList:
    """The users most likely to act on a startup, with who says so and what stood in the way."""

    startup_id: str
    users: tuple[LikelyUser, ...]
    method_used: str
    model_version: str
    degraded: str | None

    def to_json(self) -> dict[str, Any]:
        """The list as plain values."""
        return {**_fields(self), "users": [_fields(user) for user in self.users]}


def make_recommendation_id(model_version: str, method: str) -> str:
    """A new id that tells release and method, so that an act naming it can be attributed.

    Neither part holds a dot, so the id is read from the left: version, method, the rest.
    """
    return f"{model_version}.{method}.{secrets.token_hex(8)}"


def join_reasons(*reasons: str | None) -> str | None:
    """What `degraded` says: every reason once, in order; None when there is none."""
    given = dict.fromkeys(reason for reason in reasons if reason)
    return "; ".join(given) or None


def _fields(made: AudienceList | LikelyUser) -> dict[str, Any]:
    """As `asdict`, without copying what cannot change."""
    return {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
