"""Fill the database with a synthetic world."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from config.commands import OperatorCommand
from interactions.demo import seed_demo
from recsys.datasets.synthetic import DEMO_USERS, PRESETS
from recsys.progress import show_progress


class Command(OperatorCommand):
    """Reads arguments, seeds, says what was new."""

    help = (
        "Put a synthetic world into the database: startups, users whose taste is known, and half a year of "
        "views, clicks, likes, dislikes, favorites, applications and interests. The users "
        + ", ".join(f"{name} ({n_startups} startups)" for name, n_startups in DEMO_USERS.items())
        + " show the three ways of answering. The same numbers and seed make the same world, so running "
        "again adds nothing twice."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument("--users", type=int, default=400, help="default %(default)s, from 3 to 100,000")
        parser.add_argument(
            "--startups",
            type=int,
            default=300,
            help="default %(default)s, from 25 to 100,000; 0: people act on the startups that are there, of "
            "which import_startups makes some",
        )
        parser.add_argument("--seed", type=int, default=7, help="default %(default)s")
        parser.add_argument(
            "--preset",
            choices=list(PRESETS),
            default="dense",
            help="dense: people who come back; sparse: 1.2 acts a user (default %(default)s)",
        )

    def handle(self, *, users: int, startups: int, seed: int, preset: str, **options: Any) -> None:
        """Seed the world."""
        with show_progress() as progress:
            summary = seed_demo(
                n_users=users,
                n_startups=startups,
                seed=seed,
                preset=preset,
                now=timezone.now(),
                progress=progress,
            )
        self.stdout.write(
            f"The world of seed {seed} has {users:,} users, {summary.n_startups:,} startups and "
            f"{summary.n_acts:,} acts; new of them: {summary.n_new_users:,} users, "
            f"{summary.n_new_startups:,} startups, {summary.n_new_acts:,} acts."
        )
        self.warn_if_stale(live=summary.live)
