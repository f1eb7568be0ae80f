"""The catalogue in the admin."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminURLInputWidget

from config.big_tables import BigTableAdmin, as_uuid
from startups.live_catalogue import refresh_catalogue
from startups.models import Startup


@admin.register(Startup)
class StartupAdmin(BigTableAdmin):
    """Startups; made inactive rather than deleted, because people acted on them."""

    list_display = ("name", "industry", "country", "stage", "is_active", "created_at")
    list_filter = ("is_active",)
    date_hierarchy = "created_at"
    search_fields = ("name__icontains",)
    search_help_text = "A part of the name, or an id."
    ordering = ("-created_at",)
    autocomplete_fields = ("owner",)
    readonly_fields = ("id", "updated_at")
    formfield_overrides = {
        models.URLField: {"assume_scheme": "https", "widget": UnfoldAdminURLInputWidget},
    }
    fieldsets = (
        (None, {"fields": ("id", "name", "short_description", "long_description", "tags", "website")}),
        ("Where and what", {"fields": ("industry", "stage", "team_size", "country", "city")}),
        ("Recommending it", {"fields": ("is_active", "owner", "created_at", "updated_at")}),
    )
    actions = ("make_active", "make_inactive")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Startup], search_term: str
    ) -> tuple[QuerySet[Startup], bool]:
        """By id when it is one."""
        startup_id = as_uuid(search_term)
        if startup_id is not None:
            return queryset.filter(pk=startup_id), False
        return super().get_search_results(request, queryset, search_term)

    def has_delete_permission(self, request: HttpRequest, obj: Startup | None = None) -> bool:
        """See the class."""
        return False

    @admin.action(description="Recommend the selected startups again")
    def make_active(self, request: HttpRequest, queryset: QuerySet[Startup]) -> None:
        """They can be recommended from the next answer on."""
        self._set_active(request, queryset, is_active=True)

    @admin.action(description="Stop recommending the selected startups")
    def make_inactive(self, request: HttpRequest, queryset: QuerySet[Startup]) -> None:
        """They are left out from the next answer on."""
        self._set_active(request, queryset, is_active=False)

    def _set_active(self, request: HttpRequest, queryset: QuerySet[Startup], *, is_active: bool) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        changed = Startup.objects.filter(pk__in=ids).update(is_active=is_active, updated_at=timezone.now())
        refresh_catalogue.add(ids)
        state = "active" if is_active else "inactive"
        self.message_user(request, f"{changed} startups are {state} now.", messages.SUCCESS)
