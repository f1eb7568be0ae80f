"""Routing, handing down, what is never offered, and what an answer admits to."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import redis

from recsys.artifacts.release import Release
from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError, InvalidRequestError, NotFoundError, UnavailableError
from recsys.recommenders.als import ALSRecommender
from recsys.serving.answers import Answer, RankedList
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveCell, LiveProfile, LiveProfileStore
from recsys.serving.live_state import MAY_BE_BEHIND, LiveState
from recsys.serving.questions import Questions
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.router import Router, Thresholds
from recsys.serving.steering import Steering
from recsys.types import History

FINTECH = [f"s{n:02}" for n in range(0, 40, 2)]
EVERY_STARTUP = [f"s{n:02}" for n in range(44)]
ROBOTICS = [f"s{n:02}" for n in range(1, 40, 2)]


def ids(answer: RankedList) -> list[str]:
    return [startup.id for startup in answer.startups]


@pytest.mark.parametrize(
    ("n_acts", "method_used", "degraded"),
    [
        (0, "content", None),
        (4, "content", None),
        (5, "als", None),
        (19, "als", None),
        (20, "ensemble", None),
        (39, "ensemble", None),
    ],
)
def test_the_live_count_picks_who_answers(
    router: Router, act: Callable, n_acts: int, method_used: str, degraded: str | None
) -> None:
    act("anna", [s for s in (*FINTECH, *ROBOTICS) if s != "s36"][:n_acts])
    answer = router.recommend("anna", Steering(limit=4))
    assert answer.interaction_count == n_acts
    assert answer.method_used == method_used
    assert answer.degraded == degraded
    assert len(answer.startups) == 4
    assert {startup.source for startup in answer.startups} == {method_used}


def test_without_a_two_tower_model_hot_users_get_als_and_are_told(
    router_without_two_tower: Router, act: Callable
) -> None:
    act("anna", [*FINTECH, *ROBOTICS][:20])
    answer = router_without_two_tower.recommend("anna")
    assert answer.method_used == "als"
    assert answer.degraded == "two_tower not trained"
    assert len(answer.startups) == 10
    assert {startup.source for startup in answer.startups} == {"als"}


def test_thresholds_are_settings(watcher: ReleaseWatcher, profiles, catalogue, act: Callable) -> None:
    router = Router(watcher, LiveState(profiles, catalogue), Thresholds(cold_below=2, hot_from=3))
    act("anna", FINTECH[:2])
    act("ben", FINTECH[:3])
    assert router.recommend("anna").method_used == "als"
    assert router.recommend("ben").method_used == "ensemble"


@pytest.mark.parametrize(("cold_below", "hot_from"), [(-1, 5), (6, 5)])
def test_thresholds_out_of_order_are_refused(cold_below: int, hot_from: int) -> None:
    with pytest.raises(ConfigError, match="COLD_BELOW"):
        Thresholds(cold_below, hot_from)


def test_dislikes_count_as_acts_and_only_dislikes_go_to_content(router: Router, act: Callable) -> None:
    act("anna", [], dislikes=FINTECH[:6])
    answer = router.recommend("anna", Steering(limit=20))
    assert answer.interaction_count == 6
    assert answer.method_used == "content"
    assert answer.degraded == "no positive act on a startup als was trained on"
    assert ids(answer)[0] in ROBOTICS


def test_a_user_the_training_never_saw_gets_als_for_the_taste_they_showed(
    router: Router, act: Callable
) -> None:
    act("somebody-new", ROBOTICS[:6])
    answer = router.recommend("somebody-new")
    assert answer.method_used == "als"
    assert set(ids(answer)) <= set(ROBOTICS[6:])


def test_the_list_follows_an_act_at_once(router: Router, act: Callable) -> None:
    act("anna", FINTECH[:6])
    before = ids(router.recommend("anna"))
    act("anna", [*ROBOTICS[:12], FINTECH[0]])
    after = ids(router.recommend("anna"))
    assert set(before) <= set(FINTECH)
    assert set(after) & set(ROBOTICS)


def test_als_orders_as_the_exact_fold_in_of_the_live_history(
    router: Router, act: Callable, watcher: ReleaseWatcher
) -> None:
    act("anna", FINTECH[:7])
    release = watcher.release
    assert release is not None
    als = release.recommenders["als"]
    assert isinstance(als, ALSRecommender)
    y = als.item_factors.astype(np.float64)
    seen = y[release.items.indices(FINTECH[:7])]
    weights = np.full(7, 2.0)
    lhs = y.T @ y + seen.T @ (seen * (als.config.alpha * weights - 1)[:, None])
    lhs += als.config.regularization * np.eye(y.shape[1])
    scores = y @ np.linalg.solve(lhs, seen.T @ (als.config.alpha * weights))
    scores[release.items.indices([*FINTECH[:7], "s36"])] = -np.inf
    assert ids(router.recommend("anna", Steering(limit=5))) == [
        release.items.ids[i] for i in np.argsort(-scores)[:5]
    ]


def test_scores_fall_with_rank_and_stay_between_0_and_1(router: Router, act: Callable) -> None:
    for n_acts in (0, 3, 8, 25):
        act("anna", [*FINTECH, *ROBOTICS][:n_acts])
        for answer in (
            router.recommend("anna", Steering(limit=15)),
            router.popular(),
            Questions(router).similar("s00"),
        ):
            scores = [startup.score for startup in answer.startups]
            assert scores == sorted(scores, reverse=True)
            assert 0 < min(scores) <= max(scores) < 1
            assert [startup.rank for startup in answer.startups] == list(range(1, len(scores) + 1))


def test_the_recommendation_id_tells_release_and_method_and_is_new_each_time(
    router: Router, act: Callable
) -> None:
    act("anna", FINTECH[:6])
    answers = [router.recommend("anna") for _ in range(3)]
    assert len({answer.recommendation_id for answer in answers}) == 3
    version, method, _ = answers[0].recommendation_id.split(".")
    assert (version, method) == (answers[0].model_version, "als")


# --- Never offered ---


def everything_offered(router: Router, user_id: str) -> set[str]:
    """Over every method, as long a list as there is."""
    offered: set[str] = set()
    for method in (None, "ensemble", "als", "two_tower", "content", "popularity"):
        offered |= set(ids(router.recommend(user_id, Steering(limit=100, method=method))))
    return offered


def test_acted_on_disliked_inactive_and_own_startups_are_never_offered(router: Router, act: Callable) -> None:
    act("u00", FINTECH[4:8], dislikes=ROBOTICS[:3])
    hidden = {*FINTECH[4:8], *ROBOTICS[:3], "s36", "s02"}
    offered = everything_offered(router, "u00")
    assert offered == {f"s{n:02}" for n in range(44)} - hidden
    rest = router.recommend("u00", Steering(limit=100, exclude=["s20", "nonsense"], method="content"))
    assert offered - set(ids(rest)) == {"s20"}


def test_a_startup_made_inactive_is_gone_from_the_next_answer_and_back_when_active(
    router: Router, act: Callable, catalogue: LiveCatalogueStore, watcher: ReleaseWatcher
) -> None:
    act("anna", FINTECH[:6])
    first = ids(router.recommend("anna"))[0]
    assert watcher.release is not None
    startup = watcher.release.catalogue.item(watcher.release.items.get(first))
    assert startup is not None
    catalogue.put([replace(startup, is_active=False)])
    assert first not in everything_offered(router, "anna")
    catalogue.put([startup])
    assert ids(router.recommend("anna"))[0] == first
    catalogue.remove([first])
    assert first not in everything_offered(router, "anna")


def test_a_startup_inactive_at_the_training_is_offered_once_the_live_catalogue_says_so(
    router: Router, catalogue: LiveCatalogueStore
) -> None:
    assert "s36" not in everything_offered_cold(router)
    catalogue.replace([], existing=EVERY_STARTUP, inactive=[], owners={})
    assert "s36" in everything_offered_cold(router)


def test_a_startup_deleted_before_redis_was_wiped_stays_gone(
    router: Router, catalogue: LiveCatalogueStore, redis_client: redis.Redis
) -> None:
    redis_client.delete(*redis_client.keys("recs:catalogue:*"))
    catalogue.replace([], existing=[s for s in EVERY_STARTUP if s != "s10"])
    offered = everything_offered_cold(router)
    assert "s10" not in offered
    assert "s12" in offered


def everything_offered_cold(router: Router) -> set[str]:
    return set(ids(router.recommend("nobody", Steering(limit=100))))


def test_a_change_of_owner_counts_at_once(
    router: Router, act: Callable, catalogue: LiveCatalogueStore
) -> None:
    act("u00", FINTECH[4:6])
    catalogue.replace([], existing=EVERY_STARTUP, inactive=[], owners={"s10": "u00"})
    offered = set(ids(router.recommend("u00", Steering(limit=100))))
    assert "s10" not in offered
    assert "s02" in offered


def test_acts_older_than_the_live_cells_are_still_not_offered(
    router: Router, act: Callable, profiles: LiveProfileStore, watcher: ReleaseWatcher
) -> None:
    release = watcher.release
    assert release is not None
    known = release.history_of("u05")
    assert known is not None
    profile = act("u05", ["s01", "s03", "s05", "s07", "s09"])
    assert {release.items.ids[i] for i in known.item_indices} - {c.startup_id for c in profile.cells}
    profiles.store([replace(profile, interaction_count=600)], force=True)
    offered = set(ids(router.recommend("u05", Steering(limit=100))))
    assert not offered & {release.items.ids[i] for i in known.item_indices}


def test_whoever_the_training_never_saw_is_not_offered_their_oldest_acts_either(
    router: Router, act: Callable, profiles: LiveProfileStore
) -> None:
    profile = act("somebody-new", FINTECH[:6])
    older = (*ROBOTICS[:9], "deleted-long-ago")
    profiles.store([replace(profile, interaction_count=16, older=older)], force=True)
    assert not everything_offered(router, "somebody-new") & {*FINTECH[:6], *older}


def test_an_act_taken_back_may_be_offered_again(
    router: Router, act: Callable, watcher: ReleaseWatcher
) -> None:
    """The release still has it; the live profile, complete, has not."""
    assert watcher.release is not None
    known = watcher.release.history_of("u05")
    assert known is not None
    acted = [watcher.release.items.ids[i] for i in known.item_indices]
    act("u05", acted[1:])
    assert acted[0] in ids(router.recommend("u05", Steering(limit=100)))


def test_nothing_left_hands_down(router_without_two_tower: Router, act: Callable) -> None:
    act("anna", [f"s{n:02}" for n in range(40) if n != 36])
    answer = router_without_two_tower.recommend("anna", Steering(limit=100))
    assert answer.method_used == "content"
    assert answer.degraded == "two_tower not trained; als has nothing left to offer"
    assert sorted(ids(answer)) == ["s40", "s41", "s42", "s43"]


def test_the_ensemble_offers_what_nobody_acted_on_by_itself(router: Router, act: Callable) -> None:
    act("anna", [f"s{n:02}" for n in range(40) if n != 36])
    answer = router.recommend("anna", Steering(limit=100))
    assert (answer.method_used, answer.degraded) == ("ensemble", None)
    assert sorted(ids(answer)) == ["s40", "s41", "s42", "s43"]


def test_nothing_left_at_all_is_an_empty_list_that_says_so(router: Router, act: Callable) -> None:
    act("anna", [f"s{n:02}" for n in range(44) if n != 36])
    answer = router.recommend("anna")
    assert answer.startups == ()
    assert answer.degraded == (
        "nothing is left to offer: 43 startups are active, all of them acted on, excluded or the user's own"
    )


# --- Dislikes ---


@pytest.mark.parametrize("method", ["als", "content", "ensemble"])
def test_a_dislike_lowers_the_startups_most_like_it_at_once(
    router: Router, act: Callable, method: str
) -> None:
    liked = [*FINTECH[:5], *ROBOTICS[:5]]
    act("anna", liked)
    before = ids(router.recommend("anna", Steering(limit=100, method=method)))
    act("anna", liked, dislikes=[ROBOTICS[5]])
    after = ids(router.recommend("anna", Steering(limit=100, method=method)))
    places = {s: (before.index(s), after.index(s)) for s in ROBOTICS[6:] if s in after}
    assert np.mean([now - then for then, now in places.values()]) > 1


def test_a_hot_users_fresh_dislike_is_gone_from_the_very_next_list(router: Router, act: Callable) -> None:
    liked = [*FINTECH[:10], *ROBOTICS[:10]]
    act("anna", liked)
    before = ids(router.recommend("anna", Steering(limit=100)))
    disliked = next(s for s in before if s in ROBOTICS)
    act("anna", liked, dislikes=[disliked])
    answer = router.recommend("anna", Steering(limit=100))
    after = ids(answer)
    assert (answer.method_used, answer.degraded) == ("ensemble", None)
    rest = [s for s in before if s != disliked]
    assert set(after) == set(rest)
    assert after != rest  # it says something of the others too


# --- New startups ---


def new_startup(startup_id: str, industry: str, text: str, **fields: object) -> CatalogueItem:
    return CatalogueItem(
        id=startup_id,
        name=startup_id.title(),
        short_description=text,
        tags=(industry.lower(),),
        industry=industry,
        created_at=time.time() - 3600,
        **fields,
    )


def test_a_startup_made_after_the_training_is_offered_to_who_likes_its_kind(
    router: Router, act: Callable, catalogue: LiveCatalogueStore
) -> None:
    act("fin", FINTECH[:3])
    act("rob", ROBOTICS[:3])
    catalogue.put([new_startup("fresh", "Robotics", "robot factory welding arms")])
    of_fin, of_rob = (
        router.recommend(user, Steering(limit=100, method="content")) for user in ("fin", "rob")
    )
    assert ids(of_rob).index("fresh") < ids(of_fin).index("fresh")


def test_a_hot_user_is_offered_a_startup_made_after_the_training_by_the_ensemble(
    router: Router, act: Callable, catalogue: LiveCatalogueStore
) -> None:
    """als knows nothing of it; its text carries it, further up for who liked its kind."""
    act("fin", FINTECH[:18] + ROBOTICS[:2])
    act("rob", ROBOTICS[:18] + FINTECH[:2])
    catalogue.put([new_startup("fresh", "Robotics", "robot factory welding arms")])
    places = {}
    for user in ("fin", "rob"):
        answer = router.recommend(user, Steering(limit=100, method="ensemble"))
        (fresh,) = [startup for startup in answer.startups if startup.id == "fresh"]
        assert fresh.source == "ensemble"
        places[user] = fresh.rank / len(answer.startups)
    assert places["rob"] < places["fin"]


def test_somebody_without_a_history_sees_new_startups_in_a_fifth_of_the_places(
    router: Router, catalogue: LiveCatalogueStore
) -> None:
    catalogue.put([new_startup(f"fresh{n}", "Fintech", "bank money") for n in range(5)])
    answer = router.recommend("nobody", Steering(limit=10))
    new = [startup for startup in answer.startups if startup.id.startswith("fresh")]
    assert [startup.reason for startup in new] == ["New in Fintech"] * 2
    assert [startup.score for startup in answer.startups] == sorted(
        (startup.score for startup in answer.startups), reverse=True
    )
    assert len(answer.startups) == 10
    assert len(router.recommend("nobody", Steering(limit=4)).startups) == 4


def test_a_startup_of_last_year_takes_no_place_of_the_new(
    router: Router, catalogue: LiveCatalogueStore
) -> None:
    old = replace(new_startup("old", "Fintech", "bank"), created_at=time.time() - 400 * 86_400)
    catalogue.put([old])
    assert "old" not in ids(router.recommend("nobody", Steering(limit=10)))


def test_acts_on_new_startups_alone_are_answered_by_content_and_say_why(
    router: Router, act: Callable, catalogue: LiveCatalogueStore
) -> None:
    fresh = [new_startup(f"fresh{n}", "Robotics", "robot factory welding arms") for n in range(6)]
    catalogue.put(fresh)
    act("anna", [startup.id for startup in fresh])
    answer = router.recommend("anna")
    assert answer.interaction_count == 6
    assert answer.method_used == "content"
    assert answer.degraded == "no positive act on a startup als was trained on"
    assert set(ids(answer)) <= {*ROBOTICS, "s41", "s43"}
    assert any(startup.reason.startswith("Because you liked Fresh") for startup in answer.startups)


def test_acts_on_a_startup_known_nowhere_are_counted_and_left_out(router: Router, act: Callable) -> None:
    act("anna", [*FINTECH[:5], "deleted-long-ago"])
    answer = router.recommend("anna")
    assert answer.interaction_count == 6
    assert answer.method_used == "als"


# --- Reasons ---


def test_als_names_the_act_whose_share_of_the_score_is_the_largest(
    router: Router, act: Callable, watcher: ReleaseWatcher, world: Dataset
) -> None:
    """Found a second way: the dense linear map from the acts to the scores, column by column."""
    liked = [*FINTECH[:4], *ROBOTICS[:4]]
    act("anna", liked, dislikes=[FINTECH[9]])
    release = watcher.release
    assert release is not None
    als = release.recommenders["als"]
    assert isinstance(als, ALSRecommender)
    y, alpha = als.item_factors.astype(np.float64), als.config.alpha
    confidence = np.ones(len(y))
    indices = release.items.indices(liked)
    confidence[indices] = alpha * 2.0
    confidence[release.items.indices([FINTECH[9]])] = alpha * 1.0
    lhs = (y * confidence[:, None]).T @ y + als.config.regularization * np.eye(y.shape[1])
    shares = y @ np.linalg.inv(lhs) @ (y[indices] * confidence[indices][:, None]).T
    for startup in router.recommend("anna").startups:
        strongest = liked[shares[release.items.indices([startup.id])[0]].argmax()]
        assert startup.reason == f"Because you liked Firm {int(strongest[1:])}"


@pytest.mark.parametrize(
    ("type_mask", "phrase"),
    [
        (1 << 0, "viewed"),
        (1 << 0 | 1 << 1, "looked into"),
        (1 << 2 | 1 << 3, "liked"),
        (1 << 4 | 1 << 2, "saved"),
        (1 << 5 | 1 << 0, "applied to"),
        (1 << 6 | 1 << 5, "showed interest in"),
    ],
)
def test_the_reason_says_what_was_done(router: Router, act: Callable, type_mask: int, phrase: str) -> None:
    act("anna", FINTECH[:6], type_mask=type_mask)
    for startup in router.recommend("anna").startups:
        assert startup.reason.startswith(f"Because you {phrase} Firm ")


def test_a_dislike_is_never_given_as_a_reason(router: Router, act: Callable) -> None:
    act("anna", FINTECH[:6], dislikes=ROBOTICS[:6])
    named = {f"Firm {int(startup_id[1:])}" for startup_id in FINTECH[:6]}
    for method in ("als", "content", "two_tower", "ensemble"):
        for startup in router.recommend("anna", Steering(limit=100, method=method)).startups:
            if startup.reason.startswith("Because"):
                assert startup.reason.removeprefix("Because you liked ") in named


def test_the_reason_of_the_ensemble_is_an_act_without_which_its_score_is_lower(
    router: Router, act: Callable, watcher: ReleaseWatcher
) -> None:
    liked = [*FINTECH[:15], *ROBOTICS[:5]]
    act("anna", liked)
    answer = router.recommend("anna", Steering(limit=10))
    assert watcher.release is not None
    items, ensemble = watcher.release.items, watcher.release.recommenders["ensemble"]
    history = History(
        items.indices(liked).astype(np.int32), np.full(len(liked), 2.0, np.float32), interests=()
    )
    whole = ensemble.score_batch([history])[0]
    named = [s for s in answer.startups if s.reason.startswith("Because you liked Firm ")]
    assert len(named) >= 5  # naming nothing would be true as well
    for startup in named:
        reason_id = f"s{int(startup.reason.removeprefix('Because you liked Firm ')):02}"
        without = ensemble.score_batch([history.without(liked.index(reason_id))])[0]
        place = items.indices([startup.id])[0]
        assert without[place] < whole[place]


def test_interests_are_named_in_the_users_own_words(router: Router, act: Callable) -> None:
    act("anna", [], interests=("Robotics", "gardening"))
    reasons = [startup.reason for startup in router.recommend("anna", Steering(limit=15)).startups]
    assert reasons.count("Matches your interest in Robotics") >= 8
    assert set(reasons) <= {"Matches your interest in Robotics", "Popular lately"}


def test_what_is_popular_anyway_is_called_popular_and_the_rest_is_personal(
    router: Router, act: Callable
) -> None:
    """Nobody's list is the popular one: those of its startups that match no more than usual stay so."""
    act("anna", [ROBOTICS[0]])
    popular = set(ids(router.recommend("nobody", Steering(limit=10))))
    for startup in router.recommend("anna", Steering(limit=10)).startups:
        if startup.id not in popular:
            assert startup.reason == "Because you liked Firm 1"


def test_a_new_name_is_the_one_that_is_said(
    router: Router, act: Callable, catalogue: LiveCatalogueStore, watcher: ReleaseWatcher
) -> None:
    act("anna", FINTECH[:6])
    assert watcher.release is not None
    renamed = [
        replace(s, name=f"New {s.name}")
        for s in map(watcher.release.catalogue.item, range(len(EVERY_STARTUP)))
    ]
    catalogue.put(renamed)
    assert router.recommend("anna").startups[0].reason.startswith("Because you liked New Firm ")


def test_popular_says_popular_only_of_what_is(router: Router) -> None:
    startups = router.popular(limit=100).startups
    assert startups[0].reason == "Popular lately"
    by_id = {startup.id: startup.reason for startup in startups}
    assert by_id["s43"] == "Little known yet"
    assert "s36" not in by_id


# --- Redis away, wiped, not synced ---


def test_without_the_ready_mark_the_releases_own_row_answers_and_says_so(
    router: Router, redis_client: redis.Redis, watcher: ReleaseWatcher, catalogue: LiveCatalogueStore
) -> None:
    redis_client.delete("recs:profiles:ready")
    assert watcher.release is not None
    known = watcher.release.history_of("u04")
    assert known is not None
    answer = router.recommend("u04", Steering(limit=100))
    assert answer.method_used == "als"
    assert answer.interaction_count == len(known.item_indices)
    assert answer.degraded == f"live profiles not synced: acts as of release {answer.model_version}"
    assert not set(ids(answer)) & {watcher.release.items.ids[i] for i in known.item_indices}
    assert answer.startups[0].reason.startswith("Because of Firm ")
    stranger = router.recommend("nobody")
    assert stranger.method_used == "content"
    assert stranger.degraded == "live profiles not synced: nothing known of this user"


def test_under_the_mark_no_key_is_a_user_who_did_nothing(router: Router) -> None:
    answer = router.recommend("u04")
    assert (answer.interaction_count, answer.method_used, answer.degraded) == (0, "content", None)


def test_a_profile_without_the_mark_is_used(router: Router, act: Callable, redis_client: redis.Redis) -> None:
    act("anna", FINTECH[:6])
    redis_client.delete("recs:profiles:ready")
    assert router.recommend("anna").degraded is None


def test_a_stopped_redis_degrades_answers_and_a_started_one_heals_them(
    watcher: ReleaseWatcher, stoppable_valkey, caplog: pytest.LogCaptureFixture, connect_to: Callable
) -> None:
    client = connect_to(stoppable_valkey.url)
    profiles, catalogue = LiveProfileStore(client), LiveCatalogueStore(client)
    router = Router(watcher, LiveState(profiles, catalogue), Thresholds())
    cells = tuple(LiveCell(s, 2.0, 1.7e9, 4) for s in ROBOTICS[:6])
    anna = LiveProfile("u04", 1, 6, cells, (), False, 1)

    def sync() -> None:
        profiles.store([anna], force=True)
        profiles.mark_ready()
        catalogue.replace([], existing=EVERY_STARTUP, inactive=["s38"])

    sync()
    live = router.recommend("u04", Steering(limit=100))
    assert live.degraded is None
    stoppable_valkey.stop()
    for _ in range(3):
        answer = router.recommend("u04", Steering(limit=100))
        assert answer.degraded == (
            f"live profile store unavailable: acts as of release {answer.model_version}"
        )
        assert answer.method_used == "als"
        assert "s38" not in ids(answer)  # the catalogue as last known
    assert router.popular().degraded == "live catalogue unavailable: activity and owners as last known"
    assert Questions(router).similar("s00").startups
    stoppable_valkey.start()
    sync()
    healed = router.recommend("u04", Steering(limit=100))
    assert (ids(healed), healed.degraded) == (ids(live), None)
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert ["live store" in record.getMessage() for record in warnings] == [
        True
    ]  # said once, not with every request


def test_after_redis_was_away_answers_admit_it_until_the_mark_is_renewed(
    watcher: ReleaseWatcher, stoppable_valkey, connect_to: Callable
) -> None:
    client = connect_to(stoppable_valkey.url)
    profiles, catalogue = LiveProfileStore(client), LiveCatalogueStore(client)
    asked_before, asked_first_in_the_outage = (
        Router(watcher, LiveState(profiles, catalogue), Thresholds()) for _ in range(2)
    )
    profiles.mark_ready()
    catalogue.replace([], existing=EVERY_STARTUP)
    assert asked_before.recommend("anna").degraded is None
    stoppable_valkey.stop()
    routers = (asked_before, asked_first_in_the_outage)
    for router in routers:
        assert "unavailable" in (router.recommend("anna").degraded or "")
    stoppable_valkey.start()
    for router in routers * 2:
        assert router.recommend("anna").degraded == MAY_BE_BEHIND
    profiles.renew_mark()
    for router in routers * 2:
        assert router.recommend("anna").degraded is None


def test_a_catalogue_never_synced_is_admitted_and_takes_only_away(
    router: Router, catalogue: LiveCatalogueStore, redis_client: redis.Redis, watcher: ReleaseWatcher
) -> None:
    redis_client.delete(*redis_client.keys("recs:catalogue:*"))
    answer = router.recommend("u00", Steering(limit=100))
    assert answer.degraded == "live catalogue not synced: activity and owners partly as of the release"
    assert not {"s36", "s02"} & set(ids(answer))
    assert watcher.release is not None
    s04 = watcher.release.catalogue.item(4)
    assert s04 is not None
    catalogue.put([replace(s04, is_active=False)])
    assert "s04" not in ids(router.recommend("u00", Steering(limit=100)))


def test_a_profile_nobody_can_read_counts_as_none(
    router: Router, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.set("recs:profile:u04", "garbage")
    answer = router.recommend("u04")
    assert answer.startups
    assert "live store" not in caplog.text
    assert (answer.degraded or "").startswith(
        "this user's live profile cannot be read; run sync_live_profiles: acts as of release"
    )


# --- Opted out, forced, similar, no release ---


def test_somebody_who_opted_out_gets_what_is_popular_and_nothing_personal(
    router: Router, act: Callable
) -> None:
    act("anna", ROBOTICS[:8], interests=("robotics",), opted_out=True)
    answer = router.recommend("anna", Steering(limit=10))
    assert answer.method_used == "popularity"
    assert answer.degraded == "the user opted out: popular startups, nothing personal"
    assert answer.interaction_count == 8
    others = [startup_id for startup_id in ids(router.popular(limit=100)) if startup_id not in ROBOTICS[:8]]
    assert ids(answer) == others[:10]
    assert not any("your" in startup.reason or "you " in startup.reason for startup in answer.startups)
    assert ids(router.recommend("anna", Steering(limit=10, method="als"))) == others[:10]


def test_a_forced_method_answers_whatever_the_count(router: Router, act: Callable) -> None:
    act("anna", FINTECH[:1])
    for method in ("ensemble", "als", "two_tower", "content", "popularity"):
        answer = router.recommend("anna", Steering(method=method))
        assert answer.method_used == method
        assert {startup.source for startup in answer.startups} == {method}


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("ensemble", "ensemble cannot answer: no positive act"),
        ("als", "als cannot answer: no positive act"),
        ("two_tower", "two_tower cannot answer: no positive act"),
    ],
)
def test_a_forced_method_that_cannot_answer_is_told_not_replaced(
    router: Router, method: str, message: str
) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        router.recommend("nobody", Steering(method=method))


def test_a_forced_method_that_was_not_trained_is_told_not_replaced(
    router_without_two_tower: Router, act: Callable
) -> None:
    act("anna", FINTECH)
    with pytest.raises(InvalidRequestError, match="ensemble cannot answer: two_tower not trained"):
        router_without_two_tower.recommend("anna", Steering(method="ensemble"))
    with pytest.raises(InvalidRequestError, match="two_tower cannot answer: two_tower not trained"):
        router_without_two_tower.recommend("anna", Steering(method="two_tower"))


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_a_limit_out_of_range_is_refused(router: Router, limit: int) -> None:
    for ask in (
        lambda: router.recommend("anna", Steering(limit=limit)),
        lambda: router.popular(limit=limit),
        lambda: Questions(router).similar("s00", limit=limit),
    ):
        with pytest.raises(InvalidRequestError, match="1 to 100"):
            ask()


def test_similar_startups_are_of_the_same_kind_and_never_itself(router: Router) -> None:
    answer = Questions(router).similar("s04", limit=8)
    assert answer.method_used == "blend"
    assert "s04" not in ids(answer)
    assert set(ids(answer)[:4]) <= set(FINTECH) - {"s36"}


def test_startups_few_people_know_are_compared_by_their_texts(
    router: Router, catalogue: LiveCatalogueStore
) -> None:
    catalogue.put([new_startup("fresh", "Robotics", "robot factory welding arms")])
    for startup_id in ("s41", "fresh"):
        answer = Questions(router).similar(startup_id, limit=5)
        assert (answer.method_used, answer.degraded) == ("content", None)
        assert all(int(other[1:]) % 2 for other in ids(answer) if other != "fresh")


def test_a_startup_without_a_word_has_nothing_similar_and_the_answer_says_so(
    router: Router, catalogue: LiveCatalogueStore
) -> None:
    catalogue.put([CatalogueItem(id="blank", name="")])
    answer = Questions(router).similar("blank")
    assert answer.startups == ()
    assert answer.degraded == "content knows nothing of this startup; als does not know this startup"


def test_similar_to_an_unknown_startup_is_not_found(router: Router) -> None:
    with pytest.raises(NotFoundError, match="nonsense"):
        Questions(router).similar("nonsense")


def test_without_a_release_every_question_names_the_mend(
    tmp_path: Path, profiles: LiveProfileStore, catalogue: LiveCatalogueStore
) -> None:
    watcher = ReleaseWatcher(
        tmp_path, warm=lambda _: None, on_loaded=lambda _: None, on_failure=lambda _: None
    )
    watcher.check()
    router = Router(watcher, LiveState(profiles, catalogue), Thresholds())
    for ask in (lambda: router.recommend("anna"), router.popular, lambda: Questions(router).similar("s00")):
        with pytest.raises(UnavailableError, match=r"train_all_models\.sh"):
            ask()
    watcher.stop()


def test_the_five_documented_files_alone_answer_with_als_and_say_so(
    models_dir: Path, tmp_path: Path, profiles, catalogue, act: Callable
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    for file in (models_dir / "current").glob("als_v1*"):
        shutil.copy(file, alone)
    watcher = ReleaseWatcher(alone, warm=lambda _: None, on_loaded=lambda _: None, on_failure=lambda _: None)
    watcher.check()
    router = Router(watcher, LiveState(profiles, catalogue), Thresholds())
    act("anna", FINTECH[:2])
    answer = router.recommend("anna")
    assert answer.method_used == "als"
    assert "content not trained; popularity not trained" in (answer.degraded or "")
    assert "without a release manifest" in (answer.degraded or "")
    assert answer.startups[0].reason == "Because you liked s00"
    diverse = router.recommend("anna", Steering(diversity=0.5))
    assert ids(diverse) == ids(answer)
    assert "content not trained: nothing tells what is alike" in (diverse.degraded or "")
    assert Questions(router).similar("s00").method_used == "als"
    act("ben", FINTECH[:2], opted_out=True)
    for ask in (lambda: router.recommend("nobody"), lambda: router.recommend("ben"), router.popular):
        with pytest.raises(UnavailableError, match="train all models"):
            ask()
    watcher.stop()


def test_an_answer_as_json_has_the_documented_fields(router: Router, act: Callable) -> None:
    act("anna", FINTECH[:6])
    answer = router.recommend("anna", Steering(limit=2))
    fields = answer.to_json()
    assert set(fields) == {
        "user_id", "startups", "method_used", "interaction_count",
        "model_version", "recommendation_id", "degraded",
    }  # fmt: skip
    assert set(fields["startups"][0]) == {"id", "rank", "score", "source", "reason"}
    assert isinstance(answer, Answer)


def test_a_new_release_changes_the_version_and_nothing_else(
    router: Router, act: Callable, watcher: ReleaseWatcher, publish_again: Callable[[], Release]
) -> None:
    act("anna", FINTECH[:6])
    before = router.recommend("anna")
    second = publish_again()
    watcher.check()
    after = router.recommend("anna")
    assert before.model_version != after.model_version == second.version
    assert ids(before) == ids(after)


def test_an_answer_asks_redis_once(
    router: Router, act: Callable[..., LiveProfile], redis_client: redis.Redis
) -> None:
    act("anna", ["s00", "s02", "s04", "s06", "s08"])
    router.recommend("anna")
    redis_client.config_resetstat()

    router.recommend("anna")

    calls = {name: stats["calls"] for name, stats in redis_client.info("commandstats").items()}
    calls.pop("cmdstat_config|resetstat", None)
    assert calls == {"cmdstat_mget": 1}
