"""The parts of a score add up to it, and each is what it says."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.recommenders.content import ContentRecommender
from recsys.serving.breakdown import MAX_ACTS, Breakdown, acts_to_show, break_down
from recsys.serving.explanations import Asker
from recsys.serving.live_catalogue import LiveCatalogue
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.served import Served, combine
from recsys.types import History

LIKE, DISLIKE = 1 << 2, 1 << 3


@pytest.fixture
def served(watcher: ReleaseWatcher) -> Served:
    assert watcher.release is not None
    return combine(watcher.release, LiveCatalogue())


def asker_of(likes: list[int], dislikes: list[int] | None = None, interests: tuple[str, ...] = ()) -> Asker:
    disliked = dislikes or []
    weights = [2.0] * len(likes) + [-1.0] * len(disliked)
    masks = [LIKE] * len(likes) + [DISLIKE | LIKE] * len(disliked)
    history = History(
        np.array([*likes, *disliked], np.int32), np.array(weights, np.float32), interests=interests
    )
    return Asker(history, np.array(masks, np.uint8))


def sum_of(parts: Breakdown) -> float:
    total = sum(act.share for act in parts.acts) + parts.other
    total += parts.interests.share if parts.interests else 0.0
    total += parts.popularity.share if parts.popularity else 0.0
    return total - (parts.lowered.amount if parts.lowered else 0.0)


@pytest.mark.parametrize("item", [5, 14, 31])
def test_parts_add_up_for_every_recommender(served: Served, item: int) -> None:
    asker = asker_of([0, 2, 4, 6, 1, 3], [7, 9], ("robotics", "banking"))
    for name, recommender in served.recommenders.items():
        parts = break_down(served, recommender, asker, item)
        assert sum_of(parts) == pytest.approx(parts.score, abs=1e-5), name


def test_als_is_the_acts_and_nothing_else(served: Served) -> None:
    parts = break_down(served, served.recommenders["als"], asker_of([0, 2, 4, 6, 1]), 14)
    assert parts.other == pytest.approx(0.0, abs=1e-5)
    assert (parts.interests, parts.popularity, parts.lowered, parts.tags) == (None, None, None, ())
    assert {act.startup_id for act in parts.acts} == {"s00", "s02", "s04", "s06", "s01"}
    assert {(act.name, act.did, act.weight) for act in parts.acts} >= {("Firm 0", "like", 2.0)}
    assert [abs(act.effect) for act in parts.acts] == sorted(
        (abs(a.effect) for a in parts.acts), reverse=True
    )


def test_the_effect_of_an_act_is_what_the_score_loses_without_it(served: Served) -> None:
    asker = asker_of([0, 2, 4, 1], [3])
    for name in ("als", "content"):
        recommender = served.recommenders[name]
        scores = recommender.score_batch([asker.history])[0]
        for act in break_down(served, recommender, asker, 14).acts:
            index = served.items.indices([act.startup_id])[0]
            position = int(np.flatnonzero(asker.history.item_indices == index)[0])
            without = recommender.score_batch([asker.history.without(position)])[0]
            assert act.effect == pytest.approx(float(scores[14] - without[14]), abs=1e-5)


def test_a_dislike_shows_what_it_takes_away(served: Served) -> None:
    """Its share is nothing in als: it works by what the likes are worth beside it."""
    asker = asker_of([0, 2, 4, 1, 3], [5])
    parts = break_down(served, served.recommenders["als"], asker, 7)
    (dislike,) = [act for act in parts.acts if act.weight < 0]
    assert (dislike.did, dislike.share) == ("dislike", 0.0)
    assert dislike.effect < 0
    assert parts.lowered is not None
    assert parts.lowered.startup_id == "s05"
    assert parts.lowered.amount > 0


def test_content_names_the_tags_and_words_both_have(served: Served) -> None:
    content = served.recommenders["content"]
    assert isinstance(content, ContentRecommender)
    parts = break_down(served, content, asker_of([0, 2]), 40)
    assert {tag.term for tag in parts.tags} == {"fintech"}
    assert {"bank", "payments", "lending", "money"} <= {word.term for word in parts.words}
    assert "40" not in {word.term for word in parts.words}  # its own name, which nobody chose
    carried = sum(term.share for term in (*parts.tags, *parts.words))
    assert carried == pytest.approx(sum(act.share for act in parts.acts), rel=0.1)
    other_kind = break_down(served, content, asker_of([0, 2]), 41)
    assert other_kind.tags == ()


def test_interests_are_told_with_the_closest(served: Served) -> None:
    parts = break_down(served, served.recommenders["content"], asker_of([], [], ("fintech", "robotics")), 41)
    assert parts.interests is not None
    assert (parts.interests.stated, parts.interests.closest) == (("fintech", "robotics"), "robotics")
    assert parts.interests.share > 0
    assert {tag.term for tag in parts.tags} == {"robotics"}


def test_popularity_is_counted_again_from_the_acts(served: Served) -> None:
    popularity = served.recommenders["popularity"]
    matrix = served.release.user_items.toarray()
    for item in (0, 7, 40):
        parts = break_down(served, popularity, asker_of([2]), item)
        assert parts.popularity is not None
        assert parts.popularity.users == (int((matrix[:, item] > 0).sum()) if item < 40 else 0)
        assert parts.popularity.recent_users == pytest.approx(parts.score, rel=1e-5)
        assert parts.popularity.half_life_days == 30.0
        assert (parts.acts, parts.other) == ((), pytest.approx(0.0, abs=1e-5))


def test_of_a_long_history_the_first_dislikes_and_the_largest_shares_are_shown() -> None:
    weights = np.array([-1.0] * 30 + [1.0] * 70, np.float32)
    history = History(np.arange(100, dtype=np.int32), weights)
    shares = np.concatenate((np.zeros(30), np.arange(70))).astype(np.float32)
    positions = acts_to_show(history, shares)
    assert len(positions) == MAX_ACTS
    assert set(range(20)) <= set(positions.tolist())
    assert set(range(70, 100)) == set(positions.tolist()) - set(range(20))
