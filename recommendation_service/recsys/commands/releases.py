"""`recsys releases | best | promote | rollback`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from recsys.training.script import add_models_flag

if TYPE_CHECKING:
    from recsys.artifacts.layout import Switch


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its flags."""
    parser = commands.add_parser("releases", help="the kept releases, the newest first")
    parser.set_defaults(run=_list_releases)
    add_models_flag(parser)
    parser = commands.add_parser(
        "best", help="the best kept version of each recommender, of those measured alike; a JSON line each"
    )
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
