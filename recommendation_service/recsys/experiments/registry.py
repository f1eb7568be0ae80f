"""The best version of each recommender among the kept releases, by what each measured on its day."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from recsys.artifacts.promote import KeptRelease

METRIC = "ndcg@10"


@dataclass(frozen=True)
class Best:
    """`low` and `high` bound the mean (95 %); figures of other protocols are of other acts."""

    recommender: str
    version: str
    mean: float
    low: float
    high: float
    protocol: str
    is_served: bool

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), ensure_ascii=False)


def best_versions(kept: Iterable[KeptRelease], metric: str = METRIC) -> dict[str, Best]:
    """Recommender -> its best kept version; one that was never measured is not there.

    Among equals the newest. What cannot be read cannot be served and does not count.
    """
    best: dict[str, Best] = {}
    for release in sorted(kept, key=lambda one: one.version, reverse=True):
        for name, entry in (release.manifest or {}).get("recommenders", {}).items():
            one = _of(release, name, entry, metric)
            if one is not None and (name not in best or one.mean > best[name].mean):
                best[name] = one
    return best


def _of(release: KeptRelease, name: str, entry: dict[str, Any], metric: str) -> Best | None:
    figure = entry["metrics"].get("metrics", {}).get(metric)
    if figure is None:
        return None
    return Best(
        name,
        release.version,
        figure["mean"],
        figure["low"],
        figure.get("high", figure["mean"]),
        entry["metrics"].get("protocol", ""),
        release.is_served,
    )
