"""`recsys process`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recsys.datasets.processing import ProcessingConfig
from recsys.errors import ConfigError
from recsys.training.memory import check_processing
from recsys.training.script import add_size_flags

LISTED = ("trainable_users", "cold_users", "items", "train_cells", "test_positives")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its flags."""
    defaults = asdict(ProcessingConfig.default())
    parser = commands.add_parser(
        "process", help="a dataset becomes a version of processed data; prints one JSON line"
    )
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="an export, a rating folder, or a public train file"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="where the versions lie, a folder each"
    )
    parser.add_argument("--list", action="store_true", help="the versions there, the newest first")
    parser.add_argument(
        "--min-user-interactions",
        type=int,
        metavar="N",
        help="users with fewer cells in the train part are cold "
        f"(default: {defaults['min_user_interactions']})",
    )
    parser.add_argument(
        "--test-split", type=float, help=f"share held out; 0: none (default: {defaults['test_split']})"
    )
    parser.add_argument(
        "--counts", type=Path, metavar="FILE", help="CSV or Parquet of item and count, such as sales"
    )
    add_size_flags(parser)
    parser.set_defaults(run=_process)


def _process(options: argparse.Namespace) -> None:
    if options.list:
        _print_list(options.output)
        return
    from recsys.datasets.item_counts import read_item_counts
    from recsys.datasets.opening import open_dataset
    from recsys.datasets.processed import save_processed, version_of
    from recsys.datasets.processing import process_dataset

    if options.data is None:
        raise ConfigError("Nothing to process: name the folder with --data, or ask for --list.")
    given = {"min_user_interactions": options.min_user_interactions, "test_split": options.test_split}
    config = ProcessingConfig.default(**{name: value for name, value in given.items() if value is not None})
    dataset = open_dataset(options.data, max_users=options.max_users, max_items=options.max_items)
    check_processing(dataset)
    counts = None if options.counts is None else read_item_counts(options.counts, dataset.item_mapping)
    facts: dict[str, Any] = {"dataset": dataset.content_hash[:12], "options": asdict(config)}
    facts |= {name: dataset.manifest[name] for name in ("ratings", "subsample") if name in dataset.manifest}
    manifest = save_processed(
        process_dataset(dataset, config, counts=counts),
        options.output,
        version_of(dataset, config, counts),
        facts=facts,
    )
    print(json.dumps({name: value for name, value in manifest.items() if name != "files"}))


def _print_list(root: Path) -> None:
    from recsys.datasets.processed import list_processed

    manifests = list_processed(root)
    if not manifests:
        print(f"{root} holds no processed data yet.")
        return
    print(f"{'version':<14}{'processed at':<34}" + "".join(f"{name:>17}" for name in LISTED))
    for one in manifests:
        numbers = "".join(f"{one['counts'][name]:>17,}" for name in LISTED)
        print(f"{one['version']:<14}{one['processed_at']:<34}{numbers}")
