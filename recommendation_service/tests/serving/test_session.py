"""A visit as a history: what it is worth, how it is routed, what is left out of its list."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.datasets.weights import DEFAULT_WEIGHTS
from recsys.errors import InvalidRequestError
from recsys.serving.live_catalogue import LiveCatalogue
from recsys.serving.questions import Questions
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.router import Router
from recsys.serving.served import Served, combine
from recsys.serving.session import MAX_SESSION_STARTUPS, Session, state_of_session
from recsys.serving.steering import Steering

NOW_S = 1.8e9
FINTECH = [f"s{n:02}" for n in range(0, 40, 2)]
ROBOTICS = [f"s{n:02}" for n in range(1, 40, 2)]


@pytest.fixture
def served(watcher: ReleaseWatcher) -> Served:
    assert watcher.release is not None
    return combine(watcher.release, LiveCatalogue())


@pytest.fixture
def questions(router: Router) -> Questions:
    return Questions(router)


def test_a_visit_becomes_a_history_the_latest_first_each_startup_once(served: Served) -> None:
    session = Session(
        ["s03", "unknown", "s05", "s03", "s07"],
        types={"s05": "apply", "s07": "dislike"},
        weights={"s03": 4.5},
        interests=("fintech",),
    )
    state, ignored = state_of_session(served, session, "why", now_s=NOW_S)
    history = state.asker.history
    assert [served.items.ids[i] for i in history.item_indices] == ["s07", "s03", "s05"]
    worth = [DEFAULT_WEIGHTS["dislike"], 4.5, DEFAULT_WEIGHTS["apply"]]
    np.testing.assert_allclose(history.weights, worth)
    assert history.last_event_at is not None
    assert history.last_event_at[0] == NOW_S
    assert (np.diff(history.last_event_at) < 0).all()
    assert history.interests == ("fintech",)
    assert [state.asker.type_done(n) for n in range(3)] == ["dislike", "click", "apply"]
    assert (state.interaction_count, state.degraded, ignored) == (3, "why", ("unknown",))


@pytest.mark.parametrize(
    ("n_startups", "method_used", "degraded"),
    [(0, "content", None), (4, "content", None), (5, "als", None), (20, "ensemble", None)],
)
def test_the_number_of_known_startups_picks_who_answers(
    questions: Questions, n_startups: int, method_used: str, degraded: str | None
) -> None:
    visit = Session([*[*FINTECH, *ROBOTICS][:n_startups], "unknown"])
    answer = questions.recommend_session(visit)
    assert (answer.method_used, answer.interaction_count) == (method_used, n_startups)
    assert (answer.degraded, answer.ignored) == (degraded, ("unknown",))
    assert len(answer.startups) == 10


def test_a_visit_gets_the_list_of_a_user_who_did_the_same(questions: Questions, router: Router, act) -> None:
    visits = ((FINTECH[:7], ROBOTICS[:2]), (ROBOTICS[:3], []), (FINTECH[:18], ROBOTICS[:4]))
    for (likes, dislikes), method_used in zip(visits, ("als", "content", "ensemble"), strict=True):
        act("anna", likes, dislikes=dislikes, interests=("robots",))
        types = {**dict.fromkeys(likes, "like"), **dict.fromkeys(dislikes, "dislike")}
        visit = Session([*dislikes, *reversed(likes)], types, interests=("robots",))
        users, visitors = router.recommend("anna"), questions.recommend_session(visit)
        for mine, theirs in zip(visitors.startups, users.startups, strict=True):
            # Summed in another order, a score differs in its last digits.
            assert replace(mine, score=0.0) == replace(theirs, score=0.0)
            assert mine.score == pytest.approx(theirs.score, abs=1e-6)
        assert visitors.method_used == users.method_used == method_used
        assert visitors.degraded == users.degraded


def test_what_was_visited_is_not_offered_and_a_dislike_counts(questions: Questions) -> None:
    visit = Session([*FINTECH[:5], "s01"], weights={"s01": -3.0})
    everything = questions.recommend_session(visit, Steering(limit=100))
    offered = {startup.id for startup in everything.startups}
    assert offered == {f"s{n:02}" for n in range(44)} - {*FINTECH[:5], "s01", "s36"}
    assert not any("Firm 1 " in f"{startup.reason} " for startup in everything.startups)


def test_a_visit_that_is_too_long_or_contradicts_itself_is_refused() -> None:
    longest = [str(n) for n in range(MAX_SESSION_STARTUPS)]
    Session(longest)
    with pytest.raises(InvalidRequestError, match="501 startup ids; send the latest 500"):
        Session([*longest, "one more"])
    with pytest.raises(InvalidRequestError, match="types names 'b', which is not in startup_ids"):
        Session(["a"], types={"b": "like"})
    with pytest.raises(InvalidRequestError, match="types says 'stare' of 'a'; there are view, click"):
        Session(["a"], types={"a": "stare"})
    for weight in (0.0, float("nan"), float("inf"), -101.0):
        with pytest.raises(InvalidRequestError, match="give a number other than 0"):
            Session(["a"], weights={"a": weight})
