"""The commands, and what they are for:

recsys train                              train what training_config.yaml enables, and publish
recsys train --set als.factors=64         the same with another hyper-parameter
recsys tune als                           grid search on a validation part, one test at the end
recsys tune als --train FILE              the same on a public split
recsys tune als --stage coarse            a search in three stages: coarse, fine, validate
recsys train --tuned                      with what the searches have chosen
recsys train --best                       with the recipes of the best kept versions
recsys compare als bpr                    by NDCG@10 on the same split, paired; the winner named
recsys benchmark --train FILE --test FILE a public split, one JSON line out
recsys import ratings.csv --output DIR    a rating file becomes a dataset folder
recsys process --data DIR --output DIR     matrices, hard negatives and held-out positives, by version
recsys train svd --data FOLDER            a rating pipeline (svd, mf, feature_als), a category a folder
recsys tune svd --data FOLDER             its hyper-parameters, on a validation part
recsys recommend svd --user ID --category NAME   what it offers a user
recsys inspect svd                        what it has learned; --all checks every category
recsys inspect mf --log                   every run so far: what it changed, its losses, as Markdown
recsys precompute --output lists.parquet  every user's list by the served release, for where no service runs
recsys releases                           what is kept, what is served
recsys best                               the best kept version of each, of those measured alike
recsys promote VERSION                    serve a kept release
recsys rollback                           serve the newest release older than the served one
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from recsys.commands import (
    benchmark,
    compare,
    import_ratings,
    precompute,
    process,
    rating_inspect,
    rating_pipelines,
    rating_recommend,
    releases,
    train,
    tune,
)
from recsys.training.script import exit_code

COMMANDS = (
    *(train, tune, compare, benchmark, import_ratings, process),
    *(rating_recommend, rating_inspect),
    *(precompute, releases),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run one command; returns the exit code."""
    return exit_code(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> None:
    arguments = sys.argv[1:] if argv is None else list(argv)
    if rating_pipelines.is_asked_for(arguments):
        rating_pipelines.run(arguments)
        return
    parser = argparse.ArgumentParser(
        prog="recsys", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    rating_pipelines.mention(commands.choices)
    options = parser.parse_args(arguments)
    options.run(options)


if __name__ == "__main__":
    raise SystemExit(main())
