"""What is read from the event log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from django.db import connection

from interactions.models import SignalWeights, UserInteraction
from recsys.datasets.weights import DEFAULT_WEIGHTS, SIGNALS


def current_weights() -> Mapping[str, float]:
    """What each signal is worth now: the operator's weights, or the defaults."""
    row = SignalWeights.objects.first()
    return row.by_type() if row else DEFAULT_WEIGHTS


# One active act as PostgreSQL packs it: no value of it is ever a Python object.
PACKED_ACT = np.dtype([("startup", "S16"), ("type", "u1"), ("occurred_at_us", ">i8"), ("id", ">i8")])
POSTGRES_EPOCH_S = datetime(2000, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class UserActs:
    """Everything a live profile is made of, as one snapshot of the database holds it."""

    user_id: UUID
    interests: list[str]
    opted_out: bool
    version: int  # a sum of counters that only grow: a later snapshot that differs has a larger one
    weights: Mapping[str, float]
    last_event_id: int
    acts: np.ndarray  # of PACKED_ACT, those not taken back


# One statement, hence one snapshot, for everything that makes up the version and the acts.
# A weights row that was never saved counts as version 0.
USER_ACTS_SQL = """
SELECT u.id, u.interests, u.opted_out,
       log.n_rows + log.n_retracted + u.profile_version + COALESCE(w.version, 0), to_jsonb(w),
       log.last_event_id, log.acts
FROM accounts_user u
LEFT JOIN interactions_signalweights w ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS n_rows,
           count(e.retracted_at) AS n_retracted,
           COALESCE(max(e.id), 0) AS last_event_id,
           string_agg(
               uuid_send(e.startup_id)
                   || set_byte('\\x00', 0, array_position(%(signals)s::text[], e.type::text) - 1)
                   || timestamptz_send(e.occurred_at) || int8send(e.id),
               ''::bytea
           ) FILTER (WHERE e.retracted_at IS NULL) AS acts
    FROM interactions_userinteraction e
    WHERE e.user_id = u.id
) log
WHERE u.id = ANY(%(user_ids)s::uuid[])
"""


def acts_of_users(user_ids: Sequence[UUID]) -> list[UserActs]:
    """The acts of those of the users that exist, all from one snapshot."""
    with connection.cursor() as cursor:
        cursor.execute(USER_ACTS_SQL, {"signals": list(SIGNALS), "user_ids": list(user_ids)})
        return [_user_acts(row) for row in cursor]


def _user_acts(row: Sequence) -> UserActs:
    user_id, interests, opted_out, version, weights, last_event_id, packed = row
    acts = np.frombuffer(packed or b"", PACKED_ACT)
    return UserActs(user_id, interests, opted_out, version, _weights(weights), last_event_id, acts)


def _weights(row: str | None) -> Mapping[str, float]:
    if row is None:
        return DEFAULT_WEIGHTS
    columns = json.loads(row)
    return {name: columns[name] for name in SIGNALS}


def user_of_event(event_id: UUID) -> UUID | None:
    """Whose act it is; None when there is none."""
    return UserInteraction.objects.filter(event_id=event_id).values_list("user_id", flat=True).first()


def interaction_count(user_id: UUID) -> int:
    """Distinct startups with an active act of any type: what routing goes by."""
    acts = UserInteraction.objects.filter(user_id=user_id, retracted_at=None)
    return acts.values("startup_id").distinct().count()
