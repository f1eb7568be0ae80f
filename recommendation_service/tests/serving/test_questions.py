"""Explaining one startup to one user: its place, who scores it, and every rule that keeps it out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import redis

from recsys.datasets.catalogue import CatalogueItem
from recsys.errors import InvalidRequestError, NotFoundError
from recsys.recommenders.base import Recommender
from recsys.serving import filling
from recsys.serving.explanations import Asker, explain
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.questions import Questions
from recsys.serving.router import Router
from recsys.serving.seen import parse_seen_policy
from recsys.serving.served import Served
from recsys.serving.steering import Steering
from recsys.types import Int32Array

FINTECH = [f"s{n:02}" for n in range(0, 40, 2)]
ROBOTICS = [f"s{n:02}" for n in range(1, 40, 2)]


@pytest.fixture
def questions(router: Router) -> Questions:
    return Questions(router)


@pytest.mark.parametrize("n_acts", [0, 3, 8, 25])
def test_what_is_in_the_list_is_explained_as_it_stands_there(
    questions: Questions, router: Router, act: Callable, n_acts: int
) -> None:
    act("anna", [*FINTECH, *ROBOTICS][:n_acts], interests=("robotics",))
    answer = router.recommend("anna", Steering(limit=100))
    for startup in (answer.startups[0], answer.startups[4], answer.startups[-1]):
        told = questions.explain("anna", startup.id)
        assert (told.rank, told.score, told.reason) == (startup.rank, startup.score, startup.reason)
        assert (told.method_used, told.source) == (answer.method_used, startup.source)
        assert told.interaction_count == n_acts
        assert (told.offered, told.kept_out_by) == (True, ())


@pytest.mark.parametrize("method", ["als", "content", "ensemble", "popularity", None])
def test_the_overall_rank_is_the_place_among_all_candidates(
    questions: Questions, router: Router, act: Callable, method: str | None
) -> None:
    act("anna", [*FINTECH[2:9], *ROBOTICS[:3]], dislikes=["s09", "s11"])
    listed = router.recommend("anna", Steering(limit=100, method=method)).startups
    of_source = [startup for startup in listed if startup.source == listed[0].source]

    told = [questions.explain("anna", s.id, Steering(limit=100, method=method)) for s in of_source]

    assert [explanation.overall_rank for explanation in told] == list(range(1, len(of_source) + 1))
    assert {explanation.n_candidates for explanation in told} == {len(of_source)}


def test_a_startup_that_is_kept_out_has_the_rank_it_would_have(questions: Questions, act: Callable) -> None:
    act("u00", FINTECH[3:9])
    free = questions.explain("u00", "s03", Steering(limit=100))
    excluded = questions.explain("u00", "s03", Steering(limit=100, exclude=["s03"]))

    assert (excluded.rank, excluded.offered) == (None, False)
    assert (excluded.overall_rank, excluded.n_candidates) == (free.overall_rank, free.n_candidates)


def test_how_many_users_acted_on_it_and_whether_the_release_knows_it(
    questions: Questions, router: Router, act: Callable, catalogue: LiveCatalogueStore
) -> None:
    act("anna", FINTECH[:6])
    catalogue.put([CatalogueItem("new", "Newcomer", "payments", industry="Fintech", created_at=1e9)])
    release = router.release()
    column = release.items.get("s04")
    assert column is not None
    assert release.user_items is not None

    assert questions.explain("anna", "s04").n_users == (release.user_items.indices == column).sum() > 0
    assert questions.explain("anna", "s41").n_users == 0
    assert questions.explain("anna", "new").n_users is None


def test_the_reason_of_one_startup_costs_no_other_a_reason(
    questions: Questions, router: Router, act: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    act("anna", FINTECH[:8])
    best = router.recommend("anna").startups[0]
    asked_for: list[int] = []

    def explain_and_count(served: Served, recommender: Recommender, asker: Asker, items: Int32Array, **rest):  # type: ignore[no-untyped-def]
        asked_for.extend(items.tolist())
        return explain(served, recommender, asker, items, **rest)

    monkeypatch.setattr(filling, "explain", explain_and_count)
    assert questions.explain("anna", best.id).reason == best.reason
    assert len(asked_for) == 1


def test_every_rule_that_keeps_a_startup_out_is_named(questions: Questions, act: Callable) -> None:
    act("u00", FINTECH[3:9], dislikes=["s01"])

    def rules(startup_id: str, **asked: object) -> list[str]:
        told = questions.explain("u00", startup_id, Steering(limit=100, **asked))  # type: ignore[arg-type]
        assert told.offered == (not told.kept_out_by)
        assert (told.rank is None) == bool(told.kept_out_by)
        return [kept.rule for kept in told.kept_out_by]

    assert rules("s03") == []
    assert rules("s36") == ["inactive"]
    assert rules("s02") == ["own"]
    assert rules("s06") == ["acted_on"]
    assert rules("s06", seen=parse_seen_policy("like:0")) == []
    assert rules("s01") == ["disliked"]
    assert rules("s03", exclude=["s03"]) == ["excluded"]
    assert rules("s03", industry=["fintech"]) == ["filter"]
    assert rules("s36", industry=["robotics"], exclude=["s36"]) == ["inactive", "excluded", "filter"]


def test_of_a_startup_acted_on_the_own_act_is_the_reason(questions: Questions, act: Callable) -> None:
    act("u01", ROBOTICS[:6], dislikes=["s00"])
    assert questions.explain("u01", ROBOTICS[0]).reason == "You liked it before"
    assert questions.explain("u01", "s00").reason == "You disliked it"


def test_without_the_types_the_reason_says_no_more_than_is_known(
    questions: Questions, redis_client: redis.Redis
) -> None:
    redis_client.flushall()  # the release knows the cells alone
    told = [questions.explain("u01", startup_id) for startup_id in ("s00", *ROBOTICS)]
    of_acts = {each.reason for each in told[1:] if "acted_on" in {kept.rule for kept in each.kept_out_by}}
    assert (told[0].reason, of_acts) == ("You disliked it", {"You acted on it before"})


def test_a_startup_als_does_not_know_is_scored_by_the_next_who_does(
    questions: Questions, act: Callable
) -> None:
    act("anna", FINTECH[:6])
    told = questions.explain("anna", "s40")
    assert (told.method_used, told.source) == ("als", "content")
    assert {tag.term for tag in told.breakdown.tags} == {"fintech"}
    with pytest.raises(InvalidRequestError, match="als does not know this startup"):
        questions.explain("anna", "s40", Steering(method="als"))


def test_somebody_who_opted_out_is_told_of_popularity_alone(questions: Questions, act: Callable) -> None:
    act("anna", FINTECH[:6], opted_out=True)
    told = questions.explain("anna", "s14")
    assert (told.method_used, told.source) == ("popularity", "popularity")
    assert told.breakdown.acts == ()
    assert told.breakdown.popularity is not None
    assert told.degraded == "the user opted out: popular startups, nothing personal"
    assert [kept.rule for kept in questions.explain("anna", "s02").kept_out_by] == ["acted_on"]


def test_an_explanation_is_plain_values(questions: Questions, act: Callable) -> None:
    act("anna", FINTECH[:6], dislikes=ROBOTICS[:1])
    told = questions.explain("anna", "s14")
    plain = told.to_json()
    assert plain["raw_score"] == told.breakdown.score
    assert plain["acts"][0]["startup_id"] == told.breakdown.acts[0].startup_id
    assert "breakdown" not in plain


def test_a_startup_not_known_here_is_said_to_be(questions: Questions) -> None:
    for ask in (
        questions.similar,
        questions.audience,
        lambda startup_id: questions.explain("anna", startup_id),
    ):
        with pytest.raises(NotFoundError, match="nonsense"):
            ask("nonsense")


def test_a_profile_without_an_act_is_explained_like_nobodys(
    questions: Questions, act: Callable, profiles
) -> None:
    profile = act("anna", FINTECH[:1])
    profiles.store([replace(profile, cells=(), interaction_count=0)], force=True)
    told, nobodys = questions.explain("anna", "s14"), questions.explain("nobody", "s14")
    assert (told.rank, told.score, told.reason) == (nobodys.rank, nobodys.score, nobodys.reason)
    assert told.breakdown == nobodys.breakdown
