"""Checks of the whole chain, for a person or for monitoring."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from django.core.management.base import BaseCommand, CommandParser

from recommendations.doctor.report import Level, Result, run_checks
from recommendations.doctor.table import all_checks

COLOURS = {Level.OK: "SUCCESS", Level.WARN: "WARNING", Level.FAIL: "ERROR"}


class Command(BaseCommand):
    """`manage.py recsys_doctor`: it changes nothing; exit code 1 when a check failed."""

    help = "Check the whole chain, from the settings to an answer, and say what to do. Exit code 1 on FAIL."
    requires_system_checks = ()  # a wrong setting is something to report here

    def add_arguments(self, parser: CommandParser) -> None:
        """The flags."""
        parser.add_argument(
            "--json", dest="as_json", action="store_true", help="one JSON object, for monitoring"
        )

    def handle(self, *, as_json: bool, **options: object) -> None:
        """Print each check as it is done."""
        results: list[Result] = []
        for result in run_checks(all_checks()):
            results.append(result)
            if not as_json:
                self._print(result)
        worst = max((result.level for result in results), key=list(Level).index)
        if as_json:
            self._print_json(worst, results)
        else:
            counts = ", ".join(f"{sum(r.level is level for r in results)} {level}" for level in Level)
            self.stdout.write(f"\n{counts}")
        if worst is Level.FAIL:
            sys.exit(1)

    def _print(self, result: Result) -> None:
        style = getattr(self.style, COLOURS[result.level])
        self.stdout.write(f"{style(f'{result.level:4}')}  {result.name:17}  {result.found}")
        if result.mend:
            self.stdout.write(f"{'':25}do: {result.mend}")

    def _print_json(self, worst: Level, results: list[Result]) -> None:
        self.stdout.write(json.dumps({"level": worst, "checks": [asdict(result) for result in results]}))
