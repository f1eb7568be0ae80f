"""What the commands of people who run the system have in common."""

from __future__ import annotations

from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, ProgrammingError

from recsys.errors import RecsysError

INTERRUPTED = 130  # what a shell expects after Ctrl-C


def explain_database_error(error: Exception) -> str:
    """What failed, in one line, and what to look at."""
    reason = str(error).partition("\n")[0]
    return f"The database failed ({reason}); check that it is up and run manage.py migrate."


class OperatorCommand(BaseCommand):
    """Errors that can be mended are one line on stderr and exit code 1."""

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run the command; Ctrl-C says what it leaves behind."""
        try:
            return super().execute(*args, **options)
        except RecsysError as error:
            raise CommandError(str(error)) from error
        except (OperationalError, ProgrammingError, psycopg.Error) as error:
            raise CommandError(explain_database_error(error)) from error
        except OSError as error:
            raise CommandError(f"{error}; name another path, or mend this one.") from error
        except KeyboardInterrupt as error:
            message = "Interrupted. What was committed stays; run the same command again to continue."
            raise CommandError(message, returncode=INTERRUPTED) from error

    def warn_if_stale(self, *, live: bool) -> None:
        """Say on stderr that Redis did not get what was written."""
        if not live:
            self.stderr.write(
                "Redis could not be reached, so live profiles are stale: run manage.py sync_live_profiles "
                "when it is back."
            )
