"""recsys train | tune | benchmark | import | precompute | releases | best | promote | rollback.

recsys train                              train what training_config.yaml enables, and publish
recsys train --set als.factors=64         the same with another hyper-parameter
recsys tune als                           grid search on a validation part, one test at the end
recsys tune als --train FILE              the same on a public split
recsys benchmark --train FILE --test FILE a public split, one JSON line out
recsys import ratings.csv --output DIR    a rating file becomes a dataset folder
recsys precompute --output lists.parquet  every user's list by the served release, for where no service runs
recsys releases                           what is kept, what is served
recsys best                               the best kept version of each recommender by NDCG@10
recsys promote VERSION                    serve a kept release
recsys rollback                           serve the newest release older than the served one
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.config import parse_assignments, parse_overrides, read_section
from recsys.datasets.public_split import load_public_split, load_public_train
from recsys.datasets.splits import Split, split_for_training
from recsys.datasets.user_items import Dataset, load_dataset
from recsys.errors import ConfigError
from recsys.paths import models_dir
from recsys.progress import show_progress
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.pipeline import TrainingPlan
from recsys.training.script import add_data_flags, add_models_flag, exit_code, train_from_options

if TYPE_CHECKING:
    from recsys.artifacts.layout import Switch
    from recsys.serving.live_state import LiveState


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run one command; returns the exit code."""
    return exit_code(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> None:
    parser = argparse.ArgumentParser(
        prog="recsys", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_tune(commands)
    _add_benchmark(commands)
    _add_import(commands)
    _add_precompute(commands)
    _add_releases(commands)
    options = parser.parse_args(argv)
    options.run(options)


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("train", help="train what the configuration enables, evaluate, publish")
    add_data_flags(parser)
    add_models_flag(parser)
    parser.add_argument(
        "--recommenders", nargs="+", choices=list(RECOMMENDERS), help="instead of the configured ones"
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="RECOMMENDER.NAME=VALUE", help="replace hyper-parameters"
    )
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    recommenders = options.recommenders or read_section(TrainingPlan.section)["recommenders"]
    train_from_options(options, recommenders, parse_overrides(options.set), kind="train")


def _add_tune(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
        split = split_for_training(load_dataset(options.data), options.test_split, seed=0)
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


def _add_benchmark(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "benchmark", help="train and measure on a public split; prints one JSON line"
    )
    parser.add_argument(
        "--train",
        type=Path,
        required=True,
        metavar="FILE",
        help="`user item item ...` a line, or `user item [rating]`",
    )
    parser.add_argument("--test", type=Path, required=True, metavar="FILE")
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
    parser.add_argument("--k", type=int, default=20)
    parser.set_defaults(run=_benchmark)


def _benchmark(options: argparse.Namespace) -> None:
    from recsys.training.benchmark import run_benchmark

    with show_progress() as progress:
        figures = run_benchmark(
            options.train,
            options.test,
            recommender=options.recommender,
            overrides=parse_overrides(
                [a if "." in a.partition("=")[0] else f"{options.recommender}.{a}" for a in options.set]
            ),
            protocol=options.protocol,
            k=options.k,
            validation_split=options.validation_split,
            validation_popularity=options.validation_popularity,
            progress=progress,
        )
    print(json.dumps(figures))


def _add_import(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from recsys.datasets.importers import FORMATS

    parser = commands.add_parser(
        "import", help="a rating file or folder becomes a dataset folder with ratings.parquet"
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--format", choices=list(FORMATS), required=True)
    parser.add_argument("--output", type=_folder, required=True, metavar="FOLDER")
    parser.add_argument(
        "--columns",
        type=_columns,
        default={},
        metavar="NAME=COLUMN,...",
        help="the file's own names of user, item, rating, timestamp, text",
    )
    parser.add_argument("--encoding", default="utf-8", help="of a csv or jsonl file (default: %(default)s)")
    parser.set_defaults(run=_import)


def _import(options: argparse.Namespace) -> None:
    from recsys.datasets.importers import ReadOptions, read_catalogue, read_ratings
    from recsys.datasets.ratings import save_ratings

    ratings = read_ratings(options.path, options.format, ReadOptions(options.columns, options.encoding))
    manifest = save_ratings(ratings, options.output, catalogue=read_catalogue(options.path, options.format))
    print(json.dumps(manifest["counts"]))


def _folder(text: str) -> Path:
    """A folder that is named: Path("") would be the working folder, where an unset variable puts files."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; name a folder, or . for this one")
    return Path(text)


def _columns(text: str) -> dict[str, str]:
    from recsys.datasets.importers import parse_columns

    try:
        return parse_columns(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _add_precompute(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "precompute", help="every user's list by the served release, to Parquet; prints one JSON line"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.parquet")
    parser.add_argument("--models-dir", type=Path, default=models_dir(), help="default: %(default)s")
    parser.add_argument("--limit", type=int, default=10, help="startups a user (default: %(default)s)")
    parser.add_argument("--batch", type=int, help="users scored at once; by default what 128 MB hold")
    parser.add_argument("--reasons", action="store_true", help="write why each startup is in the list too")
    parser.add_argument(
        "--cold-below", type=int, default=5, help="COLD_BELOW of the service (default: %(default)s)"
    )
    parser.add_argument(
        "--hot-from", type=int, default=20, help="HOT_FROM of the service (default: %(default)s)"
    )
    parser.set_defaults(run=_precompute)


def _precompute(options: argparse.Namespace) -> None:
    from recsys.artifacts.release import open_current
    from recsys.serving.precompute import precompute
    from recsys.serving.router import Rules, Thresholds
    from recsys.training.measuring import peak_memory_mb

    rules = Rules(Thresholds(options.cold_below, options.hot_from))
    with show_progress() as progress:
        written = precompute(
            open_current(options.models_dir),
            options.output,
            live=_live_state(),
            limit=options.limit,
            batch_size=options.batch,
            with_reasons=options.reasons,
            rules=rules,
            progress=progress,
        )
    if written.notice is not None:
        print(f"The lists are not of this moment: {written.notice}.", file=sys.stderr)
    print(json.dumps({**asdict(written), "peak_memory_mb": peak_memory_mb()}))


def _live_state() -> LiveState | None:
    """What is in the Redis of REDIS_URL; None where that is not set."""
    from recsys.serving.live_catalogue import LiveCatalogueStore
    from recsys.serving.live_profile import LiveProfileStore
    from recsys.serving.live_state import LiveState
    from recsys.serving.redis_client import WRITE_TIMEOUT_S, connect

    url = os.environ.get("REDIS_URL")
    if not url:
        return None
    client = connect(url, timeout_s=WRITE_TIMEOUT_S)
    return LiveState(LiveProfileStore(client), LiveCatalogueStore(client))


def _add_releases(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("releases", help="the kept releases, the newest first")
    parser.set_defaults(run=_list_releases)
    add_models_flag(parser)
    parser = commands.add_parser("best", help="the best kept version of each recommender, one JSON line each")
    parser.set_defaults(run=_list_best)
    add_models_flag(parser)
    parser = commands.add_parser("promote", help="serve a kept release, verified first")
    parser.add_argument("version")
    parser.set_defaults(run=_promote)
    add_models_flag(parser)
    parser = commands.add_parser("rollback", help="serve the newest release older than the served one")
    parser.set_defaults(run=_roll_back)
    add_models_flag(parser)


def _list_releases(options: argparse.Namespace) -> None:
    from recsys.artifacts.promote import kept_releases

    for one in kept_releases(options.models_dir):
        state = one.fault or ", ".join((one.manifest or {})["recommenders"])
        print(f"{'*' if one.is_served else ' '} {one.version}  {state}")


def _list_best(options: argparse.Namespace) -> None:
    from recsys.artifacts.promote import kept_releases
    from recsys.experiments.registry import best_versions

    for one in best_versions(kept_releases(options.models_dir)).values():
        print(one.to_json())


def _promote(options: argparse.Namespace) -> None:
    from recsys.artifacts.promote import promote

    _tell_switch(promote(options.models_dir, options.version))


def _roll_back(options: argparse.Namespace) -> None:
    from recsys.artifacts.promote import roll_back

    _tell_switch(roll_back(options.models_dir))


def _tell_switch(switch: Switch) -> None:
    print(f"Served is {switch.version}, before it was {switch.previous or 'none'}.")


if __name__ == "__main__":
    raise SystemExit(main())
