"""Users, groups and API keys in the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts.models import ApiKey, User
from accounts.services import create_api_key, revoke_api_keys
from config.big_tables import BigTableAdmin, as_uuid, summary_of_deletion
from interactions.models import UserInteraction

admin.site.unregister(Group)


class UserForm(UserChangeForm):
    """Unfold's, whose link to the other form differs from its sentence by nothing but a shade."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].help_text = format_html(
            'Kept as a hash that nobody can read back; <a href="../password/" class="{}">set another</a>.',
            "underline",
        )


@admin.register(User)
class UserAdmin(DjangoUserAdmin, BigTableAdmin):
    """People; searched by the start of the username or by id, which both have an index."""

    form = UserForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_staff", "is_active", "opted_out", "date_joined")
    list_filter = ("is_staff", "is_superuser")
    sortable_by = ("username",)  # the one column with an index
    search_fields = ("username__startswith",)
    search_help_text = "The start of a username, or an id."
    ordering = ("username",)
    readonly_fields = ("id", "profile_version", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("id", "username", "password", "email", "first_name", "last_name")}),
        ("Recommendations", {"fields": ("interests", "opted_out", "profile_version")}),
        (
            "Permissions",
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """By id when it is one."""
        user_id = as_uuid(search_term)
        if user_id is not None:
            return queryset.filter(pk=user_id), False
        return super().get_search_results(request, queryset, search_term)

    def get_deleted_objects(self, objs: QuerySet[User], request: HttpRequest) -> tuple[list, dict, set, list]:
        """Their acts are deleted with them; how many, not which."""
        acts = UserInteraction.objects.filter(user__in=[user.pk for user in objs]).count()
        return summary_of_deletion(objs, User, {"interactions": acts})


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Groups of permissions."""


class ApiKeyForm(forms.ModelForm):
    """What is chosen of a new key."""

    scopes = forms.MultipleChoiceField(
        choices=ApiKey.Scope.choices,
        initial=[ApiKey.Scope.READ, ApiKey.Scope.WRITE],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What it may do; admin includes the others.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "expires_at")


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """Keys of services: made here, shown once, revoked here, never changed."""

    list_display = (
        "name",
        "prefix",
        "scopes",
        "state",
        "created_at",
        "created_by",
        "expires_at",
        "last_used_at",
    )
    list_select_related = ("created_by",)
    search_fields = ("name", "prefix")
    actions = ("revoke",)

    def get_form(
        self, request: HttpRequest, obj: ApiKey | None = None, **kwargs: Any
    ) -> type[forms.ModelForm]:
        """A form for a new key; an old one is only shown."""
        return super().get_form(request, obj, **({} if obj else {"form": ApiKeyForm}), **kwargs)

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """Everything but the hash."""
        if obj is None:
            return ("name", "scopes", "expires_at")
        return (
            "name",
            "prefix",
            "scopes",
            "created_at",
            "created_by",
            "expires_at",
            "revoked_at",
            "last_used_at",
        )

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """An old one is for reading."""
        return self.get_fields(request, obj) if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """What a key may do stays as it was made; a new key costs nothing."""
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Who could otherwise change keys."""
        return request.user.has_perm("accounts.change_apikey")

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Revoked ones stay, so that a log naming a prefix can be read later."""
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: forms.ModelForm, change: bool) -> None:
        """Make the key and show it, once."""
        key, text = create_api_key(
            name=obj.name, scopes=obj.scopes, expires_at=obj.expires_at, created_by=request.user
        )
        obj.pk, obj.prefix = key.pk, key.prefix
        self.message_user(request, f"Copy the key now, it is not shown again: {text}", messages.WARNING)

    @display(description="State", label={"usable": "success", "revoked": "danger", "expired": "warning"})
    def state(self, key: ApiKey) -> str:
        """Whether it opens anything."""
        if key.revoked_at:
            return "revoked"
        return "usable" if key.is_usable(timezone.now()) else "expired"

    @admin.action(description="Revoke the selected keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """From now on they open nothing."""
        self.message_user(request, f"Revoked {revoke_api_keys(queryset)} API keys.", messages.SUCCESS)
