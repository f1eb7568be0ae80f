"""The recommendations application."""

from django.apps import AppConfig


class RecommendationsConfig(AppConfig):
    """Its name and how its keys are made."""

    name = "recommendations"
