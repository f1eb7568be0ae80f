"""The chosen parameters on disk: by recommender and data version, whoever else writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.errors import ArtifactError
from recsys.experiments.tuned import TUNED_FILE, read_tuned, save_tuned, tuned_overrides


def entry(factors: int, at: str) -> dict[str, object]:
    return {"parameters": {"factors": factors}, "chosen_at": at}


def test_what_was_chosen_on_this_data_is_preferred_to_what_was_chosen_last(tmp_path: Path) -> None:
    save_tuned(tmp_path, "als", "aaa", entry(8, "2026-01-01"))
    save_tuned(tmp_path, "als", "bbb", entry(16, "2026-03-01"))
    save_tuned(tmp_path, "bpr", "ccc", entry(4, "2026-02-01"))

    same, facts = tuned_overrides(tmp_path, ["als", "content"], "aaa")
    other, other_facts = tuned_overrides(tmp_path, ["als"], "zzz")

    assert same == {"als": {"factors": 8}}
    assert (facts["als"]["tuned_on"], facts["als"]["is_same_data"]) == ("aaa", True)
    assert other == {"als": {"factors": 16}}
    assert (other_facts["als"]["tuned_on"], other_facts["als"]["is_same_data"]) == ("bbb", False)
    assert other_facts["als"]["tuned_at"] == "2026-03-01"


def test_a_later_choice_on_the_same_data_takes_the_place_of_the_first(tmp_path: Path) -> None:
    save_tuned(tmp_path, "als", "aaa", entry(8, "2026-01-01"))
    save_tuned(tmp_path, "als", "aaa", entry(16, "2026-01-02"))

    assert read_tuned(tmp_path) == {"als": {"aaa": entry(16, "2026-01-02")}}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tuned.json.lock", TUNED_FILE]


def test_nothing_is_tuned_where_there_is_no_file(tmp_path: Path) -> None:
    assert tuned_overrides(tmp_path, ["als"], "aaa") == ({}, {})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"factors": -1}, "als.factors is -1; it must be a whole number from 1"),
        ({"colour": "red"}, "als has no colour; it has engine"),
    ],
)
def test_what_cannot_work_is_named_with_the_place_it_stands_in(
    tmp_path: Path, parameters: dict[str, object], message: str
) -> None:
    """Whoever asks for --tuned has never typed it."""
    save_tuned(tmp_path, "als", "aaa", {"parameters": parameters, "chosen_at": "2026-01-01"})

    with pytest.raises(ArtifactError, match=rf"tuned\.json, als, data version aaa: {message}.* tune again"):
        tuned_overrides(tmp_path, ["als"], "bbb")


@pytest.mark.parametrize("text", ["{", "[]", '{"als": []}', '{"als": {"aaa": {}}}'])
def test_a_damaged_file_is_named_with_the_mend(tmp_path: Path, text: str) -> None:
    (tmp_path / TUNED_FILE).write_text(text)

    with pytest.raises(ArtifactError, match=r"tuned\.json .*move it away and tune again"):
        read_tuned(tmp_path)
