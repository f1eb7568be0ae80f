"""`recsys inspect`."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.commands.rating_recommend import add_models_flag, models_folder
from recsys.errors import ArtifactError, ConfigError
from recsys.paths import logs_dir
from recsys.recommenders.rating_table import RATING_RECOMMENDERS


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its flags."""
    parser = commands.add_parser("inspect", help="what a trained rating pipeline has learned")
    parser.add_argument("pipeline", choices=list(RATING_RECOMMENDERS))
    parser.add_argument("--category", help="one of them (default: every one)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--all", action="store_true", help="a smoke check of every category, pass or fail")
    instead.add_argument(
        "--log",
        action="store_true",
        help="every recorded run, wherever its model went, as a Markdown table: what it changed, its losses",
    )
    add_models_flag(parser)
    parser.set_defaults(run=_inspect)


def _inspect(options: argparse.Namespace) -> None:
    from recsys.artifacts.rating_artifact import load_rating_artifact
    from recsys.training.rating_inspection import artifact_folder, inspect_artifact

    if options.log:
        _print_log(options)
        return
    models = models_folder(options)
    if options.all:
        _check_all(models, options.pipeline)
        return
    for category in [options.category] if options.category is not None else _categories(models):
        folder = artifact_folder(models, category)
        print(inspect_artifact(load_rating_artifact(folder, options.pipeline), folder), end="\n\n")


def _print_log(options: argparse.Namespace) -> None:
    from recsys.training.rating_log import format_log

    if options.models is not None:
        raise ConfigError("--log reads the runs from the folder of logs, not --models; leave that out.")
    print(format_log(logs_dir(), options.pipeline, options.category), end="")


def _check_all(models: Path, pipeline: str) -> None:
    from recsys.training.rating_inspection import FAIL, check_category
    from recsys.training.rating_report import align, printable

    checks = [check_category(models, category, pipeline) for category in _categories(models)]
    print(
        "\n".join(
            align(
                [["category", "outcome"], *([printable(check.category), check.outcome] for check in checks)]
            )
        )
    )
    for check in checks:
        print(f"{printable(check.category)}: {check.detail}")
    failed = sum(check.outcome == FAIL for check in checks)
    print(f"{len(checks) - failed} of {len(checks)} categories pass")
    if failed:
        raise ArtifactError(f"{failed} of {len(checks)} categories fail; train them again.")


def _categories(models: Path) -> list[str]:
    from recsys.training.rating_inspection import trained_categories

    there = trained_categories(models)
    if not there:
        raise ArtifactError(
            f"{models.absolute()} holds no trained category; train one, or name another --models."
        )
    return there
