"""`recsys train svd` and `recsys tune svd`, likewise mf and feature_als: the rating pipelines.

They take other data and other flags than `recsys train` and `recsys tune`, so the first word after
those decides, before their own flags are read.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.commands.arguments import folder
from recsys.config import parse_assignments, read_section
from recsys.errors import ConfigError, DataError
from recsys.paths import logs_dir, models_dir
from recsys.progress import show_progress
from recsys.recommenders.rating_table import RATING_RECOMMENDERS, make_rating_recommender

if TYPE_CHECKING:
    from recsys.training.rating_training import CategoryResult, RatingPlan
    from recsys.training.rating_tuning import Tuning

TRAIN, TUNE = "train", "tune"
PIPELINES = ", ".join(RATING_RECOMMENDERS)
EPILOG = f"Rating pipelines ({PIPELINES}) have flags of their own: recsys {{command}} svd --help."


def is_asked_for(arguments: Sequence[str]) -> bool:
    """Whether a command line is of a rating pipeline.

    >>> is_asked_for(["train", "svd", "--data", "FOLDER"]), is_asked_for(["train"])
    (True, False)
    """
    return len(arguments) > 1 and arguments[0] in (TRAIN, TUNE) and arguments[1] in RATING_RECOMMENDERS


def mention(parsers: dict[str, argparse.ArgumentParser]) -> None:
    """Name the pipelines in the help of `recsys train` and `recsys tune`."""
    for command in (TRAIN, TUNE):
        parsers[command].epilog = EPILOG.format(command=command)


def run(arguments: Sequence[str]) -> None:
    """Parse and run; `is_asked_for` must hold."""
    command, name, *rest = arguments
    parser = _parser(command, name)
    options = parser.parse_args(rest)
    (_tune if command == TUNE else _train)(name, options)


def default_models(name: str) -> Path:
    """Where a pipeline keeps its categories when no folder is named."""
    return models_dir() / "rating" / name


def _parser(command: str, name: str) -> argparse.ArgumentParser:
    what = "choose the hyper-parameters of" if command == TUNE else "train"
    parser = argparse.ArgumentParser(
        prog=f"recsys {command} {name}",
        description=f"{what.capitalize()} {name} on rating folders, a category each; one that fails does not "
        "stop the others, and the exit code is then 1.",
    )
    parser.add_argument(
        "--data",
        type=folder,
        nargs="+",
        required=True,
        metavar="FOLDER",
        help="folders of `recsys import`, or a folder with a folder a category",
    )
    parser.add_argument(
        "--category", nargs="+", default=[], metavar="NAME", help="of the categories there these alone"
    )
    parser.add_argument(
        "--output",
        type=folder,
        default=default_models(name),
        metavar="FOLDER",
        help="where each category gets a folder (default: %(default)s)",
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help=f"replace {name}'s hyper-parameters"
    )
    parser.add_argument("--again", action="store_true", help=f"{command} what is there already too")
    _add_split_flags(parser)
    if command == TUNE:
        _add_tuning_flags(parser, name)
    return parser


def _add_split_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shares",
        type=float,
        nargs=3,
        default=(0.8, 0.1, 0.1),
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help="how to divide the ratings of a category that was not imported in train, valid and test files "
        "(default: 0.8 0.1 0.1)",
    )
    parser.add_argument(
        "--split-by",
        choices=["user", "global"],
        default="user",
        help="each user's ratings by the shares, or all ratings alike (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the division (default: %(default)s)")
    parser.add_argument(
        "--relevant-at",
        type=float,
        metavar="POINTS",
        help="an item is liked from so many points (default: three quarters up the range, 4 of 1 to 5)",
    )


def _add_tuning_flags(parser: argparse.ArgumentParser, name: str) -> None:
    from recsys.training.rating_tuning import METRICS, choice_of

    choice = choice_of(name)
    parser.add_argument(
        "--grid",
        nargs="+",
        default=[],
        metavar="NAME=VALUE,VALUE",
        help=f"values to try instead of the section {name}_grid, such as factors=5,10",
    )
    parser.add_argument(
        "--metric", choices=METRICS, default=choice.metric, help="what to choose by (default: %(default)s)"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=choice.tolerance,
        help="the smallest value this share near the best wins (default: %(default)s)",
    )


def _train(name: str, options: argparse.Namespace) -> None:
    from recsys.training.rating_data import find_categories
    from recsys.training.rating_training import check_output, each_category, train_category
    from recsys.training.run_log import run_log

    plan = _plan(name, options)
    categories = find_categories(options.data, options.category)
    check_output(plan.output)
    with run_log(plan.logs_dir, f"rating_{name}") as log_file, show_progress() as progress:
        results = each_category(categories, lambda one, told: train_category(one, plan, told), progress)
    _tell(results, plan, [], log_file)


def _tune(name: str, options: argparse.Namespace) -> None:
    from recsys.training.rating_data import find_categories
    from recsys.training.rating_report import format_tuning
    from recsys.training.rating_training import check_output, each_category
    from recsys.training.rating_tuning import Choice, tune_category
    from recsys.training.run_log import run_log

    plan = _plan(name, options)
    choice = Choice(options.metric, options.tolerance)
    grid = _read_grid(plan, options.grid)
    categories = find_categories(options.data, options.category)
    check_output(plan.output)
    tunings: list[Tuning] = []

    def tune(category, told):  # type: ignore[no-untyped-def]  # as each_category calls it
        tunings.append(tune_category(category, plan, grid, choice, told))
        return tunings[-1].result

    with run_log(plan.logs_dir, f"rating_tune_{name}") as log_file, show_progress() as progress:
        results = each_category(categories, tune, progress)
    for tuning in tunings:
        print(format_tuning(tuning, choice), end="")
    _tell(results, plan, _draw_tunings(tunings, plan), log_file)


def _plan(name: str, options: argparse.Namespace) -> RatingPlan:
    from recsys.training.rating_data import SplitOptions
    from recsys.training.rating_training import RatingPlan

    overrides = parse_assignments(options.set)
    make_rating_recommender(name, **overrides)  # a bad value is told before anything is read
    split = SplitOptions(tuple(options.shares), options.split_by, options.seed)
    return RatingPlan(
        name, options.output, logs_dir(), overrides, split, options.relevant_at, again=options.again
    )


def _read_grid(plan: RatingPlan, assignments: list[str]) -> dict[str, list[object]]:
    """The values to try, checked before anything is read."""
    from recsys.training.rating_tuning import check_grid

    given = parse_assignments(assignments)
    grid: dict[str, list[object]] = {
        name: list(dict.fromkeys(str(values).split(","))) for name, values in given.items()
    }
    both = sorted(set(grid) & set(plan.overrides))
    if both:
        raise ConfigError(f"{both[0]} is in --grid and in --set; give it in one of them.")
    grid = grid or read_section(f"{plan.recommender}_grid")
    check_grid(plan, grid)
    return grid


def _draw_curves(results: Sequence[CategoryResult], plan: RatingPlan) -> list[Path]:
    """The learning curve of each category that was trained now, where its recommender learns in epochs."""
    from recsys.training.rating_plots import plot_learning_curve
    from recsys.training.rating_training import TRAINED

    drawn = [
        plot_learning_curve(plan.output / result.category, f"{plan.recommender}, {result.category}")
        for result in results
        if result.status == TRAINED
    ]
    return [path for path in drawn if path is not None]


def _draw_tunings(tunings: Sequence[Tuning], plan: RatingPlan) -> list[Path]:
    """The pictures of what was tuned now, after its table."""
    from recsys.training.rating_plots import plot_tuning, plot_validation_against_test
    from recsys.training.rating_tuning import TUNING_FILE

    written: list[Path] = []
    for tuning in tunings:
        if tuning.chosen is None:
            continue
        category = tuning.result.category
        title, kept_in = f"{plan.recommender}, {category}", plan.output / category
        written += [kept_in / TUNING_FILE, kept_in / "tuning.png"]
        plot_tuning(tuning.trials, tuning.chosen, title, written[-1])
        compared = kept_in / "validation_against_test.png"
        if tuning.result.figures:
            written.append(compared)
            plot_validation_against_test(tuning.chosen.figures, tuning.result.figures, title, compared)
        else:
            compared.unlink(missing_ok=True)  # of an earlier choice
    return written


def _write_results(plan: RatingPlan) -> list[Path]:
    """A table and a picture of all that is kept there, now or before."""
    from recsys.training.rating_plots import plot_results
    from recsys.training.rating_training import RESULTS_FILE, kept_results, write_results

    written = [plan.output / RESULTS_FILE]
    kept = kept_results(plan.output, plan.recommender)
    write_results(kept, written[0])
    picture = plan.output / "results.png"
    if any(one.figures for one in kept):
        written.append(picture)
        plot_results(kept, plan.recommender, picture)
    else:
        picture.unlink(missing_ok=True)  # of an earlier run
    return written


def _tell(
    results: Sequence[CategoryResult], plan: RatingPlan, written: Sequence[Path], log_file: Path
) -> None:
    """The summary, where everything is, and an error when a category failed."""
    from recsys.training.rating_report import format_summary
    from recsys.training.rating_training import FAILED

    curves = _draw_curves(results, plan)
    print(format_summary(results))
    print(f"Kept in {plan.output}")
    for path in (*written, *curves, *_write_results(plan)):
        print(f"Written: {path}")
    print(f"Log: {log_file}")
    if curves:
        name = curves[0].parent.name
        only = f" --category {shlex.quote(name)}" if len(curves) == 1 and name.isprintable() else ""
        print(f"This run beside those before it: recsys inspect {plan.recommender}{only} --log")
    failed = [result.category for result in results if result.status == FAILED]
    if failed:
        raise DataError(f"{len(failed)} of {len(results)} categories failed: {', '.join(failed)}; see above.")
