"""The trainings: starting one, watching it, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from dashboard.charts import Chart, Series
from dashboard.model_figures import METRICS, in_order, read_measured
from dashboard.pages import OPERATE, page
from dashboard.release_comparison import HASH_SHOWN, fact_text, flattened
from recommendations import services
from recommendations.forms import TrainingForm
from recommendations.models import TrainingRun
from recsys.errors import InvalidRequestError

RUNS_A_PAGE = 25
LOG_BYTES = 16_000  # of the end of a log; the page asks for it every second
SILENT_AFTER_S = 60.0  # a living process writes every few seconds
AXES = ("epoch", "iteration")  # what a learning curve runs along
NOT_DRAWN = ("seconds",)
STARTED_BY = {
    TrainingRun.Trigger.SCHEDULED: "the schedule",
    TrainingRun.Trigger.GROWTH: "growth of the acts",
    TrainingRun.Trigger.COMMAND: "a command",
    TrainingRun.Trigger.MANUAL: "somebody who is gone",
}
Status = TrainingRun.Status


@require_GET
def runs(request: HttpRequest) -> HttpResponse:
    """All of them, the newest first, and the form of a new one."""
    return _runs_page(request, TrainingForm())


@require_POST
def retrain(request: HttpRequest) -> HttpResponse:
    """Queue a training and go to its page; what cannot work is told at its field."""
    form = TrainingForm(request.POST)
    if not form.is_valid():
        return _runs_page(request, form)
    try:
        run = services.request_training(
            trigger=TrainingRun.Trigger.MANUAL,
            started_by=request.user,
            kind=form.cleaned_data["kind"],
            parameters=form.cleaned_data["parameters"],
        )
    except InvalidRequestError as error:
        form.add_error(None, str(error))
        return _runs_page(request, form)
    before = TrainingRun.objects.filter(status=Status.RUNNING).exclude(pk=run.pk).first()
    if before is not None:
        messages.info(request, f"Run {before.pk} is running; one training runs at a time, so this one waits.")
    return redirect("dashboard:run", run.pk)


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop a run that has not ended; what was served stays."""
    run = get_object_or_404(TrainingRun, pk=pk)
    if services.cancel_run(run.pk, by=request.user):
        messages.success(request, f"Run {pk} is being cancelled; what was served stays.")
    else:
        run.refresh_from_db()
        messages.info(request, f"Run {pk} had ended already: {run.get_status_display().lower()}.")
    return redirect("dashboard:run", pk)


@require_GET
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """One of them: how far it is, what it said, what came of it."""
    shown = get_object_or_404(TrainingRun.objects.select_related("started_by"), pk=pk)
    measured = {name: read_measured(metrics) for name, metrics in shown.metrics.items()}
    context = {
        "run": shown,
        "state": state_of(shown),
        "who": _who(shown),
        "parameters": _facts(shown.parameters),
        "dataset": _facts(shown.dataset),
        "metrics": METRICS,
        "figures": [
            (name, [one.figures.get(metric) for metric in METRICS], one)
            for name in in_order(measured)
            if (one := measured[name]) is not None
        ],
        "curves": learning_charts(shown),
        "may_operate": request.user.has_perm(OPERATE),
    }
    return page(request, "dashboard/run.html", context, f"Run {pk}")


@require_GET
def run_state(request: HttpRequest, pk: int) -> HttpResponse:
    """What moves on a run's page, as JSON."""
    return JsonResponse(state_of(get_object_or_404(TrainingRun, pk=pk)))


def state_of(run: TrainingRun) -> dict[str, Any]:
    """How far a run is; `outcome` changes when the rest of its page has something new to show."""
    parts = (run.dataset, run.metrics, run.learning_curves, run.gate, run.release)
    return {
        "status": run.status,
        "status_text": run.get_status_display(),
        "is_finished": run.is_finished,
        "may_be_cancelled": not run.is_finished and run.cancel_requested_at is None,
        "percent": 100.0 if run.status == Status.SUCCEEDED else round(run.percent, 1),
        "stage": _stage(run),
        "took": _took(run),
        "left": "" if run.seconds_left is None or run.is_finished else _duration(run.seconds_left),
        "silent": _silence(run),
        "process": _process(run),
        "log_file": run.log_file,
        "reason": run.reason,
        "log": log_of(run),
        "outcome": "".join("1" if part else "0" for part in parts) + run.status,
    }


def log_of(run: TrainingRun) -> str:
    """The end of its log: of the file while there is one, else what was kept in the row."""
    path = settings.LOGS_DIR / Path(run.log_file).name
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - LOG_BYTES, 0))
            tail = file.read().decode(errors="replace").replace("\x00", "")
    except OSError:
        return run.log_tail
    return tail if size <= LOG_BYTES else tail.partition("\n")[2]


def learning_charts(run: TrainingRun) -> list[Chart]:
    """A chart for each thing that was followed of each recommender, such as the loss by epoch."""
    return [
        _curve(name, points, axis, followed)
        for name, points in run.learning_curves.items()
        if points and (axis := next((axis for axis in AXES if axis in points[0]), ""))
        for followed in points[0]
        if followed not in (axis, *NOT_DRAWN)
    ]


def _curve(name: str, points: list[Mapping[str, float]], axis: str, followed: str) -> Chart:
    is_loss = "loss" in followed
    return Chart(
        id=f"curve-{name}-{followed}".replace("_", "-").replace("@", "-"),
        title=f"{name}: {followed} by {axis}",
        unit="the model's own objective" if is_loss else followed,
        definition="What the training minimises, on the acts it learns from: it should fall, and steadily."
        if is_loss
        else "Measured on acts that were held back while it learned: it should rise, then level off. Where "
        "it falls again the model learns by heart.",
        labels=[f"{point[axis]:g}" for point in points],
        series=[Series(name, [point.get(followed) for point in points])],
        kind="line",
        x_title=axis,
        precision=4,
    )


def _runs_page(request: HttpRequest, form: TrainingForm) -> HttpResponse:
    asked = request.GET.get("status", "")
    found = TrainingRun.objects.select_related("started_by").defer("log_tail", "metrics", "learning_curves")
    if asked in Status.values:
        found = found.filter(status=asked)
    shown = Paginator(found, RUNS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "form": form,
        "shown": shown,
        "rows": [(each, _who(each), _took(each)) for each in shown],
        "is_moving": any(not each.is_finished for each in shown),
        "statuses": Status.choices,
        "asked": asked,
        "keep": f"status={asked}&" if asked else "",
        "may_operate": request.user.has_perm(OPERATE),
    }
    return page(request, "dashboard/runs.html", context, "Runs")


def _facts(value: Mapping[str, Any]) -> list[tuple[str, str]]:
    if "hash" in value:
        value = {**value, "hash": str(value["hash"])[:HASH_SHOWN]}
    return [
        (name.removeprefix("counts ").replace("_", " "), fact_text(fact)) for name, fact in flattened(value)
    ]


def _who(run: TrainingRun) -> str:
    if run.started_by is not None:
        return run.started_by.get_username()
    return STARTED_BY[TrainingRun.Trigger(run.trigger)]


def _stage(run: TrainingRun) -> str:
    if run.status == Status.QUEUED:
        return "waiting for the trainer"
    if run.status == Status.SUCCEEDED:
        return "done"
    if run.status == Status.RUNNING and run.cancel_requested_at is not None:
        return f"being cancelled at: {run.stage}" if run.stage else "being cancelled"
    if run.is_finished:
        return f"ended at: {run.stage}" if run.stage else ""
    return run.stage or "starting"


def _process(run: TrainingRun) -> str:
    """Where it runs or ran, and under which token of the lease."""
    if not run.worker_host:
        return ""
    return f"{run.worker_pid} on {run.worker_host}, token {run.fencing_token}"


def _took(run: TrainingRun) -> str:
    if run.started_at is None:
        return ""
    return _duration(((run.finished_at or timezone.now()) - run.started_at).total_seconds())


def _silence(run: TrainingRun) -> str:
    """How long nothing was heard of a running process, where that is too long."""
    if run.status != Status.RUNNING or run.heartbeat_at is None:
        return ""
    silent_s = (timezone.now() - run.heartbeat_at).total_seconds()
    return _duration(silent_s) if silent_s > SILENT_AFTER_S else ""


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
