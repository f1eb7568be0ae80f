"""The event log and the weights of the signals in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import ListFilter
from django.db.models import Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from accounts.models import User
from config.big_tables import BigTableAdmin, as_uuid
from interactions.models import LostLiveWrite, SignalWeights, UserInteraction
from interactions.services import retract_event
from interactions.tasks import queue_sync
from recsys.datasets.weights import SIGNALS
from startups.models import Startup

MATCHES_AT_MOST = 100  # users or startups that a searched text may stand for

LABELS = {
    "view": "info",
    "click": "info",
    "like": "success",
    "favorite": "success",
    "apply": "success",
    "interest": "success",
    "dislike": "danger",
}


class RetractedFilter(admin.SimpleListFilter):
    """Acts that count, or those taken back."""

    title = "taken back"
    parameter_name = "retracted"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The two choices."""
        return [("no", "Counts"), ("yes", "Taken back")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Those chosen."""
        if self.value() is None:
            return queryset
        return queryset.filter(retracted_at__isnull=self.value() == "no")


@admin.register(UserInteraction)
class UserInteractionAdmin(BigTableAdmin):
    """The event log: acts can be added and taken back, never changed."""

    list_display = ("occurred_at", "signal", "who", "what", "state")
    list_select_related = ("user", "startup")
    list_filter: tuple[str | type[ListFilter] | tuple[str, type[ListFilter]], ...] = (
        "type",
        RetractedFilter,
        ("user", AutocompleteSelectFilter),
        ("startup", AutocompleteSelectFilter),
    )
    date_hierarchy = "occurred_at"
    ordering = ("-occurred_at",)
    search_fields = ("event_id",)
    search_help_text = (
        "An id of an event, a user or a startup; or the start of a username or a startup's name."
    )
    autocomplete_fields = ("user", "startup")
    fields = ("user", "startup", "type", "occurred_at", "context")
    actions = ("retract_selected",)
    actions_submit_line = ("retract",)

    def get_fields(self, request: HttpRequest, obj: UserInteraction | None = None) -> tuple[str, ...]:
        """An act in the log also shows what the system noted."""
        noted = ("event_id", "received_at", "retracted_at") if obj else ()
        return (*self.fields, *noted)

    def get_readonly_fields(
        self, request: HttpRequest, obj: UserInteraction | None = None
    ) -> tuple[str, ...]:
        """What is in the log stays as it is."""
        return self.get_fields(request, obj) if obj else ()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One button: nothing on the page could be saved."""
        no_saving = {"show_save": False, "show_save_and_continue": False, "show_save_and_add_another": False}
        return super().change_view(request, object_id, form_url, {**no_saving, **(extra_context or {})})

    def has_delete_permission(self, request: HttpRequest, obj: UserInteraction | None = None) -> bool:
        """Acts are taken back, so that an export as of an earlier time stays the same."""
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Ids first, then names: each way has an index to go by."""
        searched = as_uuid(search_term)
        if searched is not None:
            return queryset.filter(Q(event_id=searched) | Q(user_id=searched) | Q(startup_id=searched)), False
        if not search_term:
            return queryset, False
        users = User.objects.filter(username__startswith=search_term)
        startups = Startup.objects.filter(name__istartswith=search_term)
        return queryset.filter(Q(user_id__in=_ids(users)) | Q(startup_id__in=_ids(startups))), False

    # Methods, so that no header offers to sort millions of rows by a column without an index.
    @display(description="User")
    def who(self, act: UserInteraction) -> SafeString:
        """Who did it."""
        return _link("admin:accounts_user_change", act.user_id, act.user)

    @display(description="Startup")
    def what(self, act: UserInteraction) -> SafeString:
        """To which startup."""
        return _link("admin:startups_startup_change", act.startup_id, act.startup)

    @display(description="Type", label=LABELS)
    def signal(self, act: UserInteraction) -> str:
        """Its type, in a colour."""
        return act.type

    @display(description="State", label={"taken back": "warning"})
    def state(self, act: UserInteraction) -> str:
        """Whether it counts."""
        return "taken back" if act.retracted_at else "counts"

    @admin.action(description="Take the selected acts back", permissions=["change"])
    def retract_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        """They stay in the log and count no more."""
        taken_back = sum(retract_event(event_id) for event_id in queryset.values_list("event_id", flat=True))
        self.message_user(request, f"Took back {taken_back} acts.", messages.SUCCESS)

    @action(description="Take back", permissions=["change"])
    def retract(self, request: HttpRequest, obj: UserInteraction) -> None:
        """It stays in the log and counts no more."""
        retract_event(obj.event_id)
        self.message_user(request, "Took the act back.", messages.SUCCESS)

    def save_model(self, request: HttpRequest, obj: UserInteraction, form: ModelForm, change: bool) -> None:
        """A new act is recorded; one in the log is not written again, only its button is heard."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        for button in self.get_actions_submit_line(request, obj.pk):
            if button.action_name in request.POST:
                button.method(request, obj)


@admin.register(LostLiveWrite)
class LostLiveWriteAdmin(BigTableAdmin):
    """What Redis has to be told yet; a task does it every minute."""

    list_display = ("lost_at", "kind", "row_id")
    list_filter = ("kind",)
    ordering = ("pk",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """They are made when Redis is away."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: LostLiveWrite | None = None) -> bool:
        """They never change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: LostLiveWrite | None = None) -> bool:
        """One is deleted when it is made good."""
        return False


@admin.register(SignalWeights)
class SignalWeightsAdmin(ModelAdmin):
    """One row; its list is its form."""

    fields = (*SIGNALS, "version", "updated_at")
    readonly_fields = ("version", "updated_at")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Go to the one row, which is made when it is missing."""
        row, _ = SignalWeights.objects.get_or_create(pk=SignalWeights.SINGLETON_ID)
        return HttpResponseRedirect(reverse("admin:interactions_signalweights_change", args=[row.pk]))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is only one."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: SignalWeights | None = None) -> bool:
        """Its version must not fall."""
        return False

    def save_model(self, request: HttpRequest, obj: SignalWeights, form: ModelForm, change: bool) -> None:
        """Every live profile has to be built anew."""
        super().save_model(request, obj, form, change)
        queue_sync()
        self.message_user(
            request,
            "The live profiles are being brought up to date; the models follow with the next training.",
            messages.INFO,
        )


def _link(view: str, pk: object, text: object) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse(view, args=[pk]), text)


def _ids(queryset: QuerySet) -> list[Any]:
    return list(queryset.values_list("pk", flat=True)[:MATCHES_AT_MOST])
