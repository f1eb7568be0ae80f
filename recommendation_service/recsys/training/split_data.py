"""What a search or a comparison works on, with its test part: split here, by `recsys process`, or public."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from recsys.datasets.opening import open_dataset
from recsys.datasets.public_split import load_public_split, load_public_train
from recsys.datasets.splits import Split, split_for_training
from recsys.datasets.subsample import describe_subsample
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError, DataError
from recsys.experiments.trials import data_version
from recsys.training.script import add_data_flags, chosen_test_split, processed_of

OF_DATASETS = ("data", "max_users", "max_items", "test_split")


@dataclass(frozen=True)
class SplitData:
    """What may be learned and chosen from, and how to come by the test part.

    `version` is what the data is known by in the log of experiments: that of the part where a part was
    asked for, what `recsys process` called it where it made the data. `held_back` says how the test part
    was split off, "" of a public split. `read_test` gives train and test part; a public test file is
    opened by it, not before. Without `has_test` there is none.
    """

    train: Dataset
    version: str
    held_back: str
    has_test: bool
    read_test: Callable[[], Split]

    @property
    def note(self) -> str:
        """Which part of the data it is, as a line; "" for the whole."""
        told = describe_subsample(self.train)
        return f"{told}\n" if told else ""


def add_split_flags(parser: argparse.ArgumentParser) -> None:
    """--data and what goes with it, and --train and --test of a public split."""
    add_data_flags(parser)
    defaults = {name: parser.get_default(name) for name in OF_DATASETS}
    parser.add_argument(
        "--train", type=Path, metavar="FILE", help="the train file of a public split, instead of --data"
    )
    parser.add_argument("--test", type=Path, metavar="FILE", help="with --train: its test file")
    parser.set_defaults(data_defaults=defaults)


def open_split(options: argparse.Namespace, *, needs_test: bool = False) -> SplitData:
    """What the flags name; `needs_test`: a public split without a test file will not do.

    Raises:
        ConfigError: flags that do not go together, or a number that cannot work.
        DataError: a file is missing or damaged, or the data is too small to be split.
    """
    if options.train is None:
        return _of_dataset(options)
    given = [name for name in OF_DATASETS if getattr(options, name) != options.data_defaults[name]]
    if given:
        flag = given[0].replace("_", "-")
        raise ConfigError(f"--{flag} goes with a dataset, not with a public split (--train).")
    if needs_test and options.test is None:
        raise ConfigError("A public split is two files, and both are read here: name its --test too.")
    dataset = load_public_train(options.train)
    return SplitData(
        dataset,
        data_version(dataset),
        held_back="",
        has_test=options.test is not None,
        read_test=lambda: load_public_split(options.train, options.test),
    )


def _of_dataset(options: argparse.Namespace) -> SplitData:
    if options.test is not None:
        raise ConfigError("--test is the test file of a public split; name its --train too.")
    processed = processed_of(options)
    if processed is not None:
        own = processed.split
        if own.test.nnz == 0:
            raise DataError(
                f"{options.data} holds nothing out; process the data with a --test-split above 0."
            )
        return SplitData(own.train, processed.version, own.strategy, has_test=True, read_test=lambda: own)
    dataset = open_dataset(options.data, max_users=options.max_users, max_items=options.max_items)
    split = split_for_training(dataset, chosen_test_split(options), seed=0)
    split = replace(split, strategy=split.strategy + _part(dataset))
    return SplitData(
        split.train, data_version(dataset), split.strategy, has_test=True, read_test=lambda: split
    )


def _part(dataset: Dataset) -> str:
    """Of how much of the data, for the protocol of every figure; "" of the whole."""
    facts = dataset.manifest.get("subsample")
    if facts is None:
        return ""
    return ", of {:,} of {:,} users and {:,} of {:,} items".format(*facts["users"], *facts["items"])
