"""The first page: whether everything is well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from dashboard.charts import Stat
from dashboard.data_summary import stored_summary
from dashboard.health import Check, check_health, duration, served_version
from dashboard.models import ActivityCount, CountersRead
from dashboard.next_run import next_training
from dashboard.overview_charts import DEFAULT_SPAN, SPANS, activity_charts, answer_charts, tiers_chart
from dashboard.pages import may_view, page
from recommendations.models import TrainingRun
from recsys.artifacts.layout import current_release_dir
from recsys.artifacts.manifest import VERSION

OLD_RELEASE = timedelta(days=14)  # two weekly trainings did not come
RUN_STATES = {
    TrainingRun.Status.SUCCEEDED: "good",
    TrainingRun.Status.FAILED: "bad",
    TrainingRun.Status.REFUSED: "warning",
    TrainingRun.Status.CANCELLED: "warning",
}


def front_page(request: HttpRequest) -> HttpResponse:
    """The overview for whoever may see it; the admin's own index for everybody else."""
    if may_view(request):
        return redirect("dashboard:overview")
    return admin.site.index(request)


def overview(request: HttpRequest) -> HttpResponse:
    """What happens, what is served, and what is broken."""
    now = timezone.now()
    span = SPANS.get(request.GET.get("span", ""), DEFAULT_SPAN)
    checks = check_health(now=now)
    summary = stored_summary()
    facts = summary[1] if summary else None
    thresholds = {"cold_below": settings.COLD_BELOW, "hot_from": settings.HOT_FROM}
    context = {
        "stats": [_release_stat(now), _last_run_stat(now), _next_run_stat(now)],
        "checks": checks,
        "activity_charts": [*activity_charts(now.date()), tiers_chart(facts, **thresholds)],
        "answer_charts": answer_charts(span, now),
        "span": span,
        "spans": SPANS.values(),
        "counted": ActivityCount.objects.first(),
        "summarized_at": summary[0].computed_at if summary else None,
        "counters": CountersRead.objects.first(),
    }
    return page(request, "dashboard/overview.html", context, "Overview")


def health(request: HttpRequest) -> HttpResponse:
    """The part of the overview that looks again by itself."""
    checks: list[Check] = check_health()
    return page(request, "dashboard/_health.html", {"checks": checks}, "Health")


def _release_stat(now: datetime) -> Stat:
    definition = (
        "The release that the inference service says it serves, else the one the pointer models/current "
        "names, and the time since it was trained."
    )
    version = served_version() or _pointed_at()
    if version is None:
        note = "Train one: ./train_all_models.sh, or add a training run."
        return Stat("Age of the served release", "none", definition, note, "warning")
    if not VERSION.fullmatch(version):
        return Stat("Age of the served release", "unknown", definition, version, "warning")
    age = now - datetime.strptime(version[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return Stat(
        "Age of the served release",
        duration(age),
        definition,
        version,
        "warning" if age > OLD_RELEASE else "good",
        reverse("dashboard:models"),
    )


def _pointed_at() -> str | None:
    folder = current_release_dir(settings.MODELS_DIR)
    return folder.name if folder is not None else None


def _last_run_stat(now: datetime) -> Stat:
    definition = "The training that was asked for last, by the schedule, a person or a command."
    run = TrainingRun.objects.only("status", "created_at", "stage", "percent", "trigger").first()
    if run is None:
        return Stat("Last run", "none", definition, "No training was ever asked for.")
    asked = f"{duration(now - run.created_at)} ago ({run.created_at:%Y-%m-%d %H:%M} UTC)"
    progress = f", {run.percent:.0f} % {run.stage}" if run.status == TrainingRun.Status.RUNNING else ""
    state: Any = RUN_STATES.get(TrainingRun.Status(run.status), "")
    return Stat(
        "Last run",
        f"{run.get_status_display()}{progress}",
        definition,
        f"{run.get_trigger_display()}, {asked}",
        state,
        reverse("dashboard:run", args=[run.pk]),
    )


def _next_run_stat(now: datetime) -> Stat:
    definition = (
        "The next training that the schedule will send, by its crontab or interval. Beat must be running: "
        "see the health below."
    )
    schedule = reverse("admin:django_celery_beat_periodictask_changelist")
    planned = next_training()
    if planned is None:
        note = "No training is enabled in the schedule; enable or add one."
        return Stat("Next run", "none", definition, note, "warning", schedule)
    task, due = planned
    when = f"in {duration(due - now)}" if due > now else "due now"
    return Stat("Next run", when, definition, f"{task.name}: {due:%A %Y-%m-%d %H:%M} UTC", "", schedule)
