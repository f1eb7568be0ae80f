"""Filters, what they leave, and that lists are filled from it as far as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from recsys.datasets.catalogue import CatalogueItem
from recsys.errors import InvalidRequestError
from recsys.serving.answers import RankedList
from recsys.serving.filling import NEW, NewStartupShare
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveCell, LiveProfile, LiveProfileStore
from recsys.serving.live_state import LiveState
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.router import Router, Thresholds
from recsys.serving.seen import SeenPolicy, parse_seen_policy
from recsys.serving.steering import MAX_EXCLUDED, Steering, parse_created_after

FINTECH = [f"s{n:02}" for n in range(0, 44, 2) if n != 36]  # s36 is inactive
ROBOTICS = [f"s{n:02}" for n in range(1, 44, 2)]
COUNTRIES = ("France", "Japan", "Peru")
STAGES = ("Seed", "Series A")
DAY_S = 86_400.0


def ids(answer: RankedList) -> list[str]:
    return [startup.id for startup in answer.startups]


def sources(answer: RankedList) -> list[str]:
    return [startup.source for startup in answer.startups]


@pytest.fixture
def described(catalogue: LiveCatalogueStore, watcher: ReleaseWatcher) -> dict[str, CatalogueItem]:
    """Every startup with a country, a stage and a date of its own, told by the live catalogue."""
    assert watcher.release is not None
    startups = {}
    for n in range(len(watcher.release.items)):
        startup = watcher.release.catalogue.item(n)
        assert startup is not None
        startups[startup.id] = replace(
            startup,
            country=COUNTRIES[n % 3],
            stage=STAGES[n // 2 % 2],
            created_at=datetime(2020, 1, 1 + n % 28, tzinfo=UTC).timestamp(),
        )
    catalogue.put(list(startups.values()))
    return startups


@pytest.fixture
def make_router(
    watcher: ReleaseWatcher, profiles: LiveProfileStore, catalogue: LiveCatalogueStore
) -> Callable[..., Router]:
    def make(**rules: object) -> Router:
        return Router(watcher, LiveState(profiles, catalogue), Thresholds(), **rules)  # type: ignore[arg-type]

    return make


# --- Filters ---


def test_a_list_holds_what_meets_every_filter_and_is_as_long_as_there_are(
    router: Router, act: Callable, described: dict[str, CatalogueItem]
) -> None:
    """Against the catalogue itself, for people of every kind, over filters drawn at random."""
    rng = np.random.default_rng(5)
    for user, n_acts in (("cold", 0), ("cool", 3), ("warm", 8), ("hot", 25)):
        acted_on = [*FINTECH[:n_acts], *ROBOTICS[: max(0, n_acts - 20)]][:n_acts]
        act(user, acted_on)
        for _ in range(25):
            excluded = list(rng.choice([*FINTECH, *ROBOTICS], rng.integers(0, 30)))
            asked = Steering(
                limit=int(rng.choice([1, 5, 40, 100])),
                exclude=excluded,
                industry=[(), ("fintech",), ("ROBOTICS", "Fintech")][rng.integers(3)],
                country=[(), ("peru",), ("France,Japan",)][rng.integers(3)],
                stage=[(), ("Seed",)][rng.integers(2)],
                created_after=[None, datetime(2020, 1, 9, 12, tzinfo=UTC).timestamp()][rng.integers(2)],
                diversity=float(rng.choice([0.0, 0.5])),
            )
            allowed = {
                startup.id
                for startup in described.values()
                if startup.is_active
                and startup.id not in {*acted_on, *excluded}
                and (not asked.industry or startup.industry.lower() in str(asked.industry).lower())
                and (not asked.country or startup.country.lower() in str(asked.country).lower())
                and (not asked.stage or startup.stage in asked.stage)
                and (asked.created_after is None or startup.created_at > asked.created_after)
            }
            answer = router.recommend(user, asked)
            assert set(ids(answer)) <= allowed
            assert len(set(ids(answer))) == len(answer.startups) == min(asked.limit, len(allowed))


def test_values_count_in_any_case_and_a_comma_separates_them(
    router: Router, described: dict[str, CatalogueItem], catalogue: LiveCatalogueStore
) -> None:
    def offered(*values: str) -> set[str]:
        return set(ids(router.recommend("nobody", Steering(limit=100, country=values))))

    both = {s.id for s in described.values() if s.country in ("France", "Peru") and s.is_active}
    assert offered("france", "PERU") == offered(" France , peru ") == offered("france,peru,", "") == both
    assert offered("", " ") == {s.id for s in described.values() if s.is_active}
    catalogue.put([replace(described["s00"], country="Korea, South")])
    assert offered("korea, south") == {"s00"}


def test_a_value_nobody_has_is_refused_with_the_nearest_there_are(
    router: Router, described: dict[str, CatalogueItem]
) -> None:
    with pytest.raises(InvalidRequestError, match="No startup has the industry fintehc") as raised:
        router.recommend("nobody", Steering(industry=["Fintehc"]))
    assert str(raised.value).endswith("did you mean fintech?")
    assert raised.value.detail == {"field": "industry", "unknown": ["fintehc"], "nearest": ["fintech"]}
    with pytest.raises(InvalidRequestError, match="there are france, japan, peru and others"):
        router.recommend("nobody", Steering(country=["xx", "yy"]))


def test_a_value_nobody_has_among_others_is_told_and_the_others_answer(
    router: Router, described: dict[str, CatalogueItem]
) -> None:
    answer = router.recommend("nobody", Steering(limit=100, industry=["robotics", "quantum"]))
    assert set(ids(answer)) == set(ROBOTICS)
    assert answer.degraded == "no startup has the industry quantum"


def test_more_values_than_a_filter_takes_are_refused_however_they_are_written(router: Router) -> None:
    with pytest.raises(InvalidRequestError, match=r"industry has 20,000 values; send at most 100"):
        router.recommend("nobody", Steering(industry=[",".join(f"v{n}" for n in range(20_000))]))


def test_of_many_values_nobody_has_some_are_named(router: Router) -> None:
    with pytest.raises(InvalidRequestError, match="fintehc, v0, v1, v2, v3, v4 or 85 others; did you mean"):
        router.recommend("nobody", Steering(industry=["fintehc", *(f"v{n}" for n in range(90))]))


def test_a_field_nobody_tells_is_refused_as_unknown(router: Router) -> None:
    with pytest.raises(InvalidRequestError, match="no country is known here"):
        router.recommend("nobody", Steering(country=["Peru"]))


def test_filters_that_leave_nothing_say_which_left_what(
    router: Router, act: Callable, described: dict[str, CatalogueItem]
) -> None:
    asked = Steering(industry=["robotics"], created_after=datetime(2099, 1, 1, tzinfo=UTC).timestamp())
    answer = router.recommend("nobody", asked)
    assert answer.startups == ()
    assert answer.degraded == (
        "nothing is left to offer: 43 startups are active, 22 of them with industry robotics, "
        "none of them created after 2099-01-01T00:00:00+00:00"
    )
    act("anna", ROBOTICS)
    answer = router.recommend("anna", Steering(industry=["robotics"]))
    assert answer.startups == ()
    assert (answer.degraded or "").endswith(
        "22 of them with industry robotics, all of them acted on, excluded or the user's own"
    )


def test_an_inactive_startup_meets_no_filter(router: Router, described: dict[str, CatalogueItem]) -> None:
    everything = Steering(limit=100, industry=["fintech"], country=[described["s36"].country])
    assert "s36" not in ids(router.recommend("nobody", everything))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T10:00:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        (" 2026-11-22T10:00:00+02:00 ", datetime(2026, 11, 22, 8, tzinfo=UTC)),
    ],
)
def test_a_date_or_a_time_is_read_as_utc_unless_it_names_a_zone(text: str, moment: datetime) -> None:
    assert parse_created_after(text) == moment.timestamp()


@pytest.mark.parametrize(
    "text", ["", "yesterday", "1700000000", "2026-13-01", "2026-11-22T10:00:00 02:00", "0001-01-01", "nan"]
)
def test_what_is_no_date_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"created_after is .*(2026-11-22|1970)"):
        parse_created_after(text)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"exclude": ["x"] * (MAX_EXCLUDED + 1)}, "at most 1,000"),
        ({"industry": ["x"] * 101}, "at most 100"),
        ({"diversity": 1.1}, "from 0 to 1"),
        ({"diversity": float("nan")}, "from 0 to 1"),
        ({"method": "magic"}, "there are ensemble, als"),
    ],
)
def test_what_is_out_of_range_is_refused(asked: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidRequestError, match=told):
        Steering(**asked)  # type: ignore[arg-type]


# --- Filling up ---


def test_where_als_knows_too_few_content_fills_up_and_each_place_says_so(
    router: Router, act: Callable
) -> None:
    act("anna", FINTECH[:6])
    plain = router.recommend("anna", Steering(limit=100))
    known_to_als = [startup.id for startup in plain.startups if startup.source == "als"]
    assert sources(plain) == ["als"] * len(known_to_als) + ["content"] * 4
    assert {startup.id for startup in plain.startups[-4:]} == {"s40", "s41", "s42", "s43"}
    left = router.recommend("anna", Steering(limit=5, exclude=known_to_als[2:]))
    assert ids(left)[:2] == known_to_als[:2]
    assert sources(left) == ["als"] * 2 + ["content"] * 3
    assert (left.method_used, left.degraded) == ("als", None)
    assert all(startup.reason for startup in left.startups)
    scores = [startup.score for startup in left.startups]
    assert scores == sorted(scores, reverse=True)
    assert 0 < min(scores) < max(scores) < 1


def test_a_forced_method_fills_up_with_nobody_and_says_what_it_does_not_know(
    router: Router, act: Callable
) -> None:
    act("anna", FINTECH[:6])
    answer = router.recommend("anna", Steering(limit=100, method="als"))
    assert set(sources(answer)) == {"als"}
    assert answer.degraded == "4 more may be offered, unknown to als"


def test_who_opted_out_is_shown_startups_popularity_does_not_know_too(
    router: Router, act: Callable, catalogue: LiveCatalogueStore
) -> None:
    catalogue.put([fresh(0, "Fintech")])
    act("anna", ROBOTICS[:8], opted_out=True)
    answer = router.recommend("anna", Steering(limit=100))
    assert len(answer.startups) == 43 + 1 - 8
    assert sources(answer)[-1] == "content"
    assert not any("you" in startup.reason for startup in answer.startups)


# --- Seen ---


def test_what_was_only_viewed_long_ago_comes_back_and_a_dislike_never(
    router: Router, profiles: LiveProfileStore
) -> None:
    now = time.time()
    view, click, like, dislike = (1 << n for n in range(4))
    cells = (
        LiveCell("s00", 0.5, now - 8 * DAY_S, view),
        LiveCell("s02", 0.5, now - 6 * DAY_S, view),
        LiveCell("s04", 1.5, now - 31 * DAY_S, view | click),
        LiveCell("s06", 2.5, now - 400 * DAY_S, view | like),
        LiveCell("s08", -1.0, now - 400 * DAY_S, view | dislike),
    )
    profiles.store([LiveProfile("anna", 1, 6, cells, (), False, 1, older=("s10",))], force=True)

    def offered(seen: str | None) -> set[str]:
        policy = None if seen is None else parse_seen_policy(seen)
        answer = router.recommend("anna", Steering(limit=100, seen=policy))
        return set(ids(answer)) & {"s00", "s02", "s04", "s06", "s08", "s10"}

    assert offered(None) == offered("") == set()
    assert offered("view:7") == {"s00"}
    assert offered("view:0,click:30") == {"s00", "s02", "s04"}
    assert offered("view:0,click:0,like:0,favorite:0,apply:0,interest:0") == {"s00", "s02", "s04", "s06"}


def test_what_may_come_back_still_has_to_be_allowed(router: Router, act: Callable) -> None:
    act("u00", ["s02", "s04", "s36", "s06"], type_mask=1)  # owns s02; s36 is inactive
    asked = Steering(limit=100, seen=SeenPolicy({"view": 0}), exclude=["s04"])
    assert set(ids(router.recommend("u00", asked))) & {"s02", "s04", "s36", "s06"} == {"s06"}


def test_a_startup_shown_again_is_not_its_own_reason(router: Router, act: Callable) -> None:
    act("anna", FINTECH[:6], type_mask=1 << 0 | 1 << 1)
    everything = Steering(limit=100, seen=SeenPolicy({"view": 0, "click": 0}))
    for startup in router.recommend("anna", everything).startups:
        assert (startup.reason == "You looked into it before") == (startup.id in FINTECH[:6])


def test_the_policy_of_the_service_holds_where_the_caller_names_none(
    make_router: Callable[..., Router], act: Callable
) -> None:
    router = make_router(seen=SeenPolicy({"view": 0}))
    act("anna", FINTECH[:6], type_mask=1)
    assert set(FINTECH[:6]) <= set(ids(router.recommend("anna", Steering(limit=100))))
    strict = Steering(limit=100, seen=SeenPolicy({}))
    assert not set(FINTECH[:6]) & set(ids(router.recommend("anna", strict)))


def test_acts_as_of_the_release_are_hidden_whatever_the_policy(
    router: Router, redis_client, watcher: ReleaseWatcher
) -> None:
    redis_client.delete("recs:profiles:ready")
    assert watcher.release is not None
    known = watcher.release.history_of("u04")
    assert known is not None
    every = SeenPolicy(dict.fromkeys(("view", "click", "like", "favorite", "apply", "interest"), 0.0))
    offered = ids(router.recommend("u04", Steering(limit=100, seen=every)))
    assert not {watcher.release.items.ids[i] for i in known.item_indices} & set(offered)


# --- Diversity ---


def test_diversity_zero_is_the_plain_list_and_more_of_it_mixes_the_industries(
    router: Router, act: Callable
) -> None:
    act("anna", FINTECH[:6])
    plain = router.recommend("anna", Steering(limit=10))
    assert ids(router.recommend("anna", Steering(limit=10, diversity=0.0))) == ids(plain)
    mixed = router.recommend("anna", Steering(limit=10, diversity=0.6))
    assert ids(mixed) == ids(router.recommend("anna", Steering(limit=10, diversity=0.6)))
    assert ids(mixed)[0] == ids(plain)[0]
    assert len(set(ids(mixed)) & set(ROBOTICS)) > len(set(ids(plain)) & set(ROBOTICS))
    scores = {startup.id: startup.score for startup in plain.startups}
    assert all(s.score == scores[s.id] for s in mixed.startups if s.id in scores)


# --- Places for new startups ---


def fresh(n: int, industry: str, *, days_ago: float = 1.0) -> CatalogueItem:
    words = {"Fintech": "bank payments lending money", "Robotics": "robot factory welding arms"}[industry]
    return CatalogueItem(
        id=f"fresh{n}",
        name=f"Fresh {n}",
        short_description=words,
        tags=(industry.lower(),),
        industry=industry,
        created_at=time.time() - days_ago * DAY_S,
    )


@pytest.mark.parametrize(("limit", "n_new"), [(9, 0), (10, 1), (20, 2), (30, 3)])
def test_a_tenth_of_a_list_goes_to_the_new_startups_that_suit_best(
    router: Router, act: Callable, catalogue: LiveCatalogueStore, limit: int, n_new: int
) -> None:
    catalogue.put([fresh(0, "Robotics"), *(fresh(n, "Fintech") for n in range(1, 5)), fresh(5, "Robotics")])
    act("anna", FINTECH[:6])
    plain = router.recommend("anna", Steering(limit=limit, method="als"))
    answer = router.recommend("anna", Steering(limit=limit))
    new = [startup for startup in answer.startups if startup.source == NEW]
    assert len(new) == n_new
    assert answer.startups[limit - n_new :] == tuple(new)
    assert ids(answer)[: limit - n_new] == ids(plain)[: limit - n_new]
    assert {startup.id for startup in new} <= {"fresh1", "fresh2", "fresh3", "fresh4"}
    assert all(startup.reason.startswith("New in Fintech: ") for startup in new)
    assert len(answer.startups) == limit
    scores = [startup.score for startup in answer.startups]
    assert scores == sorted(scores, reverse=True)


def test_no_share_keeps_no_place_and_a_share_of_one_keeps_all_there_are(
    make_router: Callable[..., Router], act: Callable, catalogue: LiveCatalogueStore
) -> None:
    catalogue.put([fresh(n, "Fintech") for n in range(3)])
    act("anna", FINTECH[:6])
    for user in ("anna", "nobody"):
        none = make_router(new_startups=NewStartupShare(0)).recommend(user, Steering(limit=20))
        assert NEW not in sources(none)
        everything = make_router(new_startups=NewStartupShare(1)).recommend(user, Steering(limit=4))
        assert len([startup for startup in everything.startups if startup.id.startswith("fresh")]) == (
            2 if user == "anna" else 3
        )
        assert len(everything.startups) == 4


def test_a_new_startup_in_the_list_by_its_own_merit_takes_no_second_place(
    router: Router, catalogue: LiveCatalogueStore
) -> None:
    catalogue.put([fresh(n, "Robotics") for n in range(4)])
    answer = router.recommend("nobody", Steering(limit=6, industry=["robotics"], exclude=ROBOTICS[4:]))
    assert len([startup for startup in answer.startups if startup.id.startswith("fresh")]) == 2
    assert set(sources(answer)) == {"content"}


def test_places_for_new_startups_obey_the_filters(
    router: Router, act: Callable, catalogue: LiveCatalogueStore
) -> None:
    catalogue.put([fresh(0, "Fintech"), fresh(1, "Robotics"), fresh(2, "Fintech", days_ago=31)])
    act("anna", FINTECH[:6])
    of_robotics = router.recommend("anna", Steering(limit=10, industry=["robotics"]))
    assert [s.id for s in of_robotics.startups if s.source == NEW] == ["fresh1"]
    without = router.recommend("anna", Steering(limit=10, exclude=["fresh0", "fresh1"]))
    assert NEW not in sources(without)


def test_a_forced_method_and_who_opted_out_get_no_places_for_new_startups(
    router: Router, act: Callable, catalogue: LiveCatalogueStore
) -> None:
    catalogue.put([fresh(n, "Fintech") for n in range(4)])
    act("anna", FINTECH[:6])
    act("ben", FINTECH[:6], opted_out=True)
    assert NEW not in sources(router.recommend("anna", Steering(limit=10, method="als")))
    assert NEW not in sources(router.recommend("ben", Steering(limit=10)))
