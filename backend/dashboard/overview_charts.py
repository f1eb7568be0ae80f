"""The charts of the overview, drawn from summary rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from dashboard.answers import Answered, Minutes, answered_since, together
from dashboard.charts import Chart, Series
from dashboard.data_summary import Facts
from dashboard.models import DailyActivity
from recsys.datasets.weights import SIGNALS

DAYS = 60
PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
NO_COUNTS = "No act is counted yet. Beat sends the count every minute; it needs beat and the worker."
NO_ANSWERS = (
    "Nobody asked for recommendations in this span, or the counters were not read: "
    "that needs beat, the worker and the inference service."
)


@dataclass(frozen=True, slots=True)
class Span:
    """How far back answers are shown, and in which steps."""

    name: str
    words: str
    step: timedelta
    n_steps: int
    minutes: Minutes  # the rows it is put together from
    label: str  # strftime

    def starts(self, now: datetime) -> list[datetime]:
        """Of every step, the oldest first; the last one is not over yet."""
        seconds = self.step.total_seconds()
        last = now.timestamp() // seconds * seconds
        return [
            datetime.fromtimestamp(last - seconds * (self.n_steps - 1 - place), tz=now.tzinfo)
            for place in range(self.n_steps)
        ]


SPANS = {
    span.name: span
    for span in (
        Span("3h", "3 hours", timedelta(minutes=5), 36, Minutes.MINUTE, "%H:%M"),
        Span("48h", "2 days", timedelta(hours=1), 48, Minutes.HOUR, "%d %b %H:%M"),
        Span("90d", "90 days", timedelta(days=1), 90, Minutes.HOUR, "%d %b"),
    )
}
DEFAULT_SPAN = SPANS["48h"]


def activity_charts(today: date) -> list[Chart]:
    """Events and people a day; a day without a row had none, before the first row nothing is known."""
    rows = {row.day: row for row in DailyActivity.objects.filter(day__gt=today - timedelta(days=DAYS))}
    first = min(rows, default=today)
    days = [first + timedelta(days=n) for n in range((max(today, *rows, first) - first).days + 1)]
    labels = [f"{day:%d %b}" for day in days]
    of_type = [
        Series(name, [rows[day].events.get(name, 0) if day in rows else 0 for day in days])
        for name in SIGNALS
    ]
    people = [rows[day].active_users if day in rows else 0 for day in days]
    return [
        Chart(
            id="events",
            title="Events a day by type",
            unit="events a day",
            definition=(
                "Acts by the UTC day on which they were done, as far as they are not taken back or erased. "
                "Counted every minute; today is not over."
            ),
            labels=labels,
            series=of_type,
            stacked=True,
            x_title="day (UTC)",
            empty=NO_COUNTS,
            summary=f"{sum(sum(each.values) for each in of_type):,} events in {len(days)} days.",
        ),
        Chart(
            id="active-users",
            title="Active users a day",
            unit="users a day",
            definition="People with at least one act on that UTC day that is not taken back.",
            labels=labels,
            series=[Series("active users", people)],
            kind="line",
            x_title="day (UTC)",
            empty=NO_COUNTS,
            summary=f"{people[-1]:,} on the last day, at most {max(people):,}.",
        ),
    ]


def tiers_chart(facts: Facts | None, *, cold_below: int, hot_from: int) -> Chart:
    """How many people get which recommender."""
    tiers = facts.users_by_tier(cold_below=cold_below, hot_from=hot_from) if facts else {}
    bounds = {
        "cold": f"fewer than {cold_below}",
        "warm": f"{cold_below} to {hot_from - 1}",
        "hot": f"{hot_from} or more",
    }
    return Chart(
        id="tiers",
        title="Users by tier",
        unit="users",
        definition=(
            "By how many different startups a user has acted on, acts taken back left out: "
            f"cold below {cold_below} (content answers), warm (als), hot from {hot_from} on (the ensemble). "
            "Users without any act are cold. The thresholds are the settings COLD_BELOW and HOT_FROM."
        ),
        labels=[f"{tier}: {bounds[tier]} startups" for tier in tiers],
        series=[Series("users", list(tiers.values()))],
        x_title="tier",
        empty="There are no users yet, or the event log was not read yet: that needs beat and the worker.",
        summary=", ".join(f"{n:,} {tier}" for tier, n in tiers.items()) + ".",
    )


def answer_charts(span: Span, now: datetime) -> list[Chart]:
    """Who answered, how often something stood in the way, and how fast."""
    starts = span.starts(now)
    steps = _steps(span, starts)
    labels = [f"{start:{span.label}}" for start in starts]
    common = {"labels": labels, "x_title": "time (UTC)", "empty": NO_ANSWERS}
    return [
        _methods_chart(span, steps, common),
        _degraded_chart(span, steps, common),
        _latency_chart(span, steps, common),
    ]


def _steps(span: Span, starts: Sequence[datetime]) -> list[Answered]:
    within: dict[int, list[Answered]] = {}
    for starts_at, answered in answered_since(span.minutes, starts[0]).items():
        within.setdefault((starts_at - starts[0]) // span.step, []).append(answered)
    return [together(within.get(place, [])) for place in range(len(starts))]


def _methods_chart(span: Span, steps: Sequence[Answered], common: Mapping[str, Any]) -> Chart:
    methods = sorted({method for step in steps for method in step.answers})
    total = sum(sum(step.answers.values()) for step in steps)
    return Chart(
        id="answers",
        title="Answers by method",
        unit=f"answers in {_step_words(span)}",
        definition=(
            "Lists that the inference service gave to /recommend, by the recommender that really answered "
            "(method_used). Read from its counters every minute; what came while nobody read is in the "
            "first step after."
        ),
        series=[Series(method, [step.answers.get(method, 0) for step in steps]) for method in methods],
        stacked=True,
        summary=f"{total:,} answers in {span.words}.",
        **common,
    )


def _degraded_chart(span: Span, steps: Sequence[Answered], common: Mapping[str, Any]) -> Chart:
    n_failed = sum(step.errors for step in steps)
    n_degraded = sum(sum(step.degraded.values()) for step in steps)
    total = sum(sum(step.answers.values()) for step in steps)
    return Chart(
        id="degraded",
        title="Degraded answers",
        unit="% of the answers",
        definition=(
            "Answers whose field degraded says what stood in the way: another recommender than the user's "
            "tier wants, Redis away, live profiles not synced. A gap: no answers at all."
        ),
        series=[Series("degraded", [_percent(step) for step in steps])],
        kind="line",
        precision=2,
        summary=(
            f"{n_degraded:,} of {total:,} answers in {span.words}; "
            f"{n_failed:,} requests of any kind failed (5xx)."
        ),
        may_be_zero=total > 0,
        **common,
    )


def _latency_chart(span: Span, steps: Sequence[Answered], common: Mapping[str, Any]) -> Chart:
    whole = together(steps)
    in_words = (f"{name} {_ms(whole.percentile_s(share)) or 0:.1f} ms" for name, share in PERCENTILES.items())
    return Chart(
        id="latency",
        title="Time to answer",
        unit="ms",
        definition=(
            "Of /recommend within the inference service: half, 95 % and 99 % of the answers took at most so "
            "long. Estimated from a histogram, linearly within its buckets (1, 2, 5, 10, 20, 50, 100, 250, "
            "500, 1000, 2500 ms); slower ones count as 2500 ms."
        ),
        series=[
            Series(name, [_ms(step.percentile_s(share)) for step in steps])
            for name, share in PERCENTILES.items()
        ],
        kind="line",
        precision=2,
        summary=f"Over {span.words}: {', '.join(in_words)}.",
        **common,
    )


def _percent(step: Answered) -> float | None:
    total = sum(step.answers.values())
    return 100.0 * sum(step.degraded.values()) / total if total else None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _step_words(span: Span) -> str:
    named = {timedelta(days=1): "a day", timedelta(hours=1): "an hour"}
    return named.get(span.step) or f"{span.step // timedelta(minutes=1)} minutes"
