"""`recsys train`."""

from __future__ import annotations

import argparse

from recsys.config import parse_overrides, read_section
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.pipeline import TrainingPlan
from recsys.training.script import (
    add_data_flags,
    add_models_flag,
    add_override_flags,
    add_warm_start_flag,
    train_from_options,
)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its flags."""
    parser = commands.add_parser("train", help="train what the configuration enables, evaluate, publish")
    add_data_flags(parser)
    add_models_flag(parser)
    add_warm_start_flag(parser)
    parser.add_argument(
        "--recommenders", nargs="+", choices=list(RECOMMENDERS), help="instead of the configured ones"
    )
    add_override_flags(parser)
    parser.add_argument(
        "--best",
        action="store_true",
        help="take the hyper-parameters of the versions that recsys best names; --set wins over them",
    )
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    recommenders = options.recommenders or read_section(TrainingPlan.section)["recommenders"]
    kind = recommenders[0] if len(recommenders) == 1 else "train"  # so two run side by side have logs apart
    train_from_options(options, recommenders, parse_overrides(options.set), kind=kind)
