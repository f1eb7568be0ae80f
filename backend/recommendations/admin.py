"""Training runs and the schedule in the admin."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_celery_beat import admin as beat
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from recommendations.models import ReleaseChange, TrainingRun
from recommendations.plans import training_plan
from recommendations.schedule import comes_round, faults_of_task
from recommendations.services import request_training
from recsys.errors import ConfigError, InvalidRequestError
from recsys.recommenders.table import RECOMMENDERS

STATUS_LABELS = {
    "Queued": "info",
    "Running": "info",
    "Succeeded": "success",
    "Failed": "danger",
    "Refused": "warning",
    "Cancelled": "warning",
}


class TrainingForm(forms.ModelForm):
    """What is asked for when a training is started."""

    kind = forms.ChoiceField(
        choices=[(name, name) for name in (TrainingRun.ALL, *RECOMMENDERS)],
        widget=UnfoldAdminSelectWidget,
        help_text="all: what training_config.yaml enables; or one, with popularity and content beside it.",
    )

    class Meta:
        model = TrainingRun
        fields = ("kind", "parameters")
        help_texts = {"parameters": 'Hyper-parameters other than the defaults: {"als": {"factors": 64}}'}

    def clean_parameters(self) -> dict[str, Any]:
        """Refuse here what would fail the training."""
        parameters = self.cleaned_data["parameters"] or {}
        if not isinstance(parameters, dict):
            raise forms.ValidationError('Give an object, such as {"als": {"factors": 64}}.')
        try:
            training_plan(TrainingRun.ALL, parameters)
        except ConfigError as error:
            raise forms.ValidationError(str(error)) from error
        return parameters


@admin.register(TrainingRun)
class TrainingRunAdmin(ModelAdmin):
    """Trainings: adding one starts it; the rest is for reading."""

    list_display = ("id", "state", "progress", "kind", "trigger", "release", "created_at", "took")
    list_filter = ("status", "trigger")
    date_hierarchy = "created_at"
    search_fields = ("release", "reason")
    list_per_page = 50
    fieldsets = (
        (None, {"fields": ("state", "progress", "reason", "release", "took")}),
        ("Asked for", {"fields": ("kind", "trigger", "started_by", "created_at", "shown_parameters")}),
        ("Learned from", {"fields": ("shown_dataset",)}),
        ("Measured", {"fields": ("shown_metrics", "shown_gate", "shown_learning_curves")}),
        (
            "Process",
            {
                "classes": ["collapse"],
                "fields": (
                    "started_at",
                    "heartbeat_at",
                    "finished_at",
                    "worker_host",
                    "worker_pid",
                    "fencing_token",
                    "log_file",
                    "shown_log",
                ),
            },
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: TrainingRun | None = None) -> Any:
        """A new one is only asked for."""
        return super().get_fieldsets(request, obj) if obj else [(None, {"fields": ("kind", "parameters")})]

    def get_form(
        self, request: HttpRequest, obj: TrainingRun | None = None, **kwargs: Any
    ) -> type[forms.ModelForm]:
        """The form of a new one."""
        return super().get_form(request, obj, **({} if obj else {"form": TrainingForm}), **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: TrainingRun | None = None) -> tuple[str, ...]:
        """Everything, once it is asked for."""
        return tuple(name for _, options in self.fieldsets for name in options["fields"]) if obj else ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Operators start trainings."""
        return request.user.has_perm("recommendations.operate")

    def has_change_permission(self, request: HttpRequest, obj: TrainingRun | None = None) -> bool:
        """Only the running process writes it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: TrainingRun | None = None) -> bool:
        """What was trained when is the history of the system."""
        return False

    def save_model(self, request: HttpRequest, obj: TrainingRun, form: forms.ModelForm, change: bool) -> None:
        """Queue it, or lead to the run that does the same already."""
        try:
            run = request_training(
                trigger=TrainingRun.Trigger.MANUAL,
                started_by=request.user,
                kind=obj.kind,
                parameters=obj.parameters,
            )
        except InvalidRequestError as error:
            obj.pk = error.detail["run"]
            self.message_user(request, str(error), messages.ERROR)
            return
        obj.pk = run.pk
        self.message_user(request, "The training is queued; this page shows how far it is.", messages.INFO)

    @display(description="Status", label=STATUS_LABELS, ordering="status")
    def state(self, run: TrainingRun) -> str:
        """Its status, in a colour."""
        return run.get_status_display()

    @display(description="Progress")
    def progress(self, run: TrainingRun) -> str:
        """How far it is, while it runs."""
        if run.status != TrainingRun.Status.RUNNING:
            return "-"
        left = "" if run.seconds_left is None else f", {run.seconds_left:.0f} s left"
        return f"{run.percent:.0f} %: {run.stage}{left}"

    @display(description="Took")
    def took(self, run: TrainingRun) -> str:
        """From start to end."""
        if not (run.started_at and run.finished_at):
            return "-"
        return str(run.finished_at - run.started_at).partition(".")[0]

    @display(description="Parameters")
    def shown_parameters(self, run: TrainingRun) -> SafeString:
        """As indented JSON."""
        return _as_text(run.parameters)

    @display(description="Dataset")
    def shown_dataset(self, run: TrainingRun) -> SafeString:
        """As indented JSON."""
        return _as_text(run.dataset)

    @display(description="Metrics")
    def shown_metrics(self, run: TrainingRun) -> SafeString:
        """As indented JSON."""
        return _as_text(run.metrics)

    @display(description="Gate")
    def shown_gate(self, run: TrainingRun) -> SafeString:
        """As indented JSON."""
        return _as_text(run.gate)

    @display(description="Learning curves")
    def shown_learning_curves(self, run: TrainingRun) -> SafeString:
        """As indented JSON."""
        return _as_text(run.learning_curves)

    @display(description="End of the log")
    def shown_log(self, run: TrainingRun) -> SafeString:
        """As it was written."""
        return _preformatted(run.log_tail or "-")


@admin.register(ReleaseChange)
class ReleaseChangeAdmin(ModelAdmin):
    """Which release was served from when, and by whose doing; for reading."""

    list_display = ("changed_at", "action", "version", "previous_version", "by", "run")
    list_select_related = ("by", "run")
    list_filter = ("action",)
    date_hierarchy = "changed_at"
    search_fields = ("version", "by__username__startswith")
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Written when the pointer moves, by nobody else."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: ReleaseChange | None = None) -> bool:
        """What happened stays."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ReleaseChange | None = None) -> bool:
        """What happened stays."""
        return False


def _as_text(value: object) -> SafeString:
    return _preformatted(json.dumps(value, indent=2, ensure_ascii=False))


def _preformatted(text: str) -> SafeString:
    return format_html('<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>', text)


class TaskSelectWidget(UnfoldAdminSelectWidget, beat.TaskSelectWidget):
    """The registered tasks, in unfold's dress."""


class PeriodicTaskForm(beat.PeriodicTaskForm):
    """django-celery-beat's form, in unfold's dress."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = TaskSelectWidget()

    def clean(self) -> dict[str, Any]:
        """Refuse here what would fail, or do nothing, each time beat sends it."""
        data = super().clean()
        if not self.errors:
            for name, message in faults_of_task(data["task"], data["args"], data["kwargs"]).items():
                self.add_error(name, message)
        return data


admin.site.unregister([PeriodicTask, IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule])


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(beat.PeriodicTaskAdmin, ModelAdmin):
    """What runs when."""

    form = PeriodicTaskForm


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(ModelAdmin):
    """Every so often."""


class CrontabScheduleForm(forms.ModelForm):
    """A crontab that comes round."""

    def clean(self) -> dict[str, Any]:
        """Fields that are right one by one may name a day that no year has: beat would stop at it."""
        data = super().clean()
        if not self.errors and not comes_round(CrontabSchedule(**data)):
            self.add_error("day_of_month", "No year has such a day: change the day or the month.")
        return data


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(beat.CrontabScheduleAdmin, ModelAdmin):
    """At times as in a crontab."""

    form = CrontabScheduleForm

    @display(description="In words")
    def human_readable(self, crontab: CrontabSchedule) -> str:
        """Nothing while its fields are wrong: the form shows what is wrong with them."""
        try:
            return crontab.human_readable
        except ValueError:
            return "-"


@admin.register(SolarSchedule)
class SolarScheduleAdmin(ModelAdmin):
    """At sunrise and the like."""


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(beat.ClockedScheduleAdmin, ModelAdmin):
    """Once, at a time."""
