"""The interactions application."""

from django.apps import AppConfig


class InteractionsConfig(AppConfig):
    """Connects the signals that keep live profiles fresh."""

    name = "interactions"

    def ready(self) -> None:
        """Register the receivers."""
        from interactions import signals  # noqa: F401
