"""The accounts application."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    """Its name, how its keys are made, and the groups of staff."""

    name = "accounts"

    def ready(self) -> None:
        """Connect the groups to `migrate`."""
        from accounts.groups import create_missing_groups

        post_migrate.connect(create_missing_groups, sender=self)
