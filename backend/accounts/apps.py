"""The accounts application."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Its name and how its keys are made."""

    name = "accounts"
