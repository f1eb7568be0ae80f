"""The startups application."""

from django.apps import AppConfig


class StartupsConfig(AppConfig):
    """Connects the signals that keep the live catalogue fresh."""

    name = "startups"

    def ready(self) -> None:
        """Register the receivers."""
        from startups import signals  # noqa: F401
