"""The dashboard application."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class DashboardConfig(AppConfig):
    """Pages of the admin that are not lists of rows, and the tasks that keep their figures."""

    name = "dashboard"

    def ready(self) -> None:
        """Connect the schedule to `migrate`."""
        from dashboard.schedule import create_missing_schedule

        post_migrate.connect(create_missing_schedule, sender=self)
