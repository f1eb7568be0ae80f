"""`recsys tune`."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.config import parse_assignments, read_section
from recsys.datasets.opening import open_dataset
from recsys.datasets.public_split import load_public_split, load_public_train
from recsys.datasets.splits import Split, split_for_training
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError
from recsys.progress import show_progress
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.script import add_data_flags


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its flags."""
    parser = commands.add_parser("tune", help="grid search of the section <recommender>_grid")
    parser.add_argument("recommender", choices=list(RECOMMENDERS))
    add_data_flags(parser)
    parser.add_argument(
        "--train", type=Path, metavar="FILE", help="the train file of a public split, instead of --data"
    )
    parser.add_argument(
        "--test", type=Path, metavar="FILE", help="with --train: where the choice is tested, once"
    )
    parser.add_argument(
        "--validation-split",
        type=float,
        default=0.2,
        help="share of the train part held back to choose by (default: %(default)s)",
    )
    parser.add_argument(
        "--metric", default="precision@10", help="what to choose by, such as ndcg@20 (default: %(default)s)"
    )
    parser.add_argument(
        "--grid",
        nargs="+",
        default=[],
        metavar="NAME=VALUE,VALUE",
        help="values to try instead of the section's, such as alpha=1,4,40 factors=16,64",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("tuning.csv"), help="CSV of every try (default: %(default)s)"
    )
    parser.set_defaults(run=_tune)


def _tune(options: argparse.Namespace) -> None:
    from recsys.training.tuning import grid_search

    train, test = _load_for_tuning(options)
    with show_progress() as progress:
        result = grid_search(
            train,
            options.recommender,
            _read_grid(options.recommender, options.grid),
            output=options.output,
            test=test,
            validation_split=options.validation_split,
            metric=options.metric,
            progress=progress,
        )
    print(result.report())


def _load_for_tuning(options: argparse.Namespace) -> tuple[Dataset, Split | None]:
    """What to learn and choose from, and what to test the choice on."""
    if options.train is None and options.test is not None:
        raise ConfigError("--test is the test file of a public split; name its --train too.")
    if options.train is None:
        split = split_for_training(
            open_dataset(options.data, max_users=options.max_users, max_items=options.max_items),
            options.test_split,
            seed=0,
        )
    elif options.test is None:
        return load_public_train(options.train), None
    else:
        split = load_public_split(options.train, options.test)
    return split.train, split


def _read_grid(recommender: str, assignments: list[str]) -> dict[str, list[object]]:
    """The grid of the command line, or the configured one when it names none."""
    given = parse_assignments(assignments)
    if not given:
        return read_section(f"{recommender}_grid")
    return {name: list(str(values).split(",")) for name, values in given.items()}
