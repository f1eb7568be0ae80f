"""`recsys tune`."""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

from recsys.config import parse_assignments
from recsys.errors import ConfigError
from recsys.paths import experiments_dir
from recsys.progress import show_progress
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.split_data import add_split_flags, open_split

DEFAULT_METRIC, DEFAULT_OUTPUT = "precision@10", Path("tuning.csv")
# What each way to search reads, beside the data; anything else is refused, for it would do nothing.
FLAGS_OF: dict[str | None, tuple[str, ...]] = {
    None: ("grid", "metric", "output", "validation_popularity"),
    "coarse": ("grid", "set", "jobs"),
    "fine": ("set", "jobs", "trials"),
    "validate": ("set", "again"),
}


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
    add_split_flags(parser)
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
    group.add_argument(
        "--validation-popularity",
        type=float,
        metavar="POWER",
        help="hold popular items back more often, as in `recsys benchmark` (default: 0)",
    )
    group.add_argument("--metric", help=f"what to choose by, such as ndcg@20 (default: {DEFAULT_METRIC})")
    group.add_argument("--output", type=Path, help=f"CSV of every try (default: {DEFAULT_OUTPUT})")


def _tune(options: argparse.Namespace) -> None:
    _check_flags(options)
    if options.stage is None:
        _search_grid(options)
    else:
        _run_stage(options)


def _check_flags(options: argparse.Namespace) -> None:
    """Refuse what this mode would not read."""
    for name in dict.fromkeys(itertools.chain(*FLAGS_OF.values())):
        value = getattr(options, name)
        is_given = value is not None and value is not False and value != []
        if is_given and name not in FLAGS_OF[options.stage]:
            fitting = " or ".join(_shown(mode) for mode, names in FLAGS_OF.items() if name in names)
            raise ConfigError(f"--{name.replace('_', '-')} goes {fitting}, not {_shown(options.stage)}.")


def _shown(stage: str | None) -> str:
    return "without a --stage" if stage is None else f"with --stage {stage}"


def _search_grid(options: argparse.Namespace) -> None:
    from recsys.training.tuning.grid import grid_search
    from recsys.training.tuning.space import read_grid

    grid = _read_values(options.grid) or read_grid(options.recommender)
    data = open_split(options)
    sys.stdout.write(data.note)
    with show_progress() as progress:
        result = grid_search(
            data.train,
            options.recommender,
            grid,
            output=options.output or DEFAULT_OUTPUT,
            test=data.read_test() if data.has_test else None,
            validation_split=options.validation_split,
            validation_popularity=options.validation_popularity or 0.0,
            metric=options.metric or DEFAULT_METRIC,
            progress=progress,
        )
    print(result.report())


def _run_stage(options: argparse.Namespace) -> None:
    from recsys.training.tuning.plots import plot_search
    from recsys.training.tuning.report import report_search
    from recsys.training.tuning.study import Study
    from recsys.training.tuning.validate import validate

    data = open_split(options, needs_test=options.stage == "validate")
    sys.stdout.write(data.note)
    with show_progress() as progress:
        study = Study(
            options.recommender,
            data.train,
            data.version,
            experiments_dir(),
            validation_split=options.validation_split,
            held_back=data.held_back,
            fixed=parse_assignments(options.set),
            jobs=options.jobs,
            progress=progress,
        )
        if options.stage == "validate":
            print(validate(study, data.read_test, again=options.again).report())
            return
        if options.stage == "coarse":
            result = study.coarse(_read_values(options.grid) or None)
        else:
            result = study.fine(options.trials)
    print(report_search(result))
    try:
        for path in plot_search(study.folder, result.rows, result.choice):
            print(f"plot: {path}")
    except OSError as error:  # the tries and the choice are in the log
        sys.stderr.write(
            f"Warning: no plot could be written to {study.folder} ({error.strerror or error}); free space "
            "and run the same command again: it draws from the log.\n"
        )


def _read_values(assignments: list[str]) -> dict[str, list[object]]:
    """NAME=VALUE,VALUE as lists of values."""
    lists = {name: str(values).split(",") for name, values in parse_assignments(assignments).items()}
    for name, values in lists.items():
        if not all(value.strip() for value in values):
            raise ConfigError(f"--grid {name}={','.join(values)} has an empty value; write {name}=1,2,4.")
    return {name: [*values] for name, values in lists.items()}
