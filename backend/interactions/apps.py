"""The interactions application."""

from django.apps import AppConfig


class InteractionsConfig(AppConfig):
    """Its name and how its keys are made."""

    name = "interactions"
