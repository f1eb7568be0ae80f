"""The best version of each recommender among the kept releases that measured it alike.

A figure says something beside another one only where both are of the same data and the same test part. So
the newest release that measured a recommender sets what counts: the best of those measured as it was, on the
data it was measured on. The others are counted, not compared.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from recsys.artifacts.promote import KeptRelease
from recsys.experiments.trials import VERSION_LENGTH

METRIC = "ndcg@10"
OTHER_DATA, OTHER_PROTOCOL = "on other data", "by another protocol"


@dataclass(frozen=True)
class Best:
    """The highest mean of `n_compared` releases; `low` and `high` bound it (95 %).

    `data` is the version of what it was trained and measured on; `not_comparable` maps why to how many
    releases; `recipe` are its hyper-parameters and `text_start` the options where it started from texts.
    """

    recommender: str
    version: str
    mean: float
    low: float
    high: float
    protocol: str
    data: str
    is_served: bool
    n_compared: int = 1
    not_comparable: Mapping[str, int] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    text_start: Mapping[str, Any] = field(default_factory=dict)

    @property
    def says(self) -> str:
        """Of how many it is the best, and what it was not compared with."""
        alike = f"best of {self.n_compared} measured alike" if self.n_compared > 1 else "the newest"
        others = ", ".join(f"{count} {why}" for why, count in self.not_comparable.items())
        if others:
            return f"{alike}; not comparable: {others}"
        return alike if self.n_compared > 1 else "the only one measured"

    def to_json(self) -> str:
        """One line, without the recipe."""
        shown = ("recommender", "version", "mean", "low", "high", "protocol", "data", "is_served")
        more = {"n_compared": self.n_compared, "not_comparable": dict(self.not_comparable), "says": self.says}
        return json.dumps({name: getattr(self, name) for name in shown} | more, ensure_ascii=False)


def best_versions(kept: Iterable[KeptRelease], metric: str = METRIC) -> dict[str, Best]:
    """Recommender -> its best kept version; one that was never measured is not there.

    Among equals the newest. What was carried over from one release into the next was measured once. What
    cannot be read cannot be served and does not count.
    """
    measured: dict[str, list[_Figure]] = {}
    for release in sorted(kept, key=lambda one: one.version, reverse=True):
        for name, entry in (release.manifest or {}).get("recommenders", {}).items():
            figure = entry["metrics"].get("metrics", {}).get(metric)
            known = measured.setdefault(name, [])
            if figure is not None and all(entry != one.entry for one in known):
                known.append(_Figure(release, entry, figure))
    return {name: _best_of(name, figures) for name, figures in measured.items() if figures}


@dataclass(frozen=True)
class _Figure:
    """What one release says of one recommender."""

    release: KeptRelease
    entry: Mapping[str, Any]
    figure: Mapping[str, float]

    @property
    def dataset(self) -> Mapping[str, Any]:
        facts: Mapping[str, Any] = (self.release.manifest or {}).get("dataset", {})
        return facts

    @property
    def protocol(self) -> str:
        return str(self.entry["metrics"].get("protocol", ""))

    def why_not_beside(self, other: _Figure) -> str:
        """Why the two figures cannot be compared; "" where they can.

        Of the protocol counts how the test part was made and what was ranked: not at how many places lists
        were cut off, nor how many users this recipe could answer.
        """
        if any(self.dataset.get(name) != other.dataset.get(name) for name in ("hash", "processed")):
            return OTHER_DATA
        kinds = {one.protocol.partition("; k=")[0] for one in (self, other)}
        return OTHER_PROTOCOL if len(kinds) > 1 else ""


def _best_of(name: str, figures: list[_Figure]) -> Best:
    """Of figures with the newest first."""
    why_not = [one.why_not_beside(figures[0]) for one in figures]
    alike = [one for one, why in zip(figures, why_not, strict=True) if not why]
    best = max(alike, key=lambda one: one.figure["mean"])  # of equals the first: the newest
    facts = best.dataset
    is_whole_version = "processed" in facts and "subsample" not in facts
    return Best(
        recommender=name,
        version=best.release.version,
        mean=best.figure["mean"],
        low=best.figure["low"],
        high=best.figure.get("high", best.figure["mean"]),
        protocol=best.protocol,
        data=str(facts["processed"]) if is_whole_version else str(facts.get("hash", ""))[:VERSION_LENGTH],
        is_served=best.release.is_served,
        n_compared=len(alike),
        not_comparable=dict(Counter(why for why in why_not if why)),
        recipe=best.entry.get("recipe", {}),
        text_start=best.entry.get("facts", {}).get("text_start", {}),
    )
