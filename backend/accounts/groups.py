"""Three groups of staff, made after `migrate` when missing; what an operator changed in one stays."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet

VIEWER, OPERATOR, ADMINISTRATOR = "Viewer", "Operator", "Administrator"
OPERATE = "operate"  # of recommendations.TrainingRun


def create_missing_groups(**_: Any) -> None:
    """Viewer sees every page, Operator also trains and changes the served release, Administrator may all."""
    if set(Group.objects.values_list("name", flat=True)) >= {VIEWER, OPERATOR, ADMINISTRATOR}:
        return
    for app_config in apps.get_app_configs():  # those of later applications are not there yet
        create_permissions(app_config, verbosity=0)
    everything = _permissions_of_admin_models()
    viewing = everything.filter(codename__startswith="view_")
    _create_missing(VIEWER, viewing)
    _create_missing(OPERATOR, viewing | everything.filter(codename=OPERATE))
    _create_missing(ADMINISTRATOR, everything)


def _create_missing(name: str, permissions: QuerySet[Permission]) -> None:
    group, created = Group.objects.get_or_create(name=name)
    if created:
        group.permissions.set(permissions)


def _permissions_of_admin_models() -> QuerySet[Permission]:
    models = [model for model, _ in admin.site._registry.items()]
    content_types = ContentType.objects.get_for_models(*models).values()
    return Permission.objects.filter(content_type__in=[one.pk for one in content_types])
