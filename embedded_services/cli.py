"""Start, stop or show the project's own PostgreSQL and Valkey.

manage.py services up        start what is down
manage.py services down      stop both; their data stays
manage.py services status    where they are; exit code 3 when one is down
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from embedded_services.errors import EmbeddedServicesError
from embedded_services.launcher import ensure_services, service_status, services_home, stop_services

EXIT_DOWN = 3  # as `systemctl status` and `pg_ctl status` say it


def main(arguments: Sequence[str] | None = None, prog: str = "python -m embedded_services") -> int:
    """Run one action; the exit code is 0 done, 1 our error, 2 usage, 3 a server is down."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["up", "down", "status"])
    action = parser.parse_args(arguments).action
    try:
        if action == "up":
            ensure_services(report=_say)
        elif action == "down" and not stop_services(report=_say):
            _say("PostgreSQL and Valkey were not running")
        return 0 if action == "down" else _show_status()
    except EmbeddedServicesError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _show_status() -> int:
    statuses = service_status()
    for status in statuses:
        state = f"up    {status.address}  process {status.pid}" if status.up else "down"
        _say(f"{status.name:<11} {state}")
    _say(f"{'files':<11} {services_home()}")
    return 0 if all(status.up for status in statuses) else EXIT_DOWN


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
