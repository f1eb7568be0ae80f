"""The scheduler of beat: django-celery-beat's, with every enabled task in view."""

from __future__ import annotations

import logging
from typing import Any

from celery.schedules import ParseException
from django.db import DatabaseError, InterfaceError
from django.db.models import QuerySet
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

logger = logging.getLogger(__name__)

UNREADABLE = (ValueError, TypeError, OverflowError, ParseException)


class WholeSchedule(DatabaseScheduler):
    """Beat sends at its start, once, what it missed while it was down, but only of tasks it has read.

    Its own scheduler reads a crontab with a plain hour only within two hours of it, so a Sunday 03:00
    missed on Sunday would be sent on Monday at one. A schedule of a few rows can be read whole.
    """

    def enabled_models_qs(self) -> QuerySet[PeriodicTask]:
        """All of them, at any hour."""
        return self.Model.objects.enabled()

    def all_as_schedule(self) -> dict[str, Any]:
        """What was read before stays while the database is away; a row that cannot be read is left out.

        Its own scheduler ends at either, and nothing is sent any more.
        """
        try:
            models = self.enabled_models()
        except (DatabaseError, InterfaceError) as error:
            if self._schedule is None:
                raise
            logger.warning("schedule not read again reason=%s", error)
            return self._schedule
        entries = {}
        for model in models:
            try:
                entries[model.name] = self.Entry(model, app=self.app)
            except UNREADABLE as error:
                logger.warning("task of the schedule left out name=%s reason=%s", model.name, error)
        return entries
