"""After how long what was acted on may be shown again."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.datasets.weights import SIGNALS
from recsys.errors import InvalidRequestError
from recsys.serving.seen import HIDE_FOR_EVER, DatedActs, SeenPolicy, parse_seen_policy

NOW_S = 1_700_000_000.0
DAY_S = 86_400.0


def mask(*types: str) -> int:
    return sum(1 << SIGNALS.index(name) for name in types)


def acts(*rows: tuple[int, float]) -> DatedActs:
    """Startup n was acted on as the n-th row says: type mask, and how many days ago."""
    masks, days_ago = zip(*rows, strict=True)
    return DatedActs(
        np.arange(len(rows), dtype=np.int32), NOW_S - np.array(days_ago) * DAY_S, np.array(masks, np.uint8)
    )


@pytest.mark.parametrize(
    ("policy", "types", "days_ago", "is_shown"),
    [
        ("", ("view",), 9999, False),
        ("view:7", ("view",), 6.9, False),
        ("view:7", ("view",), 7.1, True),
        ("view:7", ("click",), 9999, False),
        ("view:7", ("view", "click"), 9999, False),
        ("view:7,click:30", ("view", "click"), 29, False),
        ("view:7,click:30", ("view", "click"), 31, True),
        ("view:7,click:30", ("view", "like"), 9999, False),
        ("view:0", ("view",), 0, True),
        ("view:0", ("view",), -0.003, True),  # a clock ahead of ours
        ("view:0.5", ("view",), -0.003, False),
        ("view:0,click:0.5", ("view", "click"), 0.4, False),
        ("like:30", ("like", "dislike"), 31, True),  # a dislike that the like erased
        ("like:30", ("view", "like", "dislike"), 31, False),
    ],
)
def test_the_longest_of_the_types_done_counts_and_a_type_left_out_hides_for_ever(
    policy: str, types: tuple[str, ...], days_ago: float, is_shown: bool
) -> None:
    shown = parse_seen_policy(policy).shown_again(acts((mask(*types), days_ago)), NOW_S)
    assert shown.tolist() == ([0] if is_shown else [])


def test_every_startup_is_judged_by_its_own_acts() -> None:
    history = acts((mask("view"), 8), (mask("view"), 6), (mask("click"), 31), (mask("apply"), 400))
    assert parse_seen_policy("view:7,click:30").shown_again(history, NOW_S).tolist() == [0, 2]
    assert HIDE_FOR_EVER.shown_again(history, NOW_S).tolist() == []
    assert SeenPolicy({"view": 0}).shown_again(DatedActs.none(), NOW_S).tolist() == []


@pytest.mark.parametrize("unknown", [0, 1 << 7, 1 << 7 | mask("view")])
def test_an_act_of_no_type_known_here_hides_for_ever(unknown: int) -> None:
    shown = SeenPolicy({"view": 0, "click": 0}).shown_again(acts((unknown, 9999)), NOW_S)
    assert shown.tolist() == []


def test_a_policy_is_read_with_spaces_and_empty_is_none() -> None:
    assert parse_seen_policy(" view : 7 , click:30.5, ").days == {"view": 7.0, "click": 30.5}
    assert parse_seen_policy(" ") == HIDE_FOR_EVER


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("veiw:7", "did you mean view"),
        ("everything:7", "there are view, click"),
        ("dislike:30", "never shown"),
        ("view", "view:7,click:30"),
        ("view:", "view:7,click:30"),
        ("view:-1", "view:7,click:30"),
        ("view:nan", "view:7,click:30"),
        ("view:inf", "36500"),
        ("view:1e9", "36500"),
        ("view:7:8", "view:7,click:30"),
        ("view:7,view:8", "view twice"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_form(text: str, told: str) -> None:
    with pytest.raises(InvalidRequestError, match="seen") as raised:
        parse_seen_policy(text)
    assert told in str(raised.value)
