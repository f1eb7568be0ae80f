"""What searches have tried and chosen: a table a recommender, and a chart of every try."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from dashboard.charts import Chart, Series
from dashboard.model_figures import in_order
from recsys.errors import ArtifactError
from recsys.experiments.trials import DONE, TrialRow, read_trials, varied
from recsys.experiments.tuned import read_tuned
from recsys.training.tuning.choice import describe

SEARCHED = ("coarse", "fine")
TRIES_SHOWN = 10
TRIES_DRAWN = 100
COMMAND = "recsys tune als --stage coarse, then fine, then validate"


@dataclass(frozen=True, slots=True)
class Try:
    """A row of the table."""

    row: TrialRow
    parameters: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Search:
    """The latest search of a recommender: its best tries first, and what was made of them.

    `test` is what validate read on the test part: (name, interval, popularity's interval or None) of
    NDCG@10 and Recall@10; `read_before` how often that part had been read by then.
    """

    recommender: str
    data_version: str
    protocol: str
    n_done: int
    n_stopped: int
    tries: Sequence[Try]
    test: Sequence[tuple[str, Any, Any]]
    read_before: int
    next_command: str


def tuning_context() -> dict[str, Any]:
    """For the models page: `searches`, `tries_chart`, and `tuning_fault` where the log cannot be read."""
    try:
        rows = _newest(read_trials(settings.EXPERIMENTS_DIR))
        tuned = read_tuned(settings.EXPERIMENTS_DIR)
    except ArtifactError as error:
        return {"tuning_fault": str(error), "searches": [], "tuning_command": COMMAND}
    latest = {row.model: (row.data_version, row.protocol) for row in rows}
    of_search = {
        name: [row for row in rows if row.model == name and (row.data_version, row.protocol) == latest[name]]
        for name in in_order(latest)
    }
    searches = [_search(of, tuned.get(name, {})) for name, of in of_search.items()]
    return {"searches": searches, "tries_chart": _chart(of_search), "tuning_command": COMMAND}


def _newest(rows: Iterable[TrialRow]) -> list[TrialRow]:
    """Of a try made again, for memory was short or it was stopped early, the last one."""
    newest: dict[tuple[object, ...], TrialRow] = {}
    for row in rows:
        if row.stage in SEARCHED:
            newest.pop((*row.key, row.stage), None)
            newest[(*row.key, row.stage)] = row
    return list(newest.values())


def _search(rows: Sequence[TrialRow], tuned: dict[str, dict[str, Any]]) -> Search:
    first = rows[0]
    entry = tuned.get(first.data_version, {})
    done = sorted((row for row in rows if row.status == DONE), key=lambda row: -(row.ndcg or 0.0))
    shown = varied(done) or list(first.parameters)
    tries = [Try(row, describe(row.parameters, shown), _is_chosen(row, entry)) for row in done]
    listed = tries[:TRIES_SHOWN]
    listed += [one for one in tries[TRIES_SHOWN:] if one.is_chosen][:1] if not _any_chosen(listed) else []
    test = _mapping(entry.get("test"))
    figures, popular = _mapping(test.get("metrics")), _mapping(test.get("popularity"))
    return Search(
        first.model,
        first.data_version,
        first.protocol,
        len(done),
        len(rows) - len(done),
        listed,
        [(name, figure, popular.get(name)) for name, figure in figures.items()],
        test.get("read_before", 0),
        "" if figures else f"recsys tune {first.model} --stage {_next_stage(rows)}",
    )


def _mapping(value: object) -> dict[str, Any]:
    """What a hand may have changed in the file, or nothing."""
    return value if isinstance(value, dict) else {}


def _is_chosen(row: TrialRow, entry: dict[str, Any]) -> bool:
    """Epochs apart: what is stopped early is chosen with those that were best."""
    chosen = {name: value for name, value in entry.get("parameters", {}).items() if name != "epochs"}
    return bool(chosen) and all(row.parameters.get(name) == value for name, value in chosen.items())


def _any_chosen(tries: Sequence[Try]) -> bool:
    return any(one.is_chosen for one in tries)


def _next_stage(rows: Sequence[TrialRow]) -> str:
    return "validate" if any(row.stage == "fine" for row in rows) else "fine"


def _chart(of_search: dict[str, list[TrialRow]]) -> Chart:
    lines = {
        name: [None if row.ndcg is None else round(row.ndcg, 6) for row in rows][-TRIES_DRAWN:]
        for name, rows in of_search.items()
    }
    longest = max(map(len, lines.values()), default=0)
    return Chart(
        id="ndcg-by-try",
        title="NDCG@10 on validation by try",
        unit="NDCG@10 on validation",
        definition="Every try of each recommender's latest search in the order made, coarse before fine. "
        "Measured on a part of the data that the try did not learn from; a gap was stopped early or failed.",
        labels=[str(number) for number in range(1, longest + 1)],
        series=[Series(name, [*values, *[None] * (longest - len(values))]) for name, values in lines.items()],
        kind="line",
        x_title="try",
        empty=f"Nothing was tried yet: {COMMAND}.",
        summary=f"{sum(map(len, lines.values()))} tries of {len(lines)} recommenders.",
        precision=4,
    )
