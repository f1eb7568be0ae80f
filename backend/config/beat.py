"""The scheduler of beat: django-celery-beat's, with every enabled task in view."""

from __future__ import annotations

from django.db.models import QuerySet
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler


class WholeSchedule(DatabaseScheduler):
    """Beat sends at its start, once, what it missed while it was down, but only of tasks it has read.

    Its own scheduler reads a crontab with a plain hour only within two hours of it, so a Sunday 03:00
    missed on Sunday would be sent on Monday at one. A schedule of a few rows can be read whole.
    """

    def enabled_models_qs(self) -> QuerySet[PeriodicTask]:
        """All of them, at any hour."""
        return self.Model.objects.enabled()
