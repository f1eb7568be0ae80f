"""What a search may try: the section <recommender>_search of training_config.yaml.

`grid` and `coarse` are lists of values; `fine` gives a range around what coarse chose, a name each:

    [10, 15, 20]                  one of these
    {multiples: [0.5, 1, 2]}      the best times one of these
    {times: 4, most: 1}           from the best / 4 to the best * 4, even in its logarithm, at most 1
    {within: 20, least: 1}        from the best - 20 to the best + 20, at least 1

Where the configuration has an `engine`, `coarse` and `fine` have a part for each engine, for the
same number means another thing to each.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recsys.config import read_config
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError, DataError
from recsys.paths import config_file
from recsys.recommenders.table import RECOMMENDERS, make_recommender, recommender_class

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

STAGES = ("coarse", "fine", "validate")
SIZES = ("factors", "dimensions")  # what a model's memory and time grow with
RANGES = "a list of values, {multiples: [...]}, {times: n} or {within: n}, with least and most"


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """Where one hyper-parameter may lie: one of `choices`, or from `low` to `high`."""

    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    is_whole: bool = False

    def holds(self, value: object) -> bool:
        """Whether a value lies in it."""
        if self.choices:
            return value in self.choices
        return isinstance(value, int | float) and self.low <= value <= self.high

    @property
    def largest(self) -> Any:
        """The most it can give."""
        return max(self.choices) if self.choices else self.high

    @property
    def smallest(self) -> Any:
        """The least it can give."""
        return min(self.choices) if self.choices else self.low

    def distribution(self) -> BaseDistribution:
        """The same for Optuna."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        if self.is_whole:
            return IntDistribution(round(self.low), round(self.high), log=self.is_log)
        return FloatDistribution(self.low, self.high, log=self.is_log)


def check_can_be_tried(recommender: str, train: Dataset) -> None:
    """Refuse what no try of a search could fit.

    Raises:
        ConfigError: the recommender is put together from others.
        DataError: it cannot learn from this dataset.
    """
    kind = recommender_class(recommender)
    if kind.parts:
        raise ConfigError(
            f"{recommender} is put together from {' and '.join(kind.parts)}: tune those; a training chooses "
            "on a validation part how to weigh them."
        )
    why_not = kind.why_not_fit(train)
    if why_not is not None:
        raise DataError(f"{recommender} cannot learn from this dataset: {why_not}.")


def read_search(recommender: str) -> dict[str, Any]:
    """The section of a recommender.

    Raises:
        ConfigError: it has none; the message names those that have.
    """
    config = read_config()
    section = config.get(f"{recommender}_search")
    if not isinstance(section, dict):
        having = ", ".join(name for name in RECOMMENDERS if f"{name}_search" in config)
        raise ConfigError(
            f"{config_file()} has no section {recommender}_search. Those that can be searched are "
            f"{having or 'none'}; of any other, name a plain --grid, without a --stage."
        )
    return section


def read_grid(recommender: str) -> dict[str, list[object]]:
    """The grid tried without a stage.

    Raises:
        ConfigError: there is none.
    """
    grid = read_search(recommender).get("grid")
    if not isinstance(grid, dict):
        raise ConfigError(f"{recommender}_search has no grid; name one there, or by --grid.")
    return grid


def complete(recommender: str, parameters: Mapping[str, object]) -> dict[str, Any]:
    """The whole configuration but the seed, with these values in it.

    Raises:
        ConfigError: a name is unknown, or a value cannot work.
    """
    values: dict[str, Any] = dataclasses.asdict(make_recommender(recommender, **parameters).config)
    return {name: value for name, value in values.items() if name != "seed"}


def size_of(parameters: Mapping[str, Any]) -> int:
    """Length of a vector; 0 where a recommender has none."""
    return int(next((parameters[name] for name in SIZES if name in parameters), 0))


def coarse_combinations(
    recommender: str, grid: Mapping[str, Sequence[object]] | None, fixed: Mapping[str, object]
) -> list[dict[str, object]]:
    """Every combination of the coarse grid, or of the one given instead, with the fixed values in each.

    Raises:
        ConfigError: the grid is empty or names an unknown parameter. A single combination that cannot
            work is no error here.
    """
    _check_names(recommender, fixed, "--set")
    if grid is None:
        grid = {**_part(recommender, "coarse", fixed)}
    where = f"The coarse grid of {recommender}"
    if not grid:
        raise ConfigError(f"{where} is empty; name a parameter and the values to try.")
    _check_names(recommender, grid, where)
    for name, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise ConfigError(f"{where} has {name}: {values!r}; it must be a list of values to try.")
    grid = {name: values for name, values in grid.items() if name not in fixed}
    return [{**dict(zip(grid, values, strict=True)), **fixed} for values in itertools.product(*grid.values())]


def fine_ranges(recommender: str, best: Mapping[str, Any], fixed: Mapping[str, object]) -> dict[str, Range]:
    """The ranges around `best`, a whole configuration; what is fixed has none.

    Raises:
        ConfigError: a parameter is unknown, or a range is not of a known form or holds nothing.
    """
    part = _part(recommender, "fine", best)
    where = f"{recommender}_search.fine"
    _check_names(recommender, part, where)
    ranges = {n: _range(f"{where}.{n}", one, best[n]) for n, one in part.items() if n not in fixed}
    if not ranges:
        raise ConfigError(f"{where} leaves nothing to search; name a range there, or fix less by --set.")
    return ranges


def extremes(recommender: str, best: Mapping[str, Any], ranges: Mapping[str, Range]) -> list[dict[str, Any]]:
    """The best configuration with the shortest and with the longest vectors of its ranges."""
    found = [complete(recommender, best)]
    for name, one in ranges.items():
        if name not in SIZES:
            continue
        for value in (one.smallest, one.largest):
            try:
                found.append(complete(recommender, {**best, name: round(value)}))
            except ConfigError:  # never tried then: the search refuses it too
                continue
    return found


def n_fine_trials(recommender: str) -> int:
    """How many tries the fine stage makes in all.

    Raises:
        ConfigError: the section does not say, or it is no whole number from 1.
    """
    trials = read_search(recommender).get("trials")
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise ConfigError(f"{recommender}_search.trials is {trials!r}; it must be a whole number from 1.")
    return trials


def _part(recommender: str, stage: str, parameters: Mapping[str, object]) -> dict[str, Any]:
    """The section's part for a stage, and for the engine in `parameters` or the configured one."""
    section = read_search(recommender)
    part = section.get(stage)
    where = f"{recommender}_search.{stage}"
    if not isinstance(part, dict):
        raise ConfigError(f"{where} is {part!r}; it must be a mapping of parameter -> what to try.")
    names = {field.name for field in dataclasses.fields(RECOMMENDERS[recommender][1])}
    if "engine" not in names:
        return part
    engine = str(parameters.get("engine") or complete(recommender, {})["engine"])
    of_engine = part.get(engine)
    if not isinstance(of_engine, dict):
        raise ConfigError(f"{where} has no part for the engine {engine}; it has {', '.join(part)}.")
    return {**of_engine, "engine": [engine]} if stage == "coarse" else of_engine


def _check_names(recommender: str, parameters: Mapping[str, object], where: str) -> None:
    names = [field.name for field in dataclasses.fields(RECOMMENDERS[recommender][1])]
    unknown = [name for name in parameters if name not in names or name == "seed"]
    if unknown:
        tried = ", ".join(name for name in names if name != "seed")
        raise ConfigError(f"{where}: {recommender} has no {unknown[0]} to search by; it has {tried}.")


def _range(where: str, one: object, best: Any) -> Range:
    is_whole = isinstance(best, int) and not isinstance(best, bool)
    if isinstance(one, list) and one:
        return Range(choices=tuple(one))
    if not isinstance(one, dict) or len({"multiples", "times", "within"} & set(one)) != 1:
        raise ConfigError(f"{where} is {one!r}; it must be {RANGES}.")
    unknown = set(one) - {"multiples", "times", "within", "least", "most"}
    if unknown or not isinstance(best, int | float) or isinstance(best, bool):
        raise ConfigError(f"{where} is {one!r} around {best!r}; it must be {RANGES}, around a number.")
    least, most = (_number(where, one, name) for name in ("least", "most"))
    if "multiples" in one:
        return _multiples(where, one["multiples"], best, is_whole=is_whole)
    if "times" in one:
        times = _number(where, one, "times") or 0.0
        if times <= 1 or best <= 0:
            raise ConfigError(f"{where} has times {times:g} around {best!r}; both must be above 1 and 0.")
        low, high, is_log = best / times, best * times, True
    else:
        within = _number(where, one, "within") or 0.0
        low, high, is_log = best - within, best + within, False
    low = low if least is None else max(low, least)
    high = high if most is None else min(high, most)
    if is_whole:
        low, high = max(math.ceil(low), 1) if is_log else math.ceil(low), math.floor(high)
    if low >= high:
        raise ConfigError(f"{where} is {one!r}: from {low:g} to {high:g} around {best!r} lies nothing.")
    return Range(low=float(low), high=float(high), is_log=is_log, is_whole=is_whole)


def _multiples(where: str, multiples: object, best: float, *, is_whole: bool) -> Range:
    if not isinstance(multiples, list) or not multiples:
        raise ConfigError(f"{where} has multiples {multiples!r}; it must be a list of numbers.")
    if not all(isinstance(m, int | float) and not isinstance(m, bool) and m > 0 for m in multiples):
        raise ConfigError(f"{where} has multiples {multiples!r}; each must be a number above 0.")
    values = [max(round(best * m), 1) if is_whole else best * m for m in multiples]
    return Range(choices=tuple(dict.fromkeys(values)))


def _number(where: str, one: Mapping[str, Any], name: str) -> float | None:
    value = one.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{where} has {name} {value!r}; it must be a number.")
    return float(value)
