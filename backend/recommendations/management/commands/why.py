"""Why a startup is, or is not, recommended to a user."""

from __future__ import annotations

from django.core.management.base import CommandParser

from config.commands import OperatorCommand
from recommendations.inference import inference_client
from recommendations.why import (
    explain_why,
    find_startup,
    find_user,
    lines_of_database,
    lines_of_service,
)
from recsys.serving.steering import MAX_LIMIT


class Command(OperatorCommand):
    """`manage.py why USER STARTUP`: asks the inference service, which must be up."""

    help = (
        "Say why a startup is or is not recommended to a user: the rule that keeps it out, or its rank and "
        "score, who answers for this user, and what the score is made of."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Whom and what."""
        parser.add_argument("user", help="a username or an id")
        parser.add_argument("startup", help="a name or an id")
        parser.add_argument("--limit", type=int, default=10, help=f"of the list, 1 to {MAX_LIMIT} (10)")

    def handle(self, *, user: str, startup: str, limit: int, **options: object) -> None:
        """What the database knows is told even if the service cannot be asked."""
        found_user, found_startup = find_user(user), find_startup(startup)
        for line in lines_of_database(found_user, found_startup):
            self.stdout.write(line)
        why = explain_why(found_user, found_startup, inference_client(), limit=limit)
        for line in lines_of_service(why):
            self.stdout.write(line)
