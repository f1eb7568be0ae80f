"""The dashboard application."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    """Pages of the admin that are not lists of rows."""

    name = "dashboard"
