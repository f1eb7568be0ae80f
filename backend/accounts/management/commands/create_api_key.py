"""Make a key for a service."""

from __future__ import annotations

from datetime import timedelta

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.models import ApiKey
from accounts.services import create_api_key
from config.commands import OperatorCommand

MOST_DAYS = 36_500


class Command(OperatorCommand):
    """`manage.py create_api_key web --scopes read write --expires-days 90`."""

    help = "Make an API key for a service. It is shown once, on stdout; the database keeps only its hash."

    def add_arguments(self, parser: CommandParser) -> None:
        """The flags."""
        parser.add_argument("name", help="the service that will use it")
        parser.add_argument(
            "--scopes",
            nargs="+",
            choices=ApiKey.Scope.values,
            default=[ApiKey.Scope.READ, ApiKey.Scope.WRITE],
            help="what it may do; admin includes the others (default: read write)",
        )
        parser.add_argument(
            "--expires-days", type=int, help="days it works for (default: it does not expire)"
        )

    def handle(self, *, name: str, scopes: list[str], expires_days: int | None, **options: object) -> None:
        """Make it."""
        if expires_days is not None and not 1 <= expires_days <= MOST_DAYS:
            raise CommandError(
                f"--expires-days is {expires_days}; give a whole number from 1 to {MOST_DAYS:,}, or leave it "
                "out."
            )
        longest = ApiKey._meta.get_field("name").max_length
        if not name.strip() or len(name) > longest or not name.isprintable():
            raise CommandError(f"The name {name!r:.110} must be 1 to {longest} printable characters.")
        expires_at = timezone.now() + timedelta(days=expires_days) if expires_days else None
        key, text = create_api_key(name=name, scopes=scopes, expires_at=expires_at)
        self.stderr.write(f"API key {key.prefix} for {name}: {', '.join(key.scopes)}. It is shown only now.")
        self.stdout.write(text)
