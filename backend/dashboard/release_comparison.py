"""Two releases beside each other: what they measured, how they were made, what they learned from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dashboard.model_figures import METRICS, Interval, in_order, measured_of
from recsys.artifacts.promote import KeptRelease

HASH_SHOWN = 12
COSTS = {"seconds": "fitted in seconds", "peak_memory_mb": "peak memory in MiB"}


@dataclass(frozen=True, slots=True)
class Compared:
    """One fact of two releases; `verdict` is better or worse where the second is clearly so."""

    name: str
    first: str
    second: str
    differs: bool
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The facts of two releases under a heading: rows of a table, and what is the same on one line."""

    title: str
    rows: Sequence[Compared]
    same: Sequence[Compared] = ()


def compare(first: KeptRelease, second: KeptRelease) -> list[Comparison]:
    """Figures, what was learned from, recipes and costs."""
    names = in_order({*_entries(first), *_entries(second)})
    figures = [row for name in names for row in _compared_figures(name, first, second)]
    costs = [row for name in names for row in _compared_costs(name, first, second)]
    return [
        Comparison("Measured", figures),
        _apart("Learned from", _compared_facts(_dataset(first), _dataset(second))),
        *(
            _apart(f"Recipe of {name}", _compared_facts(_recipe(first, name), _recipe(second, name)))
            for name in names
        ),
        Comparison("Cost of the training", costs),
    ]


def _apart(title: str, rows: Iterable[Compared]) -> Comparison:
    rows = list(rows)
    return Comparison(title, [row for row in rows if row.differs], [row for row in rows if not row.differs])


def _entries(release: KeptRelease) -> Mapping[str, Any]:
    return release.manifest["recommenders"] if release.manifest else {}


def _recipe(release: KeptRelease, recommender: str) -> Mapping[str, Any]:
    return _entries(release).get(recommender, {}).get("recipe", {})


def _compared_costs(name: str, first: KeptRelease, second: KeptRelease) -> Iterator[Compared]:
    entries = [_entries(release).get(name, {}) for release in (first, second)]
    for field, words in COSTS.items():
        texts = [fact_text(entry.get(field)) for entry in entries]
        yield Compared(f"{name}, {words}", *texts, texts[0] != texts[1])


def _dataset(release: KeptRelease) -> Mapping[str, Any]:
    manifest = release.manifest or {}
    flat = dict(flattened(manifest.get("dataset", {})))
    if "hash" in flat:
        flat["hash"] = str(flat["hash"])[:HASH_SHOWN]
    return {**flat, "code": manifest.get("code_version"), **dict(flattened(manifest.get("libraries", {})))}


def flattened(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested facts as one level, their names put together."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", value


def _compared_figures(name: str, first: KeptRelease, second: KeptRelease) -> Iterator[Compared]:
    one, other = measured_of(first).get(name), measured_of(second).get(name)
    for metric in METRICS:
        ours, theirs = (each.figures.get(metric) if each else None for each in (one, other))
        if ours is not None or theirs is not None:
            k = (one or other).k
            texts = [_interval_text(each) for each in (ours, theirs)]
            yield Compared(f"{name}, {metric}@{k}", *texts, texts[0] != texts[1], _verdict(ours, theirs))


def _verdict(first: Interval | None, second: Interval | None) -> str:
    """Only where the two intervals are apart; else the difference may be chance."""
    if first is None or second is None:
        return ""
    if second.low > first.high:
        return "better"
    return "worse" if second.high < first.low else ""


def _compared_facts(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Compared]:
    for name in dict.fromkeys((*first, *second)):
        texts = [fact_text(facts.get(name)) for facts in (first, second)]
        yield Compared(name.replace("_", " "), *texts, texts[0] != texts[1])


def _interval_text(interval: Interval | None) -> str:
    if interval is None:
        return "not measured"
    return f"{interval.mean:.4f} ({interval.low:.4f} to {interval.high:.4f})"


def fact_text(value: Any) -> str:
    """A value of a manifest as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return _moment(value) or str(value)


def _moment(value: Any) -> str:
    """An ISO 8601 time to the second; nothing for anything else."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return ""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment.tzinfo else ""
