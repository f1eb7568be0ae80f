"""`recsys tune`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.config import parse_assignments
from recsys.datasets.opening import open_dataset
from recsys.datasets.public_split import load_public_split, load_public_train
from recsys.datasets.splits import Split, split_for_training
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError
from recsys.paths import experiments_dir
from recsys.progress import show_progress
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.script import add_data_flags
from recsys.types import ProgressCallback

if TYPE_CHECKING:
    from recsys.training.tuning.study import Study

VERSION_LENGTH = 12  # of a dataset's hash, as in the log of experiments
DEFAULT_METRIC, DEFAULT_OUTPUT = "precision@10", Path("tuning.csv")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its flags."""
    parser = commands.add_parser(
        "tune", help="search of the section <recommender>_search: a plain grid, or in three stages"
    )
    parser.add_argument("recommender", choices=list(RECOMMENDERS))
    parser.add_argument(
        "--stage",
        choices=["coarse", "fine", "validate"],
        help="coarse: a grid; fine: around its best, by Optuna; validate: fit the choice on all but the "
        "test part and read that, once. Without: the section's grid, by --metric",
    )
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
        "--grid",
        nargs="+",
        default=[],
        metavar="NAME=VALUE,VALUE",
        help="values to try instead of the section's, such as alpha=1,4,40 factors=16,64",
    )
    _add_stage_flags(parser)
    _add_grid_flags(parser)
    parser.set_defaults(run=_tune)


def _add_stage_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with --stage; the log lies in $RECSYS_EXPERIMENTS_DIR")
    group.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="what every try has, such as engine=irspack; fine and validate go on with those tries alone",
    )
    group.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="tries side by side; never more than cores, nor than memory holds (default: as many as cores)",
    )
    group.add_argument(
        "--trials", type=int, metavar="N", help="fine: tries in all (default: the section's trials)"
    )
    group.add_argument(
        "--again", action="store_true", help="validate: read the test part although it was read before"
    )


def _add_grid_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("without --stage")
    group.add_argument("--metric", help=f"what to choose by, such as ndcg@20 (default: {DEFAULT_METRIC})")
    group.add_argument("--output", type=Path, help=f"CSV of every try (default: {DEFAULT_OUTPUT})")


def _tune(options: argparse.Namespace) -> None:
    if options.stage is None:
        _search_grid(options)
    else:
        _run_stage(options)


def _search_grid(options: argparse.Namespace) -> None:
    from recsys.training.tuning.grid import grid_search
    from recsys.training.tuning.space import read_grid

    used = {
        "--set": options.set,
        "--jobs": options.jobs,
        "--trials": options.trials,
        "--again": options.again,
    }
    _refuse_flags(used, "goes with a --stage; a plain grid takes --grid")
    train, test = _load_for_tuning(options)
    with show_progress() as progress:
        result = grid_search(
            train,
            options.recommender,
            _read_values(options.grid) or read_grid(options.recommender),
            output=options.output or DEFAULT_OUTPUT,
            test=test,
            validation_split=options.validation_split,
            metric=options.metric or DEFAULT_METRIC,
            progress=progress,
        )
    print(result.report())


def _run_stage(options: argparse.Namespace) -> None:
    from recsys.training.tuning.plots import plot_search
    from recsys.training.tuning.report import report_search
    from recsys.training.tuning.validate import validate

    used = {"--metric": options.metric, "--output": options.output}
    _refuse_flags(used, "goes without a --stage; the stages choose by ndcg@10 and keep a log of their own")
    flags = {"coarse": ("--grid", options.grid), "fine": ("--trials", options.trials)}
    others = {**dict(flags[stage] for stage in flags if stage != options.stage)}
    if options.stage != "validate":
        others["--again"] = options.again
    _refuse_flags(others, f"is no flag of the stage {options.stage}")
    if options.stage == "validate" and options.train is not None and options.test is None:
        raise ConfigError("The stage validate reads a test part: name the --test file of the public split.")
    if options.train is None and options.test is not None:
        raise ConfigError("--test is the test file of a public split; name its --train too.")
    with show_progress() as progress:
        study = _open_study(options, progress)
        if options.stage == "validate":
            print(validate(study, lambda: _load_test(options), again=options.again).report())
            return
        if options.stage == "coarse":
            result = study.coarse(_read_values(options.grid) or None)
        else:
            result = study.fine(options.trials)
    print(report_search(result))
    for path in plot_search(study.folder, result.rows, result.choice):
        print(f"plot: {path}")


def _open_study(options: argparse.Namespace, progress: ProgressCallback) -> Study:
    """The search on what may be chosen from; a public test file is not opened."""
    from recsys.training.tuning.study import Study

    if options.train is None:
        dataset = open_dataset(options.data)
        split = split_for_training(dataset, options.test_split, seed=0)
        train, held_back = split.train, split.strategy
    else:
        dataset = train = load_public_train(options.train)
        held_back = ""
    return Study(
        options.recommender,
        train,
        dataset.content_hash[:VERSION_LENGTH],
        experiments_dir(),
        validation_split=options.validation_split,
        held_back=held_back,
        fixed=parse_assignments(options.set),
        jobs=options.jobs,
        progress=progress,
    )


def _load_test(options: argparse.Namespace) -> Split:
    """Train and validation part together, and the test part."""
    if options.train is not None:
        return load_public_split(options.train, options.test)
    return split_for_training(open_dataset(options.data), options.test_split, seed=0)


def _refuse_flags(used: dict[str, object], why: str) -> None:
    wrong = [name for name, value in used.items() if value]
    if wrong:
        raise ConfigError(f"{wrong[0]} {why}.")


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


def _read_values(assignments: list[str]) -> dict[str, list[object]]:
    """NAME=VALUE,VALUE as lists of values."""
    return {name: list(str(values).split(",")) for name, values in parse_assignments(assignments).items()}
