"""The experiment log of a rating pipeline: rows from lines, changes named, words made from losses."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import ArtifactError, InvalidRequestError
from recsys.experiments.log import EXPERIMENTS_FILE
from recsys.recommenders.mf import EpochLoss
from recsys.training.rating_log import LogRow, format_log, observe, to_markdown


def row(train: float, *losses: float | None, best_epoch: int = 1, change: str = "a change") -> LogRow:
    curve = tuple(EpochLoss(n, train, loss) for n, loss in enumerate(losses, start=1))
    return LogRow(1, change, 100, train, losses[best_epoch - 1], best_epoch, curve, "")


def line(
    at: str = "2030-01-01T10:00:00+00:00", *, losses: Any = ((1.0, 1.2),), **changed: Any
) -> dict[str, Any]:
    """A record as a training of mf writes it, as far as the log reads it."""
    curve = [{"epoch": n, "train": t, "validation": v} for n, (t, v) in enumerate(losses, start=1)]
    record = {
        "at": at,
        "kind": "rating",
        "recommender": "mf",
        "recipe": {"factors": 8, "epochs": 5},
        "facts": {"best_epoch": 1, "curve": curve},
        "category": "books",
        "dataset_hash": "a" * 64,
        "split": {"strategy": "by user (seed 0)", "train": {"ratings": 1234}},
    }
    return {**record, **changed}


def write(folder: Path, *records: dict[str, Any] | str) -> Path:
    texts = [one if isinstance(one, str) else json.dumps(one) for one in records]
    (folder / EXPERIMENTS_FILE).write_text("".join(f"{text}\n" for text in texts))
    return folder


def changes(text: str) -> list[str]:
    return [one.split(" | ")[1] for one in text.splitlines() if one[:3].strip("| ").isdigit()]


def test_an_observation_says_what_the_losses_say() -> None:
    overfits = row(1.0, 2.5, 2.0, 3.0, best_epoch=2)
    assert (
        observe(overfits, None)
        == "2.0 times the train loss: it overfits; best in epoch 2, 50% worse by the last"
    )
    falling = row(1.0, 2.5, 1.1, best_epoch=2)
    assert observe(falling, overfits) == (
        "validation loss 45% lower; 1.1 times the train loss; still falling in the last epoch"
    )
    assert observe(overfits, overfits).startswith("validation loss as before")


def test_losses_of_nothing_or_of_zero_are_told_too() -> None:
    alone, exact = row(1.0, None), row(0.0, 0.0, 0.5)
    assert observe(alone, row(1.0, 1.0)) == "no validation part: nothing tells whether it overfits"
    assert observe(row(1.0, 1.0, 1.0), alone) == "1.0 times the train loss"
    assert observe(exact, exact).startswith(
        "validation loss as before; 1.0 times the train loss; best in epoch 1"
    )


def test_a_table_has_a_row_a_run() -> None:
    lines = to_markdown([row(1.25, 2.5), row(1.25, None, change="a | b")], "run").splitlines()
    assert lines[0].startswith("| run | change | ratings |")
    assert lines[2] == "| 1 | a change | 100 | 1.2500 | 2.5000 | 1 of 1 |  |"
    assert lines[3].startswith(r"| 1 | a \| b | 100 | 1.2500 | - | 1 of 1 |")


def test_rows_stand_in_order_of_time_and_say_what_differs_from_the_one_before(tmp_path: Path) -> None:
    write(
        tmp_path,
        line("2030-01-01T12:00:00+00:00", recipe={"factors": 16, "epochs": 5, "start": "normal"}),
        line("2030-01-01T12:30:00+02:00", losses=[(1.0, 2.4)]),
        line("2030-01-01T13:00:00+00:00", recipe={"factors": 16, "epochs": 5}, losses=[(1.0, 0.6)]),
        line("2030-01-01T14:00:00+00:00", recipe={"factors": 16, "epochs": 5}, dataset_hash="b" * 64),
        line(
            "2030-01-01T15:00:00+00:00",
            recipe={"factors": 16, "epochs": 5},
            dataset_hash="b" * 64,
            split={"strategy": "by user (seed 1)", "train": {"ratings": 99}},
        ),
        line(
            "2030-01-01T16:00:00+00:00",
            recipe={"factors": 16, "epochs": 5},
            dataset_hash="b" * 64,
            split={"strategy": "by user (seed 1)", "train": {"ratings": 99}},
        ),
    )

    text = format_log(tmp_path, "mf", "books")

    assert changes(text) == [
        "first run",
        "factors 8 -> 16; start not there -> normal",
        "start normal -> not there",
        "data aaaaaaaa -> bbbbbbbb",
        "divided by: by user (seed 1)",
        "none: the same again",
    ]
    words = [one.split(" | ")[-1] for one in text.splitlines() if one.startswith("| ")][2:]
    assert [word.split(" times")[0].split(";")[0] for word in words] == [
        "2.4",
        "validation loss 50% lower",
        "validation loss 50% lower",
        "1.2",  # of other data: nothing to set it beside
        "1.2",  # of another validation part
        "validation loss as before",
    ]
    assert text.startswith(
        "mf on books: 6 runs, 2030-01-01 10:30 to 2030-01-01 16:00 UTC; losses are mean squared errors at "
        "the epoch that was kept. The first: factors=8 epochs=5; by user (seed 0).\n\n| run |"
    )
    assert "| 5 | divided by: by user (seed 1) | 99 | 1.0000 | 1.2000 | 1 of 1 |" in text


def test_a_category_each_has_a_table_where_none_is_named(tmp_path: Path) -> None:
    write(tmp_path, line(category="games"), line(), line(kind="tune"), line(recommender="als"))
    text = format_log(tmp_path, "mf")
    assert [one.split(": ")[0] for one in text.splitlines() if ": 1 run, " in one] == [
        "mf on books",
        "mf on games",
    ]
    assert changes(text) == ["first run", "first run"]
    assert "games" not in format_log(tmp_path, "mf", "books")


@pytest.mark.parametrize(
    "damaged",
    [
        '{"at": "2030-01-01T',
        "[1, 2]",
        "[" * 100_000,
        line(at="yesterday"),
        line(at="2030-01-01T10:00:00"),
        line(facts={"best_epoch": 2, "curve": [{"epoch": 1, "train": 1.0, "validation": 1.0}]}),
        line(facts={"best_epoch": 0, "curve": []}),
        line(facts=None),
        line(losses=[(float("nan"), 1.0)]),
        line(losses=[("1", 1.0)]),
        line(losses=[(10**400, 1.0)]),
        line(recipe=[1]),
        line(category=7),
        line(split={}),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, str) else None,
)
def test_a_damaged_line_is_passed_over_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: dict[str, Any] | str
) -> None:
    write(tmp_path, line(), damaged, line("2030-01-02T10:00:00+00:00"))

    with caplog.at_level(logging.WARNING):
        text = format_log(tmp_path, "mf", "books")

    assert changes(text) == ["first run", "none: the same again"]
    (told,) = caplog.messages
    assert told == f"{tmp_path / EXPERIMENTS_FILE}: passed over, not as a training writes it: line 2"


@pytest.mark.parametrize("name", ["svd", "feature_als"])
def test_what_has_no_learning_curve_says_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{name} is not trained in epochs: .* no learning curve"):
        format_log(tmp_path, name, "books")


def test_a_category_without_a_run_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"experiments\.jsonl does not exist: no run is recorded"):
        format_log(tmp_path, "mf", "books")
    write(tmp_path, line(), line(category="toys"))
    with pytest.raises(ArtifactError, match=r"no run of mf on the category cars; .* trained on: books, toys"):
        format_log(tmp_path, "mf", "cars")
    write(tmp_path, line(recommender="svd"))
    with pytest.raises(ArtifactError, match=r"no run of mf; .* trained on: none"):
        format_log(tmp_path, "mf")
