"""The startups application."""

from django.apps import AppConfig


class StartupsConfig(AppConfig):
    """Its name and how its keys are made."""

    name = "startups"
