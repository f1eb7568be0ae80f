"""Events and active users a day, kept as rows so that no page counts the event log.

A day is counted anew when an act of it arrived, was taken back or was deleted since the last count:

- Arrived: row ids grow, but a transaction may commit an id below one that is visible already, so ids
  count as seen for good only once every transaction of that time has ended (`counted_id`). By
  `received_at` it would not do: importers and the demo write old times.
- Taken back: `retracted_at` since the last count, with a margin for clocks and for transactions that
  were open then.
- Deleted (an erasure): a trigger leaves the days in `DeletedActs` in the same transaction.

Once a day everything is counted anew, which mends what no rule foresaw (a TRUNCATE, rows changed by hand).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import date, datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from dashboard.models import ActivityCount, DailyActivity, DeletedActs
from recsys.datasets.weights import SIGNALS

logger = logging.getLogger(__name__)

MARGIN = timedelta(minutes=5)
EVERYTHING_EVERY = timedelta(days=1)
MANY_DAYS = 30  # beyond, one pass over the log costs less than going to each of them
WORK_MEM = "64MB"  # a day of hundreds of thousands of users is grouped without touching the disk

OLDEST_TRANSACTION_SQL = """
SELECT COALESCE(min(xact_start), clock_timestamp())
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
TOUCHED_DAYS_SQL = """
SELECT DISTINCT (occurred_at AT TIME ZONE 'UTC')::date
FROM interactions_userinteraction WHERE id > %(counted_id)s
UNION
SELECT DISTINCT (occurred_at AT TIME ZONE 'UTC')::date
FROM interactions_userinteraction WHERE retracted_at >= %(retractions_since)s
"""
# Everything put in comes from SIGNALS and from this module.
COUNT_SQL = """
SELECT day, count(*), {sums}
FROM (
    SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, user_id, {counts}
    FROM interactions_userinteraction
    WHERE retracted_at IS NULL AND {{where}}
    GROUP BY 1, 2
) of_user
GROUP BY day
""".format(  # noqa: S608
    sums=", ".join(f'sum("{name}")::bigint' for name in SIGNALS),
    counts=", ".join(f"count(*) FILTER (WHERE type = '{name}') AS \"{name}\"" for name in SIGNALS),
)
ONE_DAY = "occurred_at >= %(start)s AND occurred_at < %(end)s"


def count_activity(*, now: datetime | None = None) -> int | None:
    """Bring the rows of the touched days up to date; returns how many days, None when somebody is at it."""
    now = now or timezone.now()
    ActivityCount.objects.get_or_create(pk=ActivityCount.SINGLETON_ID)
    # Read before anything is counted: what was open then may still commit rows.
    oldest = _oldest_transaction()
    with transaction.atomic():
        count = ActivityCount.objects.select_for_update(skip_locked=True).first()
        if count is None:
            return None
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL work_mem = '{WORK_MEM}'")
        return _count(count, oldest, now)


def _count(count: ActivityCount, oldest: datetime, now: datetime) -> int:
    deleted = dict(DeletedActs.objects.values_list("pk", "day"))
    seen_id, seen_at = _highest_id()
    is_old = count.all_counted_at is None or count.all_counted_at <= now - EVERYTHING_EVERY
    days = set() if is_old else _touched_days(count) | set(deleted.values())
    if is_old or len(days) > MANY_DAYS:
        n_days = _count_everything()
        count.all_counted_at = now
    else:
        n_days = _count_days(days)
    DeletedActs.objects.filter(pk__in=deleted).delete()
    if count.seen_at is None or count.seen_at < oldest:
        # Whatever was open at the last mark has ended, and this count saw what it left.
        count.counted_id = count.seen_id
        count.seen_id, count.seen_at = seen_id, seen_at
    count.retractions_since = min(oldest, now) - MARGIN
    count.counted_at = now
    count.save()
    return n_days


def _oldest_transaction() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_TRANSACTION_SQL)
        return cursor.fetchone()[0]


def _highest_id() -> tuple[int, datetime]:
    """The highest visible row id, and PostgreSQL's time once it was known: ids up to it were taken before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(max(id), 0), clock_timestamp() FROM interactions_userinteraction")
        return cursor.fetchone()


def _touched_days(count: ActivityCount) -> set[date]:
    with connection.cursor() as cursor:
        cursor.execute(
            TOUCHED_DAYS_SQL,
            {"counted_id": count.counted_id, "retractions_since": count.retractions_since},
        )
        return {row[0] for row in cursor}


def _count_everything() -> int:
    rows = _rows("true", {})
    DailyActivity.objects.exclude(day__in=[row.day for row in rows]).delete()
    _store(rows)
    return len(rows)


def _count_days(days: Iterable[date]) -> int:
    n_days = 0
    for day in days:
        rows = _rows(ONE_DAY, {"start": f"{day}T00:00:00Z", "end": f"{day + timedelta(days=1)}T00:00:00Z"})
        if rows:
            _store(rows)
        else:
            DailyActivity.objects.filter(day=day).delete()
        n_days += 1
    return n_days


def _rows(where: str, parameters: dict[str, str]) -> list[DailyActivity]:
    with connection.cursor() as cursor:
        cursor.execute(COUNT_SQL.format(where=where), parameters)
        return [
            DailyActivity(day=day, active_users=users, events=dict(zip(SIGNALS, counts, strict=True)))
            for day, users, *counts in cursor
        ]


def _store(rows: list[DailyActivity]) -> None:
    DailyActivity.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["day"], update_fields=["events", "active_users"]
    )
