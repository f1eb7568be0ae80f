"""Export the event log as the dataset the trainers read."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from config.commands import OperatorCommand
from interactions.export import export_als_dataset
from recsys.progress import show_progress


class Command(OperatorCommand):
    """Reads arguments, exports, says what was written."""

    help = (
        "Export the acts as the signed user x startup matrix the trainers read, with its mappings, times, "
        "catalogue and a manifest; then bring the live profiles up to date."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument(
            "--output-dir",
            type=Path,
            default=settings.DATASET_DIR,
            help="the folder to write (default %(default)s)",
        )
        parser.add_argument(
            "--min-interactions",
            type=int,
            default=1,
            help="keep users and startups with at least this many cells, repeated until nothing more falls "
            "out (default 1)",
        )
        parser.add_argument(
            "--as-of",
            type=_moment,
            metavar="ISO",
            help="the log as it was then (UTC unless it names a zone): the same matrix each time unless "
            "somebody was erased since",
        )
        parser.add_argument(
            "--weights-from",
            type=Path,
            metavar="MANIFEST",
            help="the als_manifest.json whose weights to use instead of those in the admin",
        )
        parser.add_argument(
            "--half-life-days",
            type=float,
            help="let positive acts fade: half their weight after this many days (default off)",
        )
        parser.add_argument(
            "--dislike-ttl-days", type=float, help="forget dislikes older than this (default off)"
        )

    def handle(
        self,
        *,
        output_dir: Path,
        min_interactions: int,
        as_of: datetime | None,
        weights_from: Path | None,
        half_life_days: float | None,
        dislike_ttl_days: float | None,
        **options: Any,
    ) -> None:
        """Export the dataset."""
        with show_progress() as progress:
            summary = export_als_dataset(
                output_dir,
                min_interactions=min_interactions,
                as_of=as_of,
                weights_from=weights_from,
                half_life_days=half_life_days,
                dislike_ttl_days=dislike_ttl_days,
                progress=progress,
            )
        self.stdout.write(
            f"Wrote {summary.n_interactions:,} interactions of {summary.n_users:,} users with "
            f"{summary.n_startups:,} startups (density {summary.density:.2%}), made of {summary.n_acts:,} "
            f"acts, to {summary.folder}"
        )
        self.warn_if_stale(live=summary.n_live_profiles is not None)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a time; write it like 2026-11-22T03:00:00Z.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
