"""The charts of the data page."""

from __future__ import annotations

from datetime import date, timedelta

from dashboard.charts import Chart, Series, Stat
from dashboard.data_summary import COLD_STARTUP_BELOW, Facts, log_bins, popularity_curve
from dashboard.models import DailyActivity
from recsys.datasets.weights import SIGNALS

DAYS = 60
PASSIVE = ("view", "click")
EMPTY = "There are no acts yet, or the event log was not read yet: that needs beat and the worker."


def data_stats(facts: Facts) -> list[Stat]:
    """The figures above the charts."""
    return [
        Stat("Acts", f"{facts.n_acts:,}", "Acts in the event log that are not taken back."),
        Stat(
            "Users with acts",
            f"{facts.n_active_users:,}",
            "Users with at least one act that is not taken back; the rest are known by their interests only.",
            f"of {facts.n_users:,} users",
        ),
        Stat(
            "Startups with acts",
            f"{facts.n_startups_with_acts:,}",
            "Startups with at least one act that is not taken back.",
            f"of {facts.n_startups:,} startups",
        ),
        Stat(
            "Density",
            _percent(facts.density, 3),
            "Filled cells over users with acts x startups with acts: the matrix that is trained on. "
            "Below 0.1 % collaborative models know little of most users, and content matters more.",
            f"{facts.n_cells:,} cells",
        ),
        Stat(
            "Share of dislikes",
            _percent(facts.n_dislikes / facts.n_explicit if facts.n_explicit else None, 1),
            "Dislikes among explicit acts (all but views and clicks). Far above a fifth, people are shown "
            "what they do not want.",
            f"{facts.n_dislikes:,} dislikes, {facts.n_disliked_cells:,} cells with one",
        ),
        Stat(
            "Cold startups",
            f"{facts.n_cold_startups:,}",
            f"Startups with fewer than {COLD_STARTUP_BELOW} acts, those without any included: only the "
            "content model can place them.",
            f"{_percent(facts.n_cold_startups / facts.n_startups if facts.n_startups else None, 1)} of all",
        ),
    ]


def data_charts(facts: Facts | None, today: date) -> list[Chart]:
    """Long tail, how much is known of users and startups, dislikes over time."""
    return [
        _long_tail_chart(facts),
        _histogram(
            "startups-a-user",
            "Startups a user has acted on",
            "users",
            "Users by the number of different startups they have acted on, acts taken back left out; users "
            "without acts are not shown. The bins double.",
            "startups acted on",
            log_bins(facts.startups_of_users) if facts else [],
        ),
        _histogram(
            "users-a-startup",
            "Users who acted on a startup",
            "startups",
            "Startups by the number of different users who have acted on them; startups without acts are not "
            "shown. The bins double.",
            "users who acted on it",
            log_bins(facts.users_of_startups) if facts else [],
        ),
        _dislikes_chart(today),
    ]


def _long_tail_chart(facts: Facts | None) -> Chart:
    curve = popularity_curve(facts.acts_of_startups, facts.n_startups) if facts else []
    top_percent = next((share for rank, share in curve if rank == 0.01), None)
    return Chart(
        id="long-tail",
        title="Long tail",
        unit="% of all acts",
        definition=(
            "Share of all acts that fall on the most popular startups: at 10 %, the acts on the tenth of all "
            "startups with the most acts. Straight up means that few startups get everything."
        ),
        labels=[f"{100 * rank:g} %" for rank, _ in curve],
        series=[Series("share of acts", [100 * share for _, share in curve])],
        kind="line",
        precision=1,
        x_title="most popular share of the startups",
        empty=EMPTY,
        summary="" if top_percent is None else f"The top 1 % has {100 * top_percent:.1f} % of the acts.",
    )


def _histogram(
    chart_id: str, title: str, unit: str, definition: str, x_title: str, bins: list[tuple[str, int]]
) -> Chart:
    return Chart(
        id=chart_id,
        title=title,
        unit=unit,
        definition=definition,
        labels=[label for label, _ in bins],
        series=[Series(unit, [n for _, n in bins])],
        x_title=x_title,
        empty=EMPTY,
        summary=f"{sum(n for _, n in bins):,} {unit} in {len(bins)} bins.",
    )


def _dislikes_chart(today: date) -> Chart:
    rows = list(DailyActivity.objects.filter(day__gt=today - timedelta(days=DAYS)).order_by("day"))
    of_day = {row.day: _dislike_share(row) for row in rows}
    first, last = (rows[0].day, rows[-1].day) if rows else (today, today)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    values = [of_day.get(day) for day in days]
    return Chart(
        id="dislikes",
        title="Share of dislikes a day",
        unit="% of explicit acts",
        definition="Dislikes among the explicit acts (all but views and clicks) of a UTC day; a gap: none.",
        labels=[f"{day:%d %b}" for day in days],
        series=[Series("dislikes", values)],
        kind="line",
        precision=1,
        x_title="day (UTC)",
        empty=EMPTY,
        may_be_zero=bool(rows),
    )


def _dislike_share(row: DailyActivity) -> float | None:
    explicit = sum(row.events.get(name, 0) for name in SIGNALS if name not in PASSIVE)
    return 100 * row.events.get("dislike", 0) / explicit if explicit else None


def _percent(share: float | None, decimals: int) -> str:
    return "-" if share is None else f"{100 * share:.{decimals}f} %"
