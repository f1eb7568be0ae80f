"""`recsys precompute`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.paths import models_dir
from recsys.progress import show_progress

if TYPE_CHECKING:
    from recsys.serving.live_state import LiveState


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its flags."""
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
