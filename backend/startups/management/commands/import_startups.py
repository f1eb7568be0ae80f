"""Import startups from a CSV file."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from config.commands import OperatorCommand
from config.import_ids import DEFAULT_SOURCE
from recsys.progress import show_progress
from startups.importing import PARSERS, import_startups
from startups.yc_companies import SOURCE as YC

DESCRIPTION = f"""\
Import startups from a CSV in UTF-8 whose first line names the columns. New startups are made, changed ones
updated, the rest left as it is: a second file of the same catalogue brings it up to date.

Columns (only name is needed, in any order):
  id            any text that stays the same; a UUID is used as it is; without ids a name is taken for one
  {", ".join(list(PARSERS)[:6])},
  {", ".join(list(PARSERS)[6:])}
  tags          separated by ; or |
  is_active     yes or no: an inactive startup is never recommended
  created_at    like 2026-11-22 or 2026-11-22T03:00:00Z

The public files of Y Combinator companies (company_id, company_name, ...) are read as they are."""
EXAMPLE = """\
example of a plain file:
  id,name,short_description,tags,country,team_size
  17,Acme,Robots that weed,agritech;robotics,FR,12"""


class Command(OperatorCommand):
    """Reads arguments, imports, says what was new."""

    help = DESCRIPTION

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keep the layout of the help."""
        parser = super().create_parser(prog_name, subcommand, epilog=EXAMPLE, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument("path", type=Path, help="the CSV file")
        parser.add_argument(
            "--source",
            help=f"where the ids come from (default {YC} for those files, otherwise {DEFAULT_SOURCE}); "
            "import_interactions with the same source finds the same startups",
        )

    def handle(self, *, path: Path, source: str | None, **options: Any) -> None:
        """Import the file."""
        with show_progress() as progress:
            summary = import_startups(path, source=source, progress=progress)
        n_same = summary.n_read - summary.n_new - summary.n_changed
        self.stdout.write(
            f"Read {summary.n_read:,} startups from {path}. New: {summary.n_new:,}, changed: "
            f"{summary.n_changed:,}, as before: {n_same:,}."
        )
        if summary.ignored_columns:
            self.stdout.write(f"Columns not used: {', '.join(summary.ignored_columns)}.")
