"""`recsys compare`."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.config import parse_overrides
from recsys.datasets.opening import open_dataset
from recsys.datasets.public_split import load_public_split, load_public_train
from recsys.datasets.splits import Split, split_for_training
from recsys.errors import ConfigError
from recsys.paths import experiments_dir
from recsys.progress import show_progress
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.script import add_data_flags

VERSION_LENGTH = 12  # of a dataset's hash, as in the log of experiments


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its flags."""
    parser = commands.add_parser(
        "compare", help="recommenders by NDCG@10 on one split, paired user by user; the winner named"
    )
    parser.add_argument("recommenders", nargs="+", choices=list(RECOMMENDERS))
    add_data_flags(parser)
    parser.add_argument(
        "--train", type=Path, metavar="FILE", help="the train file of a public split, instead of --data"
    )
    parser.add_argument("--test", type=Path, metavar="FILE", help="its test file")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="RECOMMENDER.NAME=VALUE", help="replace hyper-parameters"
    )
    parser.add_argument(
        "--tuned",
        action="store_true",
        help="take hyper-parameters that recsys tune NAME --stage validate saved; --set wins over them",
    )
    parser.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> None:
    from recsys.experiments.tuned import tuned_overrides
    from recsys.training.choosing import merged
    from recsys.training.comparing import compare

    split, data_version = _load(options)
    overrides = parse_overrides(options.set)
    if options.tuned:
        tuned, facts = tuned_overrides(experiments_dir(), options.recommenders, data_version)
        overrides = merged(tuned, overrides)
        for name in options.recommenders:
            print(f"{name}: {_told(facts[name]) if name in facts else 'never tuned, as configured'}")
    with show_progress() as progress:
        result = compare(
            options.recommenders,
            split,
            overrides,
            data_version=data_version,
            folder=experiments_dir(),
            progress=progress,
        )
    print(result.report())


def _told(facts: dict[str, object]) -> str:
    where = "this data" if facts["is_same_data"] else "other data"
    return f"tuned on {where}, version {facts['tuned_on']}, at {facts['tuned_at']}"


def _load(options: argparse.Namespace) -> tuple[Split, str]:
    """The split, and the version its data is known by in the log, as `recsys tune` writes it."""
    if (options.train is None) != (options.test is None):
        raise ConfigError("A public split is two files: name both --train and --test.")
    if options.train is None:
        dataset = open_dataset(options.data)
        return split_for_training(dataset, options.test_split, seed=0), dataset.content_hash[:VERSION_LENGTH]
    version = load_public_train(options.train).content_hash[:VERSION_LENGTH]
    return load_public_split(options.train, options.test), version
