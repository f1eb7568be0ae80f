"""One pass over the event log that tells what there is to learn from, kept as a row.

Everything is derived from two distributions: how many users have n startups, and how many startups have
n users and n acts. They are small whatever the log's size, so the page is drawn from them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, Self

from django.db import connection, transaction
from django.utils import timezone

from dashboard.models import DataSummary

WORK_MEM = "128MB"
COLD_STARTUP_BELOW = 5  # acts
# A pass over a large log takes long and changes little: one is made when this many times its length
# have gone by, so that passes take a hundredth of the time at most.
REST = 100
RANK_SHARES = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)

# A cell is a user and a startup with an act that is not taken back. Users and startups without any
# are counted too: they are who the system knows least of.
SUMMARY_SQL = """
WITH cells AS MATERIALIZED (
    SELECT user_id, startup_id, count(*) AS acts, count(*) FILTER (WHERE type = 'dislike') AS dislikes,
           count(*) FILTER (WHERE type NOT IN ('view', 'click')) AS explicit
    FROM interactions_userinteraction
    WHERE retracted_at IS NULL
    GROUP BY user_id, startup_id
), of_user AS (
    SELECT count(*) AS startups FROM cells GROUP BY user_id
), of_startup AS (
    SELECT count(*) AS users, sum(acts)::bigint AS acts FROM cells GROUP BY startup_id
)
SELECT
    (SELECT count(*) FROM accounts_user),
    (SELECT count(*) FROM startups_startup),
    (SELECT count(*) FROM cells),
    (SELECT COALESCE(sum(acts), 0)::bigint FROM cells),
    (SELECT COALESCE(sum(explicit), 0)::bigint FROM cells),
    (SELECT COALESCE(sum(dislikes), 0)::bigint FROM cells),
    (SELECT count(*) FROM cells WHERE dislikes > 0),
    (SELECT jsonb_agg(jsonb_build_array(startups, n) ORDER BY startups)
        FROM (SELECT startups, count(*) AS n FROM of_user GROUP BY 1) d),
    (SELECT jsonb_agg(jsonb_build_array(users, n) ORDER BY users)
        FROM (SELECT users, count(*) AS n FROM of_startup GROUP BY 1) d),
    (SELECT jsonb_agg(jsonb_build_array(acts, n) ORDER BY acts)
        FROM (SELECT acts, count(*) AS n FROM of_startup GROUP BY 1) d)
"""

# (size, how many are of that size), by size
Distribution = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What one pass found."""

    n_users: int
    n_startups: int
    n_cells: int
    n_acts: int
    n_explicit: int
    n_dislikes: int
    n_disliked_cells: int
    startups_of_users: Distribution  # users with acts only
    users_of_startups: Distribution  # startups with acts only
    acts_of_startups: Distribution  # startups with acts only

    def to_json(self) -> dict[str, Any]:
        """As a row keeps it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        """As a row kept it."""
        return cls(**facts)

    @property
    def n_active_users(self) -> int:
        """Users with at least one act."""
        return sum(n for _, n in self.startups_of_users)

    @property
    def n_startups_with_acts(self) -> int:
        """Startups with at least one act."""
        return sum(n for _, n in self.acts_of_startups)

    @property
    def n_cold_startups(self) -> int:
        """Startups with fewer acts than a recommender can learn much from, those without any included."""
        known = sum(n for acts, n in self.acts_of_startups if acts >= COLD_STARTUP_BELOW)
        return self.n_startups - known

    @property
    def density(self) -> float | None:
        """Cells over users with acts x startups with acts: the matrix that is trained on."""
        size = self.n_active_users * self.n_startups_with_acts
        return self.n_cells / size if size else None

    def users_by_tier(self, *, cold_below: int, hot_from: int) -> dict[str, int]:
        """Who gets which recommender; users without acts are cold."""
        warm = sum(n for size, n in self.startups_of_users if cold_below <= size < hot_from)
        hot = sum(n for size, n in self.startups_of_users if size >= hot_from)
        return {"cold": self.n_users - warm - hot, "warm": warm, "hot": hot}


def summarize_data_when_due(*, now: datetime | None = None) -> DataSummary | None:
    """A new pass, unless the last one was a moment ago for its length."""
    now = now or timezone.now()
    last = DataSummary.objects.only("computed_at", "seconds").first()
    if last is not None and now < last.computed_at + timedelta(seconds=REST * last.seconds):
        return None
    return summarize_data(now=now)


def summarize_data(*, now: datetime | None = None) -> DataSummary:
    """Read the event log once and keep what it told."""
    started_s = time.monotonic()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL work_mem = '{WORK_MEM}'")
        cursor.execute(SUMMARY_SQL)
        *counts, users, startups, acts = cursor.fetchone()
    facts = Facts(*counts, *(_distribution(each) for each in (users, startups, acts)))
    row, _ = DataSummary.objects.update_or_create(
        pk=DataSummary.SINGLETON_ID,
        defaults={
            "computed_at": now or timezone.now(),
            "seconds": time.monotonic() - started_s,
            "facts": facts.to_json(),
        },
    )
    return row


def stored_summary() -> tuple[DataSummary, Facts] | None:
    """The last one, if there ever was one."""
    row = DataSummary.objects.first()
    return (row, Facts.from_json(row.facts)) if row else None


def log_bins(distribution: Distribution) -> list[tuple[str, int]]:
    """(label, how many) in bins that double: 1, 2-3, 4-7, and so on to the largest."""
    largest = max((size for size, _ in distribution), default=0)
    counts = [0] * largest.bit_length()
    for size, n in distribution:
        counts[size.bit_length() - 1] += n
    return [(_bin_label(place), n) for place, n in enumerate(counts)]


def popularity_curve(distribution: Distribution, n_startups: int) -> list[tuple[float, float]]:
    """(share of all startups, share of all acts on them), the most acted on first."""
    from_the_top = list(reversed(distribution))
    total = sum(acts * n for acts, n in from_the_top)
    if not total:
        return []
    ranks = list(accumulate((n for _, n in from_the_top), initial=0))
    sums = list(accumulate((acts * n for acts, n in from_the_top), initial=0))
    return [(share, _acts_down_to(share * n_startups, ranks, sums) / total) for share in RANK_SHARES]


def _acts_down_to(rank: float, ranks: Sequence[int], sums: Sequence[int]) -> float:
    """Startups of the same size are alike, so within a step the acts grow evenly."""
    for place in range(1, len(ranks)):
        if rank <= ranks[place]:
            part = (rank - ranks[place - 1]) / (ranks[place] - ranks[place - 1])
            return sums[place - 1] + part * (sums[place] - sums[place - 1])
    return sums[-1]


def _distribution(packed: str | None) -> list[tuple[int, int]]:
    return [(size, n) for size, n in json.loads(packed or "[]")]


def _bin_label(place: int) -> str:
    first, last = 2**place, 2 ** (place + 1) - 1
    return f"{first:,}" if first == last else f"{first:,}-{last:,}"
