"""The recommendations application."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class RecommendationsConfig(AppConfig):
    """Loads the Celery application, so that `.delay()` finds its broker, and keeps the schedule."""

    name = "recommendations"

    def ready(self) -> None:
        """Connect the schedule to `migrate`."""
        from config import celery  # noqa: F401
        from recommendations.schedule import create_missing_schedule

        post_migrate.connect(create_missing_schedule, sender=self)
