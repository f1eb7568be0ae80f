"""The trainers' command lines: flags derived from the configuration, figures on stdout, logs on stderr."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from recsys.config import SectionConfig, read_section
from recsys.datasets.opening import is_processed, open_dataset, open_processed
from recsys.datasets.processed import ProcessedData
from recsys.datasets.subsample import describe_subsample
from recsys.datasets.user_items import MATRIX_FILE
from recsys.errors import ConfigError, RecsysError, interrupt_in
from recsys.paths import data_dir, logs_dir, models_dir
from recsys.progress import show_progress
from recsys.recommenders.table import BASELINE, RECOMMENDERS
from recsys.training.choosing import check_overrides, with_parts
from recsys.training.figures import answered_means, format_figures, judge
from recsys.training.pipeline import TrainingPlan, TrainingResult, train_and_publish
from recsys.training.run_log import run_log

ALWAYS_TRAINED = ("popularity", "content")
OWN_OF_PROCESSED = ("test_split", "max_users", "max_items")  # what processed data has decided


def run_training(name: str, description: str, argv: Sequence[str] | None = None) -> int:
    """`train_<name>.py`: train one recommender with popularity and content, publish, print its figures."""
    return exit_code(lambda: _run_training(name, description, argv))


def _run_training(name: str, description: str, argv: Sequence[str] | None) -> None:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_flags(parser)
    add_models_flag(parser)
    if name == "als":
        add_warm_start_flag(parser)
    add_config_flags(parser, RECOMMENDERS[name][1])
    options = parser.parse_args(argv)
    fields = [field.name for field in dataclasses.fields(RECOMMENDERS[name][1])]
    overrides = {name: {f: getattr(options, f) for f in fields if getattr(options, f) is not None}}
    names = (*ALWAYS_TRAINED, name)
    train_from_options(options, names, overrides, kind=name)


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    """--data, --max-users, --max-items and --test-split (None where it is not given)."""
    parser.add_argument(
        "--data",
        type=Path,
        default=data_dir() / MATRIX_FILE,
        help="the exported matrix or its folder, or that of `recsys import` or `recsys process`, whose own "
        "split is then kept (default: %(default)s)",
    )
    add_size_flags(parser)
    parser.add_argument(
        "--test-split",
        type=float,
        help="share of the acts, the latest, kept aside to measure on; 0: none "
        f"(default: {read_section(TrainingPlan.section)['test_split']})",
    )


def chosen_test_split(options: argparse.Namespace) -> float:
    """--test-split, or the configured share where it is not given."""
    given = options.test_split
    return float(read_section(TrainingPlan.section)["test_split"] if given is None else given)


def processed_of(options: argparse.Namespace) -> ProcessedData | None:
    """The processed data that --data names; None where it names something else.

    Raises:
        ConfigError: a flag would part or split what has its own users and its own split.
        DataError: the version is not there or damaged.
    """
    if not is_processed(options.data):
        return None
    for name in OWN_OF_PROCESSED:
        value, flag = getattr(options, name), "--" + name.replace("_", "-")
        if value is not None:
            raise ConfigError(
                f"{flag} does not go with processed data: {options.data} has its own users and split. "
                f"Leave it out, or make another version: recsys process {flag} {value}."
            )
    return open_processed(options.data)


def add_size_flags(parser: argparse.ArgumentParser) -> None:
    """--max-users and --max-items."""
    parser.add_argument("--max-users", type=int, metavar="N", help="learn from this many users, at random")
    parser.add_argument("--max-items", type=int, metavar="N", help="and from the N most popular items")


def add_override_flags(parser: argparse.ArgumentParser) -> None:
    """--set, by recommender, and --tuned."""
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="RECOMMENDER.NAME=VALUE", help="replace hyper-parameters"
    )
    parser.add_argument(
        "--tuned",
        action="store_true",
        help="take hyper-parameters that recsys tune NAME --stage validate saved; --set wins over them",
    )


def add_models_flag(parser: argparse.ArgumentParser) -> None:
    """--models-dir."""
    parser.add_argument(
        "--models-dir", type=Path, default=models_dir(), help="where to publish (default: %(default)s)"
    )


def add_warm_start_flag(parser: argparse.ArgumentParser) -> None:
    """--warm-start and --no-warm-start."""
    default = read_section(TrainingPlan.section)["warm_start"]
    parser.add_argument(
        "--warm-start",
        action=argparse.BooleanOptionalAction,
        default=default,
        help="publish an als that starts from the served factors, with fewer iterations; it is measured "
        f"without (default: {str(default).lower()})",
    )


def add_config_flags(parser: argparse.ArgumentParser, config: type[SectionConfig]) -> None:
    """A flag for every hyper-parameter, with the default of the configuration file."""
    defaults, hints = read_section(config.section), get_type_hints(config)
    for field in dataclasses.fields(config):
        flag = "--" + field.name.replace("_", "-")
        kind, told = hints[field.name], f"default: {defaults[field.name]}"
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=told.lower())
        else:
            parser.add_argument(flag, type=kind, default=None, help=told)


def train_from_options(
    options: argparse.Namespace,
    recommenders: Sequence[str],
    overrides: Mapping[str, Mapping[str, object]],
    *,
    kind: str,
) -> None:
    """Load, train, publish and print."""
    check_overrides(with_parts((BASELINE, *recommenders)), overrides)
    changed: dict[str, object] = {"test_split": chosen_test_split(options)}
    if "warm_start" in options:
        changed["warm_start"] = options.warm_start
    if getattr(options, "tuned", False):
        changed["use_tuned"] = True
    if getattr(options, "best", False):
        if options.tuned:
            raise ConfigError(
                "--best and --tuned both say where hyper-parameters come from; name one of them."
            )
        changed |= {"use_best": True, "use_tuned": False}
    plan = TrainingPlan.default(recommenders=tuple(recommenders), overrides=overrides, **changed)
    with run_log(logs_dir(), kind) as log_file:
        processed = processed_of(options)
        if processed is not None:
            dataset, split = processed.dataset, processed.split
        else:
            dataset = open_dataset(options.data, max_users=options.max_users, max_items=options.max_items)
            split = None
        with show_progress() as progress:
            result = train_and_publish(
                dataset, options.models_dir, plan, logs_dir=logs_dir(), split=split, progress=progress
            )
    part = describe_subsample(dataset)
    if part is not None:
        sys.stdout.write(f"{part}\n")
    print_result(result, kind, n_interactions=int(dataset.user_items.nnz), k=plan.k)
    print_published(result, options.models_dir, log_file)


def print_published(result: TrainingResult, models_dir: Path, log_file: Path) -> None:
    """Where what was trained lies, and what was said meanwhile."""
    sys.stdout.write(f"\nPublished release {result.version} to {models_dir} in {result.seconds:.1f} s.\n")
    sys.stdout.write(f"Log: {log_file}\n")


def print_result(result: TrainingResult, kind: str, *, n_interactions: int, k: int) -> None:
    """The figures beside the baseline's, the guide's verdict on them, and the warnings."""
    judged = kind if kind in RECOMMENDERS else "als"
    if result.evaluations:
        sys.stdout.write(format_figures(result.evaluations, judged, k))
    means = answered_means(result.evaluations, judged).get(judged) if result.evaluations else None
    if means and k == 10:
        sys.stdout.write(f"\n{judge(means, n_interactions)}\n")
    for note in result.verdict.notes:
        sys.stdout.write(f"Note: {note}\n")
    for warning in result.warnings:
        sys.stdout.write(f"Warning: {warning}\n")


def exit_code(job: Callable[[], Any]) -> int:
    """Run a job; 0 when done, 1 with one line on stderr for an error of ours."""
    to_stderr = logging.StreamHandler()
    to_stderr.setLevel(logging.WARNING)  # the run's log file takes INFO
    logging.basicConfig(handlers=[to_stderr], format="%(levelname)s %(name)s %(message)s")
    try:
        job()
    except RecsysError as error:
        logging.getLogger(__name__).info("failed: %s", error)
        sys.stderr.write(f"Error: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"Error: {error}; name another path, or mend this one.\n")
        return 1
    except (KeyboardInterrupt, SystemError) as error:
        stop = interrupt_in(error)
        if stop is None:
            raise
        how_to_go_on = getattr(stop, "__notes__", [])
        sys.stderr.write(" ".join(("Stopped; what was served before is still served.", *how_to_go_on)) + "\n")
        return 130
    return 0
