"""`recsys compare`."""

from __future__ import annotations

import argparse
import sys

from recsys.config import parse_overrides
from recsys.paths import experiments_dir
from recsys.progress import show_progress
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.script import add_override_flags
from recsys.training.split_data import add_split_flags, open_split


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its flags."""
    parser = commands.add_parser(
        "compare", help="recommenders by NDCG@10 on one split, paired user by user; the winner named"
    )
    parser.add_argument("recommenders", nargs="+", choices=list(RECOMMENDERS))
    add_split_flags(parser)
    add_override_flags(parser)
    parser.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> None:
    from recsys.experiments.tuned import tuned_overrides
    from recsys.training.choosing import merged, with_parts
    from recsys.training.comparing import compare

    data = open_split(options, needs_test=True)
    sys.stdout.write(data.note)
    overrides = parse_overrides(options.set)
    if options.tuned:
        names = with_parts(options.recommenders)
        tuned, facts = tuned_overrides(experiments_dir(), names, data.version)
        overrides = merged(tuned, overrides)
        for name in names:
            print(f"{name}: {_told(facts[name]) if name in facts else 'never tuned, as configured'}")
    with show_progress() as progress:
        result = compare(
            options.recommenders,
            data.read_test(),
            overrides,
            data_version=data.version,
            folder=experiments_dir(),
            progress=progress,
        )
    print(result.report())


def _told(facts: dict[str, object]) -> str:
    where = "this data" if facts["is_same_data"] else "other data"
    return f"tuned on {where}, version {facts['tuned_on']}, at {facts['tuned_at']}"
