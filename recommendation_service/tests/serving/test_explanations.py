"""A reason that names an act is true: without the act the startup's score is lower."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.artifacts.publish import Trained
from recsys.datasets.user_items import Dataset
from recsys.recommenders.base import Recommender
from recsys.recommenders.table import make_recommender
from recsys.serving.explanations import NO_ACT, SIMILAR_TASTE, Asker, closest_interests, explain, name_acts
from recsys.serving.live_catalogue import LiveCatalogue
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.served import combine
from recsys.types import Float32Array, History, Int32Array

N_HISTORIES = 200
N_ITEMS, N_COLD_ITEMS = 40, 4  # of the world; nobody acted on the last


@pytest.fixture(scope="module")
def tilted(world: Dataset) -> Recommender:
    return make_recommender("two_tower", dimensions=8, epochs=2, popularity_tilt=0.5).fit(world)


@pytest.fixture(scope="module")
def irspack(world: Dataset) -> Recommender:
    return make_recommender("als", engine="irspack", factors=6, iterations=8, nu=1.0).fit(world)


@pytest.fixture
def personal(
    trained_world: tuple[Trained, ...], tilted: Recommender, irspack: Recommender
) -> list[Recommender]:
    """Every recommender that tells what the acts add."""
    recommenders = [*(one.recommender for one in trained_world), tilted, irspack]
    nobody, first = History.empty(), np.zeros(1, np.int32)
    told = [each for each in recommenders if each.contributions(nobody, first) is not None]
    assert {each.name for each in told} == {"als", "content", "two_tower", "ensemble"}
    return told


def named(trained_world: tuple[Trained, ...], name: str) -> Recommender:
    return next(one.recommender for one in trained_world if one.recommender.name == name)


def random_histories(n_items: int = N_ITEMS) -> list[History]:
    rng = np.random.default_rng(3)
    return [
        History(
            rng.choice(n_items, size, replace=False).astype(np.int32),
            rng.choice([-1.0, 0.5, 1.0, 2.0, 3.5, 8.0], size).astype(np.float32),
            1.7e9 - np.arange(size, dtype=np.float64),
        )
        for size in rng.integers(1, 13, N_HISTORIES)
    ]


def name_and_share(recommender: Recommender, history: History) -> tuple[Int32Array, np.ndarray, Float32Array]:
    """The items not acted on, the act named for each, and all shares."""
    items = np.setdiff1d(np.arange(N_ITEMS), history.item_indices).astype(np.int32)
    shares = recommender.contributions(history, items)
    assert shares is not None
    return items, name_acts(recommender, history, shares, items), shares


def test_taking_the_named_act_back_lowers_the_score(personal: list[Recommender]) -> None:
    """Worked out the long way round: all items scored for the history with and without the act."""
    for recommender in personal:
        n_named = n_items = 0
        for history in random_histories():
            items, acts, _ = name_and_share(recommender, history)
            scores = recommender.score_batch([history])[0]
            for act in np.unique(acts[acts != NO_ACT]):
                assert history.weights[act] > 0
                without = recommender.score_batch([history.without(int(act))])[0]
                because_of_it = items[acts == act]
                assert (without[because_of_it] < scores[because_of_it]).all()
                n_named += len(because_of_it)
            n_items += len(items)
        assert n_named > n_items / 4  # naming nothing would be true as well


def test_the_act_with_the_largest_share_is_named_whenever_that_is_true(personal: list[Recommender]) -> None:
    for recommender in personal:
        for history in random_histories()[:50]:
            check_largest_unless_untrue(recommender, history)


def check_largest_unless_untrue(recommender: Recommender, history: History) -> None:
    items, acts, shares = name_and_share(recommender, history)
    likes = np.flatnonzero(history.weights > 0)
    if len(likes) == 0:
        assert (acts == NO_ACT).all()
        return
    largest = likes[shares[likes].argmax(axis=0)]
    for place in np.flatnonzero(acts != largest):
        loss = recommender.losses(history, items[[place]], [int(largest[place])])[0, 0]
        assert loss <= 1e-5 * np.abs(shares[:, place]).sum() or shares[largest[place], place] <= 0


def test_als_has_histories_in_which_the_largest_share_would_be_the_wrong_reason(
    trained_world: tuple[Trained, ...],
) -> None:
    """What `name_acts` is for: without it these would be told, and would be false."""
    als = named(trained_world, "als")
    n_wrong = 0
    for history in random_histories():
        items, acts, shares = name_and_share(als, history)
        likes = np.flatnonzero(history.weights > 0)
        if len(likes) > 0:
            largest = likes[shares[likes].argmax(axis=0)]
            n_wrong += int(((acts != largest) & (shares[largest, np.arange(len(items))] > 0)).sum())
    assert n_wrong > 0


def test_of_startups_of_one_text_no_single_one_is_the_reason(world: Dataset) -> None:
    """Without a prior each carries half of the likeness, and either one alone would carry all of it."""
    content = make_recommender("content", dimensions=8, prior_weight=0.0).fit(world)
    twins = History(np.array([0, 2], np.int32), np.array([2.0, 2.0], np.float32))
    _, acts, shares = name_and_share(content, twins)
    assert (shares > 0).all(axis=0).any()
    assert (acts == NO_ACT).all()


def test_losses_are_what_the_scores_lose(personal: list[Recommender]) -> None:
    items = np.arange(N_ITEMS, dtype=np.int32)
    for recommender in personal:
        for history in random_histories(N_ITEMS + N_COLD_ITEMS)[:50]:  # als does not know the last
            acts = list(range(len(history.item_indices)))[::-1]
            losses = recommender.losses(history, items, acts)
            assert losses.shape == (len(acts), N_ITEMS)
            scores = recommender.score_batch([history])[0][:N_ITEMS].astype(np.float64)
            for row, act in zip(losses, acts, strict=True):
                without = recommender.score_batch([history.without(act)])[0][:N_ITEMS]
                np.testing.assert_allclose(row, scores - without, atol=2e-5)


def test_the_closest_interest_is_the_one_that_alone_would_lift_a_startup_most(
    trained_world: tuple[Trained, ...],
) -> None:
    items = np.array([40, 41], np.int32)  # Fintech, Robotics
    for recommender in (named(trained_world, name) for name in ("content", "two_tower", "ensemble")):
        share = recommender.interest_share(History.empty(("fintech", "robotics")), items)
        assert share.any()
        told = closest_interests(recommender, ("fintech", "robotics"), items)
        for place, interest in enumerate(told):
            alone = {
                each: recommender.interest_share(History.empty((each,)), items)[place]
                for each in ("fintech", "robotics")
            }
            assert alone[interest] == max(alone.values())
    assert closest_interests(named(trained_world, "content"), ("fintech", "robotics"), items) == [
        "fintech",
        "robotics",
    ]


def test_a_startup_to_which_the_acts_add_less_than_nothing_gets_no_act_as_its_reason(
    watcher: ReleaseWatcher,
) -> None:
    assert watcher.release is not None
    served = combine(watcher.release, LiveCatalogue())
    als, n_unliked = served.recommenders["als"], 0
    for history in random_histories():
        items = np.arange(N_ITEMS, dtype=np.int32)
        shares = als.contributions(history, items)
        assert shares is not None
        nothing_speaks_for_it = (shares <= 0).all(axis=0)
        reasons = np.array(explain(served, als, Asker(history), items, now_s=0.0))
        assert set(reasons[nothing_speaks_for_it]) <= {SIMILAR_TASTE}
        n_unliked += int(nothing_speaks_for_it.sum())
    assert n_unliked > 0
