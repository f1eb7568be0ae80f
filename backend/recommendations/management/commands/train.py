"""Train and publish, watched at a terminal."""

from __future__ import annotations

import logging

from django.conf import settings
from django.core.management.base import CommandParser

from config.commands import OperatorCommand
from recommendations.foreground import train_here
from recommendations.models import TrainingRun
from recommendations.plans import training_plan
from recsys.config import parse_overrides
from recsys.progress import show_progress
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.script import print_published, print_result


class Command(OperatorCommand):
    """What `train_all_models.sh` runs; the run is in the admin's list while it goes on and after."""

    help = (
        "Export the acts, train what training_config.yaml enables (or one recommender), evaluate, publish. A "
        "release that is worse than the served one is published with a warning."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The flags."""
        parser.add_argument(
            "--recommender",
            choices=list(RECOMMENDERS),
            default=TrainingRun.ALL,
            help="this one alone, with popularity and content beside it (default: those that are enabled)",
        )
        parser.add_argument(
            "--set",
            nargs="+",
            default=[],
            metavar="RECOMMENDER.NAME=VALUE",
            help="replace hyper-parameters, such as als.factors=64",
        )

    def handle(self, *, recommender: str, set: list[str], **options: object) -> None:  # noqa: A002
        """Train and print the figures."""
        parameters = parse_overrides(set)
        _keep_terminal_for_progress()
        with show_progress() as progress:
            trained = train_here(recommender, parameters, progress)
        print_result(
            trained.result,
            recommender,
            n_interactions=trained.run.dataset["counts"]["interactions"],
            k=training_plan(recommender, parameters).k,
        )
        print_published(trained.result, settings.MODELS_DIR, trained.log_file)


def _keep_terminal_for_progress() -> None:
    """What is only worth knowing later is in the log file of the run."""
    for handler in logging.getLogger().handlers:
        if handler.name == "stderr":
            handler.setLevel(logging.WARNING)
