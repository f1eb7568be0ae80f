"""Start, stop or show the project's own PostgreSQL and Valkey.

manage.py services up                start what is down
manage.py services down              stop both; their data stays
manage.py services status            where they are; exit code 3 when one is down
manage.py services run -- COMMAND    run a command with servers that are empty and gone afterwards
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from embedded_services.errors import EmbeddedServicesError
from embedded_services.launcher import (
    ensure_services,
    service_status,
    services_home,
    stop_services,
    throw_away_services,
)

EXIT_DOWN = 3  # as `systemctl status` and `pg_ctl status` say it


def main(arguments: Sequence[str] | None = None, prog: str = "python -m embedded_services") -> int:
    """Run one action; the exit code is 0 done, 1 our error, 2 usage, 3 a server is down."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("up").set_defaults(run=_up)
    actions.add_parser("down").set_defaults(run=_down)
    actions.add_parser("status").set_defaults(run=_status)
    run = actions.add_parser("run")
    run.add_argument("command", nargs="+")
    run.set_defaults(run=_run)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except EmbeddedServicesError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return code


def _up(options: argparse.Namespace) -> int:
    ensure_services(report=_say)
    return _status(options)


def _down(_options: argparse.Namespace) -> int:
    if not stop_services(report=_say):
        _say("PostgreSQL and Valkey were not running")
    return 0


def _status(_options: argparse.Namespace) -> int:
    statuses = service_status()
    for status in statuses:
        state = f"up    {status.address}  process {status.pid}" if status.up else "down"
        _say(f"{status.name:<11} {state}")
    _say(f"{'files':<11} {services_home()}")
    return 0 if all(status.up for status in statuses) else EXIT_DOWN


def _run(options: argparse.Namespace) -> int:
    with throw_away_services() as services:
        addresses = {"DATABASE_URL": services.database_url, "REDIS_URL": services.redis_url}
        return subprocess.run(options.command, env={**os.environ, **addresses}, check=False).returncode


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
