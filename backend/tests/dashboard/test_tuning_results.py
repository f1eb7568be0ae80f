"""The models page shows what searches have tried, what was chosen, and what to type where nothing was."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from recsys.experiments.trials import TRIALS_FILE, TrialRow, append_trial
from recsys.experiments.tuned import save_tuned

VERSION = "0123456789ab"


@pytest.fixture(autouse=True)
def experiments(tmp_path: Path, settings: Settings) -> Path:
    settings.MODELS_DIR = tmp_path / "models"
    settings.EXPERIMENTS_DIR = tmp_path / "experiments"
    return settings.EXPERIMENTS_DIR


def row(factors: int, ndcg: float | None, *, model: str = "als", **changes: object) -> TrialRow:
    fields = {
        "model": model,
        "stage": "coarse",
        "status": "done" if ndcg else "pruned",
        "seed": 42,
        "data_version": VERSION,
        "parameters": {"factors": factors, "alpha": 10.0},
        "protocol": "10% at random",
        "recall": ndcg,
        "ndcg": ndcg,
    }
    return TrialRow(**{**fields, **changes})


def text_of(client: Client) -> str:
    return client.get(reverse("dashboard:models")).content.decode()


def test_where_nothing_was_tried_the_command_is_told(admin_client: Client) -> None:
    assert "Nothing was tried yet. In a shell: recsys tune als --stage coarse" in text_of(admin_client)


def test_the_best_tries_come_first_with_the_chosen_one_marked(
    admin_client: Client, experiments: Path
) -> None:
    for factors in range(1, 15):
        append_trial(experiments, row(factors, factors / 100))
    append_trial(experiments, row(99, None, stage="fine"))
    append_trial(experiments, row(77, 0.9, stage="compare"))
    figure = {"mean": 0.2467, "low": 0.242, "high": 0.2517}
    test = {"metrics": {"ndcg@10": figure}, "popularity": {"ndcg@10": {**figure, "mean": 0.1107}}}
    entry = {"parameters": {"factors": 2, "alpha": 10.0}, "test": test}
    save_tuned(experiments, "als", VERSION, entry)

    response = admin_client.get(reverse("dashboard:models"))

    (search,) = response.context["searches"]
    assert [one.parameters for one in search.tries] == [
        *(f"factors={factors}" for factors in range(14, 4, -1)),
        "factors=2",  # chosen, though not among the ten best
    ]
    assert [one.is_chosen for one in search.tries] == [*[False] * 10, True]
    assert (search.n_done, search.n_stopped) == (14, 1)
    chart = response.context["tries_chart"]
    assert chart.series[0].values == [*(factors / 100 for factors in range(1, 15)), None]
    text = response.content.decode()
    assert "ndcg@10 0.2467 (0.2420 to 0.2517; popularity 0.1107)." in text
    assert text.count("★ chosen</span> factors=2") == 1
    assert 'data-chart="ndcg-by-try-data"' in text


def test_a_search_that_is_not_at_its_end_says_what_to_type(admin_client: Client, experiments: Path) -> None:
    append_trial(experiments, row(8, 0.1))
    append_trial(experiments, row(8, 0.1, model="bpr"))
    append_trial(experiments, row(8, 0.2, model="bpr", stage="fine", seed=43))

    text = text_of(admin_client)

    for command in ("recsys tune als --stage fine", "recsys tune bpr --stage validate"):
        assert f'Not tested yet. In a shell: <code class="tool-time">{command}</code>.' in text


def test_a_look_at_the_test_part_that_was_not_the_first_is_told(
    admin_client: Client, experiments: Path
) -> None:
    append_trial(experiments, row(8, 0.1))
    figure = {"mean": 0.2, "low": 0.1, "high": 0.3}
    for read_before, told in (
        (0, "Tested once, fitted"),
        (2, "Tested after 2 earlier looks at the test part"),
    ):
        test = {"metrics": {"ndcg@10": figure}, "read_before": read_before}
        save_tuned(experiments, "als", VERSION, {"parameters": {"factors": 8}, "test": test})
        assert told in text_of(admin_client)


@pytest.mark.parametrize("test", [None, "once", {"metrics": ["ndcg@10"]}, {"metrics": {}, "popularity": 1}])
def test_a_choice_without_a_whole_test_is_shown_as_not_tested(
    admin_client: Client, experiments: Path, test: object
) -> None:
    append_trial(experiments, row(8, 0.1))
    save_tuned(experiments, "als", VERSION, {"parameters": {"factors": 8}, "test": test})

    text = text_of(admin_client)

    assert "★ chosen</span> factors=8" in text
    assert "Not tested yet." in text


def test_a_try_made_again_counts_once(admin_client: Client, experiments: Path) -> None:
    append_trial(experiments, row(8, None, status="died", error="memory was short"))
    append_trial(experiments, row(8, 0.1))

    (search,) = admin_client.get(reverse("dashboard:models")).context["searches"]

    assert (search.n_done, search.n_stopped) == (1, 0)


def test_only_the_latest_search_of_a_recommender_is_shown(admin_client: Client, experiments: Path) -> None:
    append_trial(experiments, row(8, 0.3, data_version="older"))
    append_trial(experiments, row(8, 0.1))

    (search,) = admin_client.get(reverse("dashboard:models")).context["searches"]

    assert (search.data_version, search.n_done) == (VERSION, 1)


def test_a_damaged_log_is_told_and_the_page_stays(admin_client: Client, experiments: Path) -> None:
    experiments.mkdir()
    (experiments / TRIALS_FILE).write_text("nothing,of,ours\n")

    assert "has the columns nothing, of, ours" in text_of(admin_client)
