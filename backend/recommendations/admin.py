"""Training runs and the schedule in the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
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
from recommendations.schedule import LONGEST_INTERVAL, UNREADABLE, comes_round, faults_of_task, is_reachable


@admin.register(TrainingRun)
class TrainingRunAdmin(ModelAdmin):
    """Its addresses, links and permissions; the pages themselves are the dashboard's."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Operators start trainings."""
        return request.user.has_perm("recommendations.operate")

    def has_change_permission(self, request: HttpRequest, obj: TrainingRun | None = None) -> bool:
        """Only the running process writes it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: TrainingRun | None = None) -> bool:
        """What was trained when is the history of the system."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """All runs."""
        return redirect("dashboard:runs")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """All runs, with the form of a new one."""
        return redirect("dashboard:runs")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One run."""
        run = self.get_object(request, unquote(object_id))
        return redirect("dashboard:run", run.pk) if run else redirect("dashboard:runs")


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
        if "task" in self.errors:
            return self.cleaned_data
        data = super().clean()
        if not self.errors:
            texts = (data["args"], data["kwargs"], data["headers"])
            for name, message in faults_of_task(data["task"], *texts).items():
                self.add_error(name, message)
        return data

    def _clean_json(self, field: str) -> str:
        try:
            return super()._clean_json(field)
        except RecursionError as error:
            raise forms.ValidationError("JSON as deep as this cannot be read.") from error


admin.site.unregister([PeriodicTask, IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule])


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(beat.PeriodicTaskAdmin, ModelAdmin):
    """What runs when."""

    form = PeriodicTaskForm


class IntervalScheduleForm(forms.ModelForm):
    """An interval that ends."""

    def clean(self) -> dict[str, Any]:
        """Beat would end at one whose next time no calendar has, and not start again."""
        data = super().clean()
        if not self.errors and not is_reachable(IntervalSchedule(**data)):
            self.add_error("every", f"Give {LONGEST_INTERVAL.days:,} days at most.")
        return data


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(ModelAdmin):
    """Every so often."""

    form = IntervalScheduleForm


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
        except UNREADABLE:
            return "-"


@admin.register(SolarSchedule)
class SolarScheduleAdmin(ModelAdmin):
    """At sunrise and the like."""


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(beat.ClockedScheduleAdmin, ModelAdmin):
    """Once, at a time."""
