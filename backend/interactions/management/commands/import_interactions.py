"""Import ratings or acts from a file."""

from __future__ import annotations

from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from config.commands import OperatorCommand
from config.import_ids import DEFAULT_SOURCE
from interactions.importing import import_interactions
from recsys.datasets.importers import (
    DEFAULT_RATING_TYPES,
    FORMATS,
    RatingTypes,
    ReadOptions,
    parse_columns,
)
from recsys.errors import ConfigError
from recsys.progress import show_progress

DESCRIPTION = """\
Import ratings or acts: users, startups and acts that are not there yet are made.

movielens  a folder or ratings file of MovieLens 100K, 1M, 10M or the CSV sets since 20M; the films
           beside it become startups, their genres tags.
csv        the first line names the columns: user, item, and type (view, click, like, dislike, favorite,
           apply, interest) or rating; a timestamp if there is one (UTC; ISO 8601 or seconds since 1970).
parquet    the same columns; jsonl: the same names, a JSON object a line.

Ids that are UUIDs are those of users and startups here; others get a UUID from --source and the id.
Running again adds what is missing and nothing twice, also after an error or Ctrl-C."""
EXAMPLES = """\
examples:
  manage.py import_interactions --format movielens ~/ml-100k
  manage.py import_interactions --format csv ratings.csv --map 9=favorite,7=like,1=dislike
  manage.py import_interactions --format parquet log.parquet --columns user=member,item=company,type=action"""


class Command(OperatorCommand):
    """Reads arguments, imports, says what was new."""

    help = DESCRIPTION

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keep the layout of the help."""
        parser = super().create_parser(prog_name, subcommand, epilog=EXAMPLES, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument("path", type=Path, help="the file, or the folder of a MovieLens set")
        parser.add_argument("--format", required=True, choices=FORMATS, dest="file_format")
        parser.add_argument(
            "--map",
            type=_rating_types,
            default=DEFAULT_RATING_TYPES,
            dest="rating_types",
            metavar="RATING=TYPE,...",
            help="the type a rating becomes from each bound on, `skip` for none "
            f"(default {DEFAULT_RATING_TYPES})",
        )
        parser.add_argument(
            "--columns",
            type=_columns,
            default={},
            metavar="NAME=COLUMN,...",
            help="the file's own names of user, item, rating, type, timestamp",
        )
        parser.add_argument(
            "--source",
            default=None,
            help=f"where the ids come from (default movielens, for other formats {DEFAULT_SOURCE}): the same "
            "id of the same source is the same row, so give two MovieLens sets different names",
        )
        parser.add_argument("--encoding", default="utf-8", help="of a csv or jsonl file (default utf-8)")

    def handle(
        self,
        *,
        path: Path,
        file_format: str,
        rating_types: RatingTypes,
        columns: dict[str, str],
        source: str | None,
        encoding: str,
        **options: Any,
    ) -> None:
        """Import the file."""
        with show_progress() as progress:
            summary = import_interactions(
                path,
                file_format,
                source=source or ("movielens" if file_format == "movielens" else DEFAULT_SOURCE),
                now=timezone.now(),
                options=ReadOptions(columns, encoding),
                rating_types=rating_types,
                progress=progress,
            )
        self.stdout.write(
            f"Read {summary.n_acts:,} acts from {path}. New: {summary.n_new_acts:,} acts, "
            f"{summary.n_new_users:,} users, {summary.n_new_startups:,} startups."
        )
        self.warn_if_stale(live=summary.live)


def _rating_types(text: str) -> RatingTypes:
    try:
        return RatingTypes.parse(text)
    except ConfigError as error:
        raise ArgumentTypeError(str(error)) from None


def _columns(text: str) -> dict[str, str]:
    try:
        return parse_columns(text)
    except ConfigError as error:
        raise ArgumentTypeError(str(error)) from None
