"""`recsys recommend`."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.commands.arguments import folder
from recsys.commands.rating_pipelines import default_models
from recsys.recommenders.rating_table import RATING_RECOMMENDERS


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its flags."""
    parser = commands.add_parser("recommend", help="what a trained rating pipeline offers a user")
    parser.add_argument("pipeline", choices=list(RATING_RECOMMENDERS))
    parser.add_argument("--user", required=True, metavar="ID")
    parser.add_argument("--category", required=True, help="the name of the folder it was trained on")
    parser.add_argument("--limit", type=int, default=10, help="default: %(default)s")
    add_models_flag(parser)
    parser.set_defaults(run=_recommend)


def add_models_flag(parser: argparse.ArgumentParser) -> None:
    """--models."""
    parser.add_argument(
        "--models",
        type=folder,
        metavar="FOLDER",
        help="the --output of the training (default: where it goes)",
    )


def models_folder(options: argparse.Namespace) -> Path:
    """The folder named, or the pipeline's own."""
    named: Path = options.models or default_models(options.pipeline)
    return named


def _recommend(options: argparse.Namespace) -> None:
    from recsys.artifacts.rating_artifact import load_rating_artifact
    from recsys.training.rating_inspection import artifact_folder, format_answer, recommend_for
    from recsys.training.rating_report import align

    artifact = load_rating_artifact(
        artifact_folder(models_folder(options), options.category), options.pipeline
    )
    answer = recommend_for(artifact, options.user, options.limit)
    print("\n".join(align(format_answer(artifact, answer))))
    if answer.label:
        print(answer.label)
