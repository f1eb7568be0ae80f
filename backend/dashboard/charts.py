"""What a chart shows; `charts.js` draws it and `_chart.html` puts words and a table around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.text import slugify

Value = float | None  # None: not measured, which is not zero


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a chart: a value for each of its labels, and where known the interval around each."""

    name: str
    values: Sequence[Value]
    low: Sequence[Value] = ()
    high: Sequence[Value] = ()

    @property
    def is_titled_by_its_unit(self) -> bool:
        """The title says the unit, as "NDCG@10 by release" does: beside it, it would stand twice."""
        return self.title.startswith(f"{self.unit} ")

    @property
    def data(self) -> dict[str, Any]:
        """What `charts.js` reads of it."""
        interval = {"low": list(self.low), "high": list(self.high)} if self.low else {}
        return {"name": self.name, "values": list(self.values), **interval}


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with everything that a reader needs to understand it.

    Args:
        id: unique on its page; letters, digits and hyphens.
        title: what is shown.
        unit: of the values, such as "events a day".
        definition: how the values come about, in a sentence or two; shown on hover and on focus.
        labels: one for each place on the horizontal axis.
        series: each with as many values as there are labels.
        kind: bars, or lines with a gap where nothing was measured.
        stacked: the series add up.
        x_title: what the labels are.
        empty: why there is nothing to see and what changes that; shown in place of an empty chart.
        summary: the chart in a sentence, for whoever cannot see it.
        precision: decimals of the values in the table and the tooltip.
        may_be_zero: zeros are a finding, so a chart of nothing else is not empty.
    """

    id: str
    title: str
    unit: str
    definition: str
    labels: Sequence[str]
    series: Sequence[Series]
    kind: Literal["bar", "line"] = "bar"
    stacked: bool = False
    x_title: str = ""
    empty: str = "Nothing has been measured yet."
    summary: str = ""
    precision: int = 0
    may_be_zero: bool = False

    @property
    def is_empty(self) -> bool:
        """Nothing but gaps, and zeros where those say nothing."""
        if self.may_be_zero:
            return all(value is None for series in self.series for value in series.values)
        return not any(value for series in self.series for value in series.values)

    @property
    def is_titled_by_its_unit(self) -> bool:
        """The title says the unit, as "NDCG@10 by release" does: beside it, it would stand twice."""
        return self.title.startswith(f"{self.unit} ")

    @property
    def data(self) -> dict[str, Any]:
        """What `charts.js` reads."""
        return {
            "kind": self.kind,
            "stacked": self.stacked,
            "xTitle": self.x_title,
            "yTitle": self.unit,
            "precision": self.precision,
            "labels": list(self.labels),
            "series": [each.data for each in self.series],
        }

    @property
    def data_id(self) -> str:
        """Of the script element that holds `data`."""
        return f"{self.id}-data"

    @property
    def rows(self) -> Iterator[tuple[str, list[str]]]:
        """The table: a label and its values as text, the newest or highest last as in the chart."""
        for place, label in enumerate(self.labels):
            yield label, [self._with_interval(each, place) for each in self.series]

    def _with_interval(self, series: Series, place: int) -> str:
        value = self._as_text(series.values[place])
        if not series.low or series.values[place] is None:
            return value
        return f"{value} ({self._as_text(series.low[place])} to {self._as_text(series.high[place])})"

    def _as_text(self, value: Value) -> str:
        return "-" if value is None else f"{value:,.{self.precision}f}"


@dataclass(frozen=True, slots=True)
class Stat:
    """One figure with its name; `state` colours it: good, warning or bad."""

    title: str
    value: str
    definition: str
    note: str = ""
    state: Literal["", "good", "warning", "bad"] = ""
    href: str = ""

    @property
    def id(self) -> str:
        """Unique on a page, as titles are."""
        return slugify(self.title)
