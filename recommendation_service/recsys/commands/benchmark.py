"""`recsys benchmark`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from recsys.config import parse_overrides
from recsys.errors import ConfigError
from recsys.progress import show_progress
from recsys.recommenders.table import RECOMMENDERS


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its flags."""
    parser = commands.add_parser(
        "benchmark",
        help="train and measure on a split that is given; prints one JSON line, and a table on stderr",
    )
    parser.add_argument(
        "--train",
        type=Path,
        metavar="FILE",
        help="`user item item ...` a line, or `user item [rating]`",
    )
    parser.add_argument("--test", type=Path, metavar="FILE", help="the same of the test part")
    parser.add_argument(
        "--processed",
        type=Path,
        metavar="FOLDER",
        help="instead of two files: what `recsys process` wrote, a version or all of them for the latest; "
        "its cold users are measured apart",
    )
    parser.add_argument("--recommender", choices=list(RECOMMENDERS), default="als")
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="replace hyper-parameters; those of an ensemble's parts as als.NAME=VALUE",
    )
    parser.add_argument(
        "--validation-split",
        type=float,
        default=0.1,
        help="share of train to choose epochs and blend on; 0: as configured (default: %(default)s)",
    )
    parser.add_argument(
        "--validation-popularity",
        type=float,
        default=0.0,
        metavar="POWER",
        help="hold popular items back more often, for a test part known to be more popular than train: "
        "a pair with a chance of its item's popularity to this power (default: %(default)s)",
    )
    parser.add_argument("--protocol", choices=["all-ranking"], default="all-ranking")
    parser.add_argument("--k", type=int, default=20, help="where lists are cut off (default: %(default)s)")
    parser.add_argument(
        "--cutoffs",
        type=int,
        nargs="+",
        default=[],
        metavar="K",
        help="other places to cut the same lists off at, such as 10 20 50",
    )
    parser.set_defaults(run=_benchmark)


def _benchmark(options: argparse.Namespace) -> None:
    from recsys.training.benchmark import BenchmarkPlan, run_benchmark, run_on_processed
    from recsys.training.figures import format_benchmark

    files = (options.train, options.test)
    if (options.processed is None) == (None in files) or (options.processed and any(files)):
        raise ConfigError("Name --train and --test, the files of a public split, or --processed.")
    plan = BenchmarkPlan(
        recommender=options.recommender,
        overrides=parse_overrides(
            [a if "." in a.partition("=")[0] else f"{options.recommender}.{a}" for a in options.set]
        ),
        protocol=options.protocol,
        k=options.k,
        cutoffs=tuple(options.cutoffs),
        validation_split=options.validation_split,
        validation_popularity=options.validation_popularity,
    )
    with show_progress() as progress:
        if options.processed is not None:
            figures = run_on_processed(options.processed, plan, progress=progress)
        else:
            figures = run_benchmark(*files, plan, progress=progress)
    sys.stderr.write(format_benchmark(figures))
    print(json.dumps(figures))
