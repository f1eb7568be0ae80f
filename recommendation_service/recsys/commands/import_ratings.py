"""`recsys import`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from recsys.errors import ConfigError


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its flags."""
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
