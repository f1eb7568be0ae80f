"""`recsys import`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.commands.arguments import folder
from recsys.errors import ConfigError, DataError
from recsys.progress import show_progress

if TYPE_CHECKING:
    from recsys.datasets.importers import ReadOptions
    from recsys.datasets.rating_limits import RatingLimits


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its flags."""
    from recsys.datasets.importers import FORMATS
    from recsys.datasets.rating_import import AMAZON
    from recsys.datasets.rating_limits import SAMPLE_SIZES, ZEROS

    parser = commands.add_parser(
        "import", help="a rating file or folder becomes a dataset folder with ratings.parquet"
    )
    parser.add_argument("path", type=Path)
    parser.add_argument(
        "--format",
        choices=[*FORMATS, AMAZON],
        required=True,
        help="amazon: a folder with a category a file, or a .train, .valid and .test file each; "
        "becomes a folder a category",
    )
    parser.add_argument("--output", type=folder, required=True, metavar="FOLDER")
    parser.add_argument(
        "--columns",
        type=_columns,
        default={},
        metavar="NAME=COLUMN,...",
        help="the file's own names of user, item, rating, timestamp, text",
    )
    parser.add_argument("--encoding", default="utf-8", help="of a csv or jsonl file (default: %(default)s)")
    kept = parser.add_argument_group("what is kept")
    kept.add_argument(
        "--zeros", choices=ZEROS, default=ZEROS[0], help="a rating of 0 says none was given (default: drop)"
    )
    kept.add_argument(
        "--scale",
        type=_scale,
        metavar="LOW:HIGH",
        help="the points there can be: ratings beyond are clipped, the range of predictions is this; "
        "MovieLens, Amazon and Book-Crossing have their own",
    )
    sizes = ", ".join(f"{name} {size:,}" for name, size in SAMPLE_SIZES.items() if size)
    kept.add_argument(
        "--sample",
        type=_sample,
        metavar="N",
        help=f"so many ratings of each category, at random: a number, or {sizes}, full for all (the default)",
    )
    kept.add_argument("--max-users", type=int, metavar="N", help="so many users, at random")
    kept.add_argument("--max-items", type=int, metavar="N", help="so many items, the most rated")
    kept.add_argument(
        "--k-core", type=int, default=1, metavar="K", help="users and items with at least K of one another"
    )
    kept.add_argument("--seed", type=int, default=0, help="of what is drawn at random (default: %(default)s)")
    parser.set_defaults(run=_import)


def _import(options: argparse.Namespace) -> None:
    from recsys.datasets.importers import ReadOptions
    from recsys.datasets.rating_import import AMAZON, import_ratings
    from recsys.datasets.rating_limits import RatingLimits

    names = ("zeros", "scale", "sample", "max_users", "max_items", "k_core", "seed")
    limits = RatingLimits(**{name: getattr(options, name) for name in names})
    reading = ReadOptions(options.columns, options.encoding)
    if options.format == AMAZON:
        _import_categories(options, reading, limits)
        return
    with show_progress() as progress:
        counts = import_ratings(
            options.path, options.format, options.output, reading, limits, progress=progress
        )
    print(json.dumps(counts))


def _import_categories(options: argparse.Namespace, reading: ReadOptions, limits: RatingLimits) -> None:
    """A line a category as soon as it is done; one that fails does not stop the others."""
    from recsys.datasets.rating_import import import_categories

    failed = []
    with show_progress() as progress:
        for category, outcome in import_categories(
            options.path, options.output, reading, limits, progress=progress
        ):
            if isinstance(outcome, DataError):
                failed.append(category)
                sys.stderr.write(f"{category}: {outcome}\n")
            else:
                print(json.dumps({"category": category, **outcome}), flush=True)
    if failed:
        raise DataError(f"{len(failed)} categories were not imported: {', '.join(failed)}; see above.")


def _columns(text: str) -> dict[str, str]:
    from recsys.datasets.importers import parse_columns

    try:
        return parse_columns(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _sample(text: str) -> int | None:
    from recsys.datasets.rating_limits import SAMPLE_SIZES

    if text in SAMPLE_SIZES:
        return SAMPLE_SIZES[text]
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor one of {', '.join(SAMPLE_SIZES)}")


def _scale(text: str) -> tuple[float, float]:
    low, colon, high = text.partition(":")
    try:
        if colon:
            return float(low), float(high)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not LOW:HIGH; write it like 1:5")
