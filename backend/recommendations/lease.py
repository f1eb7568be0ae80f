"""The right to train: one holder at a time, by PostgreSQL's clock, under a token that only grows.

Who held it before and comes back late has a smaller token, and every write of a run asks for its
token, so a process that was given up for dead cannot spoil its successor's work.
"""

from __future__ import annotations

from django.db import connection

from recommendations.models import TrainingLease
from recsys.errors import RecsysError

NAME = "training"
LEASE_S = 120.0

TAKE_SQL = """
INSERT INTO recommendations_traininglease AS lease (name, run_id, fencing_token, expires_at)
VALUES (%(name)s, %(run_id)s, 1, clock_timestamp() + %(seconds)s * interval '1 second')
ON CONFLICT (name) DO UPDATE
    SET run_id = EXCLUDED.run_id, fencing_token = lease.fencing_token + 1, expires_at = EXCLUDED.expires_at
    WHERE lease.expires_at <= clock_timestamp()
RETURNING fencing_token
"""
EXTEND_SQL = """
UPDATE recommendations_traininglease SET expires_at = clock_timestamp() + %(seconds)s * interval '1 second'
WHERE name = %(name)s AND fencing_token = %(token)s
"""

HELD_SQL = """
SELECT EXISTS (
    SELECT FROM recommendations_traininglease
    WHERE name = %(name)s AND expires_at > clock_timestamp()
        AND (%(token)s::bigint IS NULL OR fencing_token = %(token)s)
)
"""


class LeaseLostError(RecsysError):
    """Another process has taken over; whoever gets this must stop without writing."""

    code = "lease_lost"


def take_lease(run_id: int) -> int | None:
    """The token when the lease is free or expired, None when somebody holds it."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE_SQL, {"name": NAME, "run_id": run_id, "seconds": LEASE_S})
        row = cursor.fetchone()
    return row[0] if row else None


def is_held(token: int | None = None) -> bool:
    """Whether somebody holds the lease now; with a token, whether its holder does."""
    with connection.cursor() as cursor:
        cursor.execute(HELD_SQL, {"name": NAME, "token": token})
        return bool(cursor.fetchone()[0])


def renew_lease(token: int) -> None:
    """Hold it for another while.

    Raises:
        LeaseLostError: somebody else has it.
    """
    _extend(token, LEASE_S)


def end_lease(token: int) -> None:
    """Let the next one have it at once; nothing when it was lost before."""
    try:
        _extend(token, 0)
    except LeaseLostError:
        return


def check_lease(token: int) -> None:
    """Refuse to go on when somebody has taken over.

    Raises:
        LeaseLostError: somebody else has it.
    """
    if not TrainingLease.objects.filter(name=NAME, fencing_token=token).exists():
        raise _lost(token)


def hold_lease(token: int) -> None:
    """Within a transaction: until it ends nobody can take the lease over.

    Raises:
        LeaseLostError: somebody else has it.
    """
    own = TrainingLease.objects.select_for_update().filter(name=NAME, fencing_token=token)
    if own.first() is None:
        raise _lost(token)


def _extend(token: int, seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(EXTEND_SQL, {"name": NAME, "token": token, "seconds": seconds})
        if not cursor.rowcount:
            raise _lost(token)


def _lost(token: int) -> LeaseLostError:
    return LeaseLostError(
        f"Another training took over the lease of token {token}; this one stops.", token=token
    )
