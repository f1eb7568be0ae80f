"""What releases measured: rows, charts and comparisons out of manifests and training runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dashboard.charts import Chart, Series
from recommendations.models import TrainingRun
from recsys.artifacts.promote import KeptRelease
from recsys.evaluation.evaluate import TIERS
from recsys.experiments.registry import best_versions

NDCG = "ndcg"
BASELINE = "popularity"
IMPROVEMENT = "improvement_over_popularity_percent"  # in the metrics of a manifest, by metric
RECOMMENDERS = (  # the order on a page
    *(BASELINE, "content", "als", "als_ratings", "bpr", "hybrid_text", "two_tower", "ensemble"),
)
METRICS = (NDCG, "precision", "recall", "map", "hit_rate", "mrr")
COUNTED = {"interactions": "cells", "users": "users"}
RUNS_LOOKED_AT = 50
DEFINITION = (
    "How near the top of a list of {k} the startups stand that people really went on to choose: 1 is a "
    "perfect list, 0 a list without any. The mean over users, and the range that holds it with 95 % "
    "confidence (bootstrap over users)."
)
MEASURED_ON_ITS_DAY = (
    "Each release was measured on the data of its day, so a rise may be the data's doing as well as the "
    "model's."
)


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the range that holds it with 95 % confidence."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Above:
    """How far NDCG lies above popularity's on the same users, in per cent, with its paired 95 % interval."""

    interval: Interval

    @property
    def verdict(self) -> str:
        """better or worse where the interval is on one side of zero; else it may be chance."""
        if self.interval.low > 0:
            return "better"
        return "worse" if self.interval.high < 0 else ""

    def __str__(self) -> str:
        return f"{self.interval.mean:+.1f} %"

    @property
    def ends(self) -> str:
        """The interval as text."""
        return f"{self.interval.low:+.1f} to {self.interval.high:+.1f}"


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one recommender of one release.

    `figures` maps a metric, without its cut-off, to its interval; `by_tier` a tier to how many users
    it has and to theirs. `above_popularity` is None where a release does not say, and of popularity itself.
    """

    k: int
    protocol: str
    coverage: float
    n_users: int
    n_answered: int
    figures: Mapping[str, Interval]
    by_tier: Mapping[str, tuple[int, Mapping[str, Interval]]] = field(default_factory=dict)
    above_popularity: Above | None = None

    @property
    def ndcg(self) -> Interval:
        """What recommenders are compared by."""
        return self.figures[NDCG]


@dataclass(frozen=True, slots=True)
class Cell:
    """A recommender in a row of releases; `measured` is None where it is not in it, or not measured.

    `best_says`: of how many measured alike it is the best; "" where it is not.
    """

    name: str
    is_there: bool
    measured: Measured | None
    best_says: str

    @property
    def is_best(self) -> bool:
        """Marked with a star."""
        return bool(self.best_says)


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """A kept release as the table shows it."""

    release: KeptRelease
    cells: Sequence[Cell]

    @property
    def learned_from(self) -> str:
        """How much the dataset held, where the manifest says."""
        counts = (self.release.manifest or {}).get("dataset", {}).get("counts", {})
        told = [f"{counts[name]:,} {word}" for name, word in COUNTED.items() if name in counts]
        return ", ".join(told)


@dataclass(frozen=True, slots=True)
class Point:
    """What one release measured, when."""

    version: str
    at: datetime
    measured: Mapping[str, Measured]


def read_measured(metrics: Mapping[str, Any]) -> Measured | None:
    """An evaluation as a manifest or a run holds it; None where nothing was measured.

    What an older version wrote in another shape counts as not measured.
    """
    try:
        return Measured(
            k=metrics["k"],
            protocol=metrics["protocol"],
            coverage=metrics["coverage"],
            n_users=metrics["n_users"],
            n_answered=metrics["n_answered"],
            figures=_figures(metrics["metrics"]),
            by_tier={
                tier: (facts["n_users"], _figures(facts["metrics"]))
                for tier, facts in metrics["by_tier"].items()
            },
            above_popularity=_above_popularity(metrics),
        )
    except (KeyError, TypeError, AttributeError):
        return None


def measured_of(release: KeptRelease) -> dict[str, Measured]:
    """Recommender -> what a release says of it, for those that were measured."""
    entries = release.manifest["recommenders"] if release.manifest else {}
    read = {name: read_measured(entry["metrics"]) for name, entry in entries.items()}
    return {name: read[name] for name in in_order(read) if read[name] is not None}


def in_order(names: Iterable[str]) -> list[str]:
    """The baseline first, then as users grow warmer; what is not known here last."""
    given = set(names)
    known = [name for name in RECOMMENDERS if name in given]
    return known + sorted(given - set(known))


def release_rows(kept: Sequence[KeptRelease]) -> tuple[list[str], list[ReleaseRow]]:
    """The recommenders that are columns, and a row a release with the best of each marked."""
    measured = {release.version: measured_of(release) for release in kept}
    entries = {release.version: (release.manifest or {}).get("recommenders", {}) for release in kept}
    columns = in_order(name for each in entries.values() for name in each)
    best = {(name, one.version): one.says for name, one in best_versions(kept).items()}
    rows = [
        ReleaseRow(
            release,
            [
                Cell(
                    name,
                    name in entries[release.version],
                    measured[release.version].get(name),
                    best.get((name, release.version), ""),
                )
                for name in columns
            ],
        )
        for release in kept
    ]
    return columns, rows


def points_over_time(kept: Sequence[KeptRelease], runs: Iterable[TrainingRun]) -> list[Point]:
    """Every release that was ever measured, the oldest first: of runs, and kept ones made from a shell."""
    points = {
        run.release: Point(run.release, run.finished_at, _measured_of_run(run))
        for run in runs
        if run.finished_at
    }
    points |= {
        release.version: Point(release.version, release.created_at, measured_of(release)) for release in kept
    }
    return sorted((point for point in points.values() if point.measured), key=lambda point: point.at)


def measured_runs() -> Iterable[TrainingRun]:
    """The latest runs that published a release."""
    runs = TrainingRun.objects.exclude(release="").exclude(metrics={})
    return runs.only("release", "metrics", "finished_at")[:RUNS_LOOKED_AT]


def ndcg_over_time(points: Sequence[Point]) -> Chart:
    """NDCG by release, a line a recommender."""
    names = in_order(name for point in points for name in point.measured)
    k = max((one.k for point in points for one in point.measured.values()), default=10)
    return Chart(
        id="ndcg-over-time",
        title=f"NDCG@{k} by release",
        unit=f"NDCG@{k}",
        definition=f"{DEFINITION.format(k=k)} {MEASURED_ON_ITS_DAY}",
        labels=[f"{point.at:%Y-%m-%d %H:%M}" for point in points],
        series=[_line(name, [point.measured.get(name) for point in points]) for name in names],
        kind="line",
        x_title="release, by the time it was made (UTC)",
        empty="No release has been measured yet; the first training that measures fills this chart.",
        summary=f"{len(points)} releases, {len(names)} recommenders.",
        precision=4,
    )


def ndcg_by_tier(version: str, measured: Mapping[str, Measured]) -> Chart:
    """NDCG of one release by how much users had done, a colour a recommender."""
    k = max((one.k for one in measured.values()), default=10)
    n_users = {tier: n for one in measured.values() for tier, (n, _) in one.by_tier.items()}
    tiers = [tier for tier in TIERS if tier in n_users]
    return Chart(
        id="ndcg-by-tier",
        title=f"NDCG@{k} by tier",
        unit=f"NDCG@{k}",
        definition=f"{DEFINITION.format(k=k)} Tiers by startups acted on before the cut: cold below "
        f"{TIERS['warm']}, warm below {TIERS['hot']}, hot from there. Release {version}.",
        labels=[f"{tier} ({n_users[tier]:,} users)" for tier in tiers],
        series=[
            _line(name, [one.by_tier.get(tier, (0, {}))[1].get(NDCG) for tier in tiers])
            for name, one in measured.items()
        ],
        x_title="tier",
        empty="Nothing of this release was measured.",
        precision=4,
    )


def _figures(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, Interval]:
    return {
        name.partition("@")[0]: Interval(value["mean"], value["low"], value["high"])
        for name, value in metrics.items()
    }


def _above_popularity(metrics: Mapping[str, Any]) -> Above | None:
    """At the same cut-off as the figures; releases of before it was measured do not say."""
    stored = metrics.get(IMPROVEMENT, {}).get(f"{NDCG}@{metrics['k']}")
    return Above(Interval(stored["mean"], stored["low"], stored["high"])) if stored else None


def _measured_of_run(run: TrainingRun) -> dict[str, Measured]:
    read = {name: read_measured(metrics) for name, metrics in run.metrics.items()}
    return {name: measured for name, measured in read.items() if measured is not None}


def _line(name: str, values: Sequence[Measured | Interval | None]) -> Series:
    intervals = [value.ndcg if isinstance(value, Measured) else value for value in values]
    ends = ("mean", "low", "high")
    mean, low, high = (
        [None if one is None else round(getattr(one, end), 6) for one in intervals] for end in ends
    )
    return Series(name, mean, low, high)
