"""Make what Redis holds anew from the database."""

from __future__ import annotations

from django.core.management.base import CommandParser

from config.commands import OperatorCommand
from config.redis_client import redis_client
from interactions.live_state import sync_live_state
from recsys.progress import show_progress
from recsys.serving.live_profile import LiveProfileStore


class Command(OperatorCommand):
    """`manage.py sync_live_profiles`: after Redis was wiped, or rows were written in bulk."""

    help = "Write every user's live profile and the live catalogue to Redis, then set the ready mark."

    def add_arguments(self, parser: CommandParser) -> None:
        """The flags."""
        parser.add_argument(
            "--rebuild",
            action="store_true",
            help="forget all profiles first: after an older database was restored, whose versions are "
            "lower than what Redis holds. Answers come from the release's own rows until it is done.",
        )

    def handle(self, *, rebuild: bool, **options: object) -> None:
        """Do it."""
        if rebuild:
            LiveProfileStore(redis_client()).clear()
        with show_progress() as progress:
            users = sync_live_state(progress)
        self.stdout.write(f"Wrote the live profiles of {users:,} users and the live catalogue.")
