#!/usr/bin/env python
"""Django's command line. Starts the project's own PostgreSQL and Valkey when none are configured."""

import os
import sys

# These say where the servers are or nothing at all; neither may start one as a side effect.
COMMANDS_WITHOUT_SERVERS = {"services", "help", "--help", "-h", "version", "--version"}


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if len(sys.argv) > 1 and sys.argv[1] not in COMMANDS_WITHOUT_SERVERS:
        from embedded_services import configure_environment

        configure_environment()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
