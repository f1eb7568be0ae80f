#!/usr/bin/env python
"""Django's command line. Starts the project's own PostgreSQL and Valkey when none are configured."""

import os
import sys

# These say nothing about the data; they may not start a server as a side effect.
COMMANDS_WITHOUT_SERVERS = {"help", "--help", "-h", "version", "--version"}


def main() -> None:
    """Run one management command."""
    if sys.argv[1:2] == ["services"]:  # Django's settings need addresses, which this makes
        from embedded_services.cli import main as manage_services

        raise SystemExit(manage_services(sys.argv[2:], prog="manage.py services"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if len(sys.argv) > 1 and sys.argv[1] not in COMMANDS_WITHOUT_SERVERS:
        from embedded_services import EmbeddedServicesError, configure_environment

        try:
            configure_environment()
        except EmbeddedServicesError as error:
            raise SystemExit(str(error)) from None
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    from config.env import SettingError

    try:
        execute_from_command_line(sys.argv)
    except SettingError as error:
        raise SystemExit(f"Error: {error}") from None
    except OperationalError as error:  # from Django's own commands; ours tell it themselves
        from config.commands import explain_database_error

        raise SystemExit(f"Error: {explain_database_error(error)}") from None


if __name__ == "__main__":
    main()
