from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.weights import (
    DEFAULT_WEIGHTS,
    LARGEST_WEIGHT,
    SIGNALS,
    SMALLEST_WEIGHT,
    Cells,
    EventColumns,
    check_weights,
    resolve_cells,
)
from recsys.errors import ConfigError, DataError

DAY_S = 86_400.0
Event = tuple[int, int, str, float]  # user, item, type, day


def columns(events: list[Event]) -> EventColumns:
    return EventColumns(
        np.array([user for user, _, _, _ in events], np.int64),
        np.array([item for _, item, _, _ in events], np.int64),
        np.array([SIGNALS.index(name) for _, _, name, _ in events], np.uint8),
        np.array([day * DAY_S for _, _, _, day in events], np.float64),
        np.arange(len(events), dtype=np.int64),
    )


def one_cell(*acts: tuple[str, float], **options: float) -> float:
    """The weight of the single cell of one user's acts on one startup."""
    cells = resolve_cells(columns([(0, 0, name, day) for name, day in acts]), DEFAULT_WEIGHTS, **options)
    assert len(cells) == 1
    return float(cells.weight[0])


def test_without_repeats_a_cell_is_the_plain_sum_of_the_table() -> None:
    acts = [(name, day) for day, name in enumerate(SIGNALS) if name != "dislike"]

    assert one_cell(*acts) == pytest.approx(0.5 + 1 + 2 + 2.5 + 3 + 3.5)


def test_a_page_reloaded_a_thousand_times_does_not_outshout_an_application() -> None:
    views = one_cell(*[("view", 0.0)] * 1000)

    assert views == pytest.approx(0.5 * (1 + math.log(1000)))
    assert views < one_cell(("apply", 0), ("interest", 0))


@pytest.mark.parametrize(
    ("acts", "expected"),
    [
        ([("like", 0), ("dislike", 1)], -1.0),
        ([("dislike", 0), ("dislike", 1), ("apply", 0.5)], -1.0),
        ([("dislike", 0), ("view", 1), ("click", 2)], -1.0),
        ([("dislike", 0), ("like", 1)], 2.0),
        ([("view", 0), ("dislike", 1), ("like", 2)], 2.5),
        ([("like", 1), ("dislike", 1)], -1.0),  # the same second: the later row wins
        ([("dislike", 1), ("like", 1)], 2.0),
    ],
)
def test_the_latest_explicit_signal_wins(acts: list[tuple[str, float]], expected: float) -> None:
    assert one_cell(*acts) == pytest.approx(expected)


def test_a_half_life_decays_positives_and_never_a_dislike() -> None:
    assert one_cell(("like", 0), half_life_days=10, as_of_s=20 * DAY_S) == pytest.approx(0.5)
    assert one_cell(("dislike", 0), half_life_days=10, as_of_s=20 * DAY_S) == -1.0


def test_a_positive_that_decayed_for_centuries_is_still_above_zero() -> None:
    assert one_cell(("view", 0), half_life_days=1, as_of_s=1e5 * DAY_S) > 0


def test_an_expired_dislike_is_as_if_never_made() -> None:
    old = [("like", 0.0), ("dislike", 1.0)]

    assert one_cell(*old, dislike_ttl_days=5, as_of_s=4 * DAY_S) == -1.0
    assert one_cell(*old, dislike_ttl_days=5, as_of_s=7 * DAY_S) == 2.0
    gone = resolve_cells(
        columns([(0, 0, "dislike", 1)]), DEFAULT_WEIGHTS, dislike_ttl_days=5, as_of_s=7 * DAY_S
    )
    assert len(gone) == 0


def test_the_mask_and_the_time_say_what_was_done_and_when_last() -> None:
    cells = resolve_cells(columns([(0, 0, "view", 3), (0, 0, "like", 1)]), DEFAULT_WEIGHTS)

    assert cells.type_mask[0] == (1 << SIGNALS.index("view")) | (1 << SIGNALS.index("like"))
    assert cells.last_event_at[0] == 3 * DAY_S


def test_no_acts_are_no_cells() -> None:
    assert len(resolve_cells(columns([]), DEFAULT_WEIGHTS)) == 0


events_of_a_few = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 6), st.sampled_from(SIGNALS), st.integers(0, 5).map(float)),
    min_size=1,
    max_size=60,
)


def by_the_rules(events: list[Event]) -> dict[tuple[int, int], float]:
    """The same semantics, a pair at a time in plain Python."""
    expected: dict[tuple[int, int], float] = {}
    for pair in {(user, item) for user, item, _, _ in events}:
        acts = [(day, order, name) for order, (u, i, name, day) in enumerate(events) if (u, i) == pair]
        explicit = sorted(act for act in acts if act[2] not in ("view", "click"))
        if explicit and explicit[-1][2] == "dislike":
            expected[pair] = DEFAULT_WEIGHTS["dislike"]
            continue
        names = [name for _, _, name in acts if name != "dislike"]
        expected[pair] = sum(DEFAULT_WEIGHTS[n] * (1 + math.log(names.count(n))) for n in set(names))
    return expected


def as_dictionary(cells: Cells) -> dict[tuple[int, int], float]:
    pairs = zip(cells.user_index.tolist(), cells.item_index.tolist(), strict=True)
    return dict(zip(pairs, cells.weight.tolist(), strict=True))


@given(events=events_of_a_few)
def test_columns_at_once_equal_the_rules_a_pair_at_a_time(events: list[Event]) -> None:
    found = as_dictionary(resolve_cells(columns(events), DEFAULT_WEIGHTS))

    assert found == pytest.approx(by_the_rules(events), rel=1e-5)


@given(events=events_of_a_few, seed=st.integers(0, 99))
def test_the_order_of_the_rows_does_not_matter(events: list[Event], seed: int) -> None:
    straight = columns(events)
    order = np.random.default_rng(seed).permutation(len(events))
    shuffled = EventColumns(
        straight.user_index[order],
        straight.item_index[order],
        straight.type_code[order],
        straight.occurred_at[order],
        straight.event_order[order],
    )

    one, other = (resolve_cells(events, DEFAULT_WEIGHTS) for events in (straight, shuffled))

    np.testing.assert_array_equal(one.weight, other.weight)
    np.testing.assert_array_equal(one.type_mask, other.type_mask)


@pytest.mark.parametrize(
    ("name", "weight"),
    [("like", 0.0), ("like", -2.0), ("dislike", 1.0), ("dislike", 0.0), ("view", math.nan)],
)
def test_a_weight_that_changes_what_a_signal_means_is_refused(name: str, weight: float) -> None:
    with pytest.raises(ConfigError, match=f"weight of {name}"):
        check_weights({**DEFAULT_WEIGHTS, name: weight})


@pytest.mark.parametrize(
    ("name", "weight"), [("like", 1e39), ("like", 1_000_001.0), ("like", 1e-60), ("dislike", -math.inf)]
)
def test_a_weight_beyond_what_a_cell_can_hold_is_refused(name: str, weight: float) -> None:
    with pytest.raises(ConfigError, match=f"weight of {name}.*0.000001"):
        check_weights({**DEFAULT_WEIGHTS, name: weight})


@pytest.mark.parametrize("size", [SMALLEST_WEIGHT, LARGEST_WEIGHT])
def test_the_cells_of_any_weight_let_through_are_finite_and_no_zero(size: float) -> None:
    weights = {name: -size if name == "dislike" else size for name in SIGNALS}
    acts = [(0, item, name, 0.0) for item, name in enumerate(SIGNALS) for _ in range(1000)]
    acts += [(0, 9, name, 0.0) for name in SIGNALS if name != "dislike"]

    squares = resolve_cells(columns(acts), weights).weight ** 2

    assert np.isfinite(squares).all()
    assert (squares > 0).all()


def test_a_missing_and_an_unknown_type_are_named() -> None:
    weights = {name: weight for name, weight in DEFAULT_WEIGHTS.items() if name != "view"}

    with pytest.raises(ConfigError, match=r"view.*poke"):
        check_weights({**weights, "poke": 1.0})


def test_a_time_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(DataError, match="time"):
        resolve_cells(columns([(0, 0, "like", math.nan)]), DEFAULT_WEIGHTS)


@pytest.mark.parametrize("days", [0, -1, math.inf, math.nan])
def test_a_half_life_that_is_no_number_of_days_is_refused(days: float) -> None:
    with pytest.raises(ConfigError, match="half_life_days"):
        one_cell(("like", 0), half_life_days=days)
