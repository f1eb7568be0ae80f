"""The explorer: whom one finds, what is shown of them, and acting as them, against a real service."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.template.defaultfilters import floatformat
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts.models import User
from interactions.models import UserInteraction
from interactions.selectors import interaction_count
from recommendations.inference import inference_client
from startups.models import Startup
from testing import Make

LISTS = ("routed", "popularity", "content", "als", "two_tower", "ensemble")


@pytest.fixture
def demo(world: None) -> dict[str, User]:
    """The three demo users: cold, warm and hot."""
    return {tier: User.objects.get(username=f"demo-{tier}") for tier in ("cold", "warm", "hot")}


def user_page(user: User) -> str:
    return reverse("dashboard:explorer_user", args=[user.pk])


def lists_of(response: Any) -> dict[str, Any]:
    return {shown.key: shown for shown in response.context["lists"]}


def press(
    client: Client, name: str, user: User, captured: DjangoCaptureOnCommitCallbacks, **data: str
) -> Any:
    """Send a form of the explorer and follow it; what happens after the commit happens."""
    with captured(execute=True):
        response = client.post(reverse(f"dashboard:{name}", args=[user.pk]), data)
    assert response.status_code == 302, response.content
    return client.get(response.url)


# --- Finding somebody ---


def test_people_and_startups_are_found_by_id_and_by_how_their_name_begins(
    viewer: Client, make_user: Make, make_startup: Make
) -> None:
    anna, acme = make_user(username="anna"), make_startup(name="Annapurna")
    make_user(username="johanna")
    explorer = reverse("dashboard:explorer")

    matches = viewer.get(explorer, {"q": "ann"}).context["matches"]
    assert [user.username for user in matches.users] == ["anna"]
    assert viewer.get(explorer, {"q": "annap"}).url == reverse("dashboard:explorer_startup", args=[acme.pk])
    for text in (str(anna.pk), str(anna.pk).upper(), " anna "):
        response = viewer.get(explorer, {"q": text}, headers={"HX-Request": "true"})
        assert [user.pk for user in response.context["matches"].users] == [anna.pk]
    assert viewer.get(explorer, {"q": str(anna.pk)}).url == user_page(anna)
    for text in ("nobody", "a\x00b", str(uuid4())):
        assert "No user and no startup" in viewer.get(explorer, {"q": text}).content.decode()


def test_a_search_is_bounded_whatever_it_finds(viewer: Client, make_user: Make, make_startup: Make) -> None:
    for n in range(12):
        make_user(username=f"same-{n}")
        make_startup(name=f"Same {n}")

    matches = viewer.get(reverse("dashboard:explorer"), {"q": "same"}).context["matches"]

    assert (len(matches.users), len(matches.startups)) == (10, 10)


def test_the_shortcuts_lead_to_somebody_of_the_tier(viewer: Client, demo: dict[str, User]) -> None:
    for tier, least, most in (("cold", 0, 4), ("warm", 5, 19), ("hot", 20, 10_000)):
        response = viewer.get(reverse("dashboard:explorer"), {"tier": tier})
        user_id = response.url.rstrip("/").rpartition("/")[2]
        assert least <= interaction_count(user_id) <= most


def test_a_tier_that_nobody_is_of_says_so(viewer: Client) -> None:
    response = viewer.get(reverse("dashboard:explorer"), {"tier": "hot"})

    assert response.status_code == 200
    assert "Nobody among those who acted or came last is hot." in response.content.decode()


# --- One user ---


def test_every_methods_list_stands_beside_what_the_user_gets(viewer: Client, demo: dict[str, User]) -> None:
    for tier, method in (("cold", "content"), ("warm", "als"), ("hot", "ensemble")):
        lists = lists_of(viewer.get(user_page(demo[tier])))
        assert tuple(lists) == LISTS
        assert lists["routed"].method_used == method
        for key in LISTS[1:]:
            asked = inference_client().recommend(str(demo[tier].pk), {"method": key})["startups"]
            shown = [(place.id, place.rank, place.score, place.reason) for place in lists[key].places]
            assert shown == [(s["id"], s["rank"], s["score"], s["reason"]) for s in asked]
            assert all(place.name == Startup.objects.get(pk=place.id).name for place in lists[key].places)


def test_a_method_that_cannot_answer_says_why_in_the_services_words(
    viewer: Client, demo: dict[str, User], make_user: Make
) -> None:
    response = viewer.get(user_page(make_user(username="newcomer")))

    lists = lists_of(response)
    assert lists["als"].refusal.startswith("als cannot answer: no positive act")
    assert lists["popularity"].places
    assert "als cannot answer: no positive act" in response.content.decode()


def test_the_history_is_newest_first_with_the_resolved_weights(
    viewer: Client, demo: dict[str, User], make_user: Make, make_startup: Make
) -> None:
    user = make_user()
    liked, disliked = make_startup(name="Liked"), make_startup(name="Disliked")
    acts = [(liked, "view", 1), (liked, "like", 2), (disliked, "favorite", 3), (disliked, "dislike", 4)]
    for startup, kind, hour in acts:
        UserInteraction.objects.create(
            user=user, startup=startup, type=kind, occurred_at=f"2026-11-01T0{hour}:00:00Z"
        )
    UserInteraction.objects.create(
        user=user, startup=liked, type="apply", retracted_at="2026-11-02T00:00:00Z"
    )

    history = viewer.get(user_page(user)).context["history"]

    assert [(past.act.type, past.weight, past.note) for past in history] == [
        ("apply", None, "taken back"),
        ("dislike", -1.0, "counts"),
        ("favorite", -1.0, "undone by a later dislike"),
        ("like", 2.5, "counts"),
        ("view", 2.5, "counts"),
    ]


def test_a_long_history_is_paged_and_costs_no_query_an_act(
    viewer: Client, demo: dict[str, User], django_assert_max_num_queries: Make
) -> None:
    with django_assert_max_num_queries(20):
        response = viewer.get(user_page(demo["hot"]))

    assert len(response.context["history"]) == 20
    first = {past.act.pk for past in response.context["history"]}
    second = viewer.get(user_page(demo["hot"]), {"page": 2}).context["history"]
    assert not first & {past.act.pk for past in second}


def test_a_service_that_is_down_leaves_the_rest_of_the_page(
    viewer: Client, demo: dict[str, User], settings: Settings
) -> None:
    inference_client().close()
    settings.INFERENCE_URL = "http://127.0.0.1:9"  # discard: nothing listens there
    inference_client.cache_clear()

    for address in (
        user_page(demo["warm"]),
        reverse("dashboard:explorer_startup", args=[Startup.objects.first().pk]),
        reverse("dashboard:explorer_explain", args=[demo["warm"].pk, Startup.objects.first().pk]),
    ):
        html = viewer.get(address).content.decode()
        assert "No answers at the moment" in html
        assert "gunicorn inference_api.wsgi:app" in html
    assert "What demo-warm did" in viewer.get(user_page(demo["warm"])).content.decode()


def test_names_are_text_whatever_they_hold(viewer: Client, demo: dict[str, User]) -> None:
    Startup.objects.update(name="<script>alert(1)</script>")

    assert "<script>alert(1)" not in viewer.get(user_page(demo["hot"])).content.decode()


def test_a_score_is_taken_apart_by_the_method_of_the_list(viewer: Client, demo: dict[str, User]) -> None:
    place = lists_of(viewer.get(user_page(demo["warm"])))["als"].places[2]

    response = viewer.get(
        reverse("dashboard:explorer_explain", args=[demo["warm"].pk, place.id]), {"method": "als"}
    )

    why = response.context["why"]
    assert (why["source"], why["rank"]) == ("als", 3)
    html = response.content.decode()
    assert f"3 of {why['n_candidates']}" in html
    assert why["acts"]
    assert all(floatformat(act["share"], 4) in html for act in why["acts"])


def test_a_startup_kept_out_says_by_which_rule(viewer: Client, demo: dict[str, User]) -> None:
    acted_on = UserInteraction.objects.filter(user=demo["warm"], type="like").first().startup

    html = viewer.get(
        reverse("dashboard:explorer_explain", args=[demo["warm"].pk, acted_on.pk])
    ).content.decode()

    assert "no: the user acted on it" in html


# --- Acting as a user ---


def test_a_dislike_is_stored_with_who_did_it_and_the_lists_change_at_once(
    operator: Client,
    demo: dict[str, User],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    user = demo["warm"]
    before = lists_of(operator.get(user_page(user)))["routed"].places

    response = press(
        operator, "explorer_act", user, django_capture_on_commit_callbacks, act=f"dislike:{before[0].id}"
    )

    act = UserInteraction.objects.filter(user=user).latest("pk")
    assert (str(act.startup_id), act.type) == (before[0].id, "dislike")
    assert act.context == {"surface": "explorer", "by": "operator"}
    routed = lists_of(response)["routed"]
    assert (routed.gone[0].id, routed.gone[0].rank) == (before[0].id, 1)
    assert before[0].id not in {place.id for place in routed.places}
    ranks_before = {place.id: place.rank for place in before}
    for place in routed.places:
        was = ranks_before.get(place.id)
        expected = "new" if was is None else "up" if was > place.rank else "down" if was < place.rank else ""
        assert place.change == expected
    html = response.content.decode()
    assert f"demo-warm disliked {before[0].name}" in html
    assert f"{before[0].name} (was 1)" in html


def test_what_moved_is_marked_only_where_the_address_names_the_act(
    operator: Client,
    demo: dict[str, User],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    place = lists_of(operator.get(user_page(demo["hot"])))["routed"].places[0]
    marked = press(
        operator, "explorer_act", demo["hot"], django_capture_on_commit_callbacks, act=f"like:{place.id}"
    )
    assert any(shown.gone for shown in marked.context["lists"])

    plain = operator.get(user_page(demo["hot"]))

    assert not any(shown.gone or shown.n_moved for shown in plain.context["lists"])


def test_taking_it_back_brings_the_lists_back(
    operator: Client,
    demo: dict[str, User],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    user, captured = demo["warm"], django_capture_on_commit_callbacks
    before = lists_of(operator.get(user_page(user)))["routed"].places
    press(operator, "explorer_act", user, captured, act=f"dislike:{before[0].id}")
    act = UserInteraction.objects.filter(user=user).latest("pk")

    response = press(operator, "explorer_take_back", user, captured, event_id=str(act.event_id))

    act.refresh_from_db()
    assert act.retracted_at is not None
    after = lists_of(response)["routed"].places
    assert [place.id for place in after] == [place.id for place in before]
    assert (after[0].change, response.context["history"][0].note) == ("new", "taken back")


def test_an_act_is_recorded_though_the_service_is_down(
    operator: Client, make_user: Make, make_startup: Make, settings: Settings
) -> None:
    user, startup = make_user(), make_startup()
    settings.INFERENCE_URL = "http://127.0.0.1:9"
    inference_client.cache_clear()

    response = operator.post(
        reverse("dashboard:explorer_act", args=[user.pk]), {"act": f"like:{startup.pk}"}, follow=True
    )

    inference_client().close()
    inference_client.cache_clear()
    assert UserInteraction.objects.get(user=user).type == "like"
    assert "No answers at the moment" in response.content.decode()


@pytest.mark.parametrize("name", ["explorer_act", "explorer_take_back"])
def test_only_operators_act(
    viewer: Client, inference: str, make_user: Make, make_startup: Make, name: str
) -> None:
    user, startup = make_user(), make_startup()
    act = UserInteraction.objects.create(user=user, startup=startup, type="like")
    form = {"act": f"like:{startup.pk}", "event_id": str(act.event_id)}
    address = reverse(f"dashboard:{name}", args=[user.pk])

    assert viewer.post(address, form).status_code == 403

    act.refresh_from_db()
    assert act.retracted_at is None
    assert UserInteraction.objects.count() == 1
    response = viewer.get(user_page(user))
    assert lists_of(response)["popularity"].places
    assert address not in response.content.decode()


def test_acts_want_a_post_and_the_csrf_token(operator: Client, make_user: Make, make_startup: Make) -> None:
    user, startup = make_user(), make_startup()
    address = reverse("dashboard:explorer_act", args=[user.pk])
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies

    assert operator.get(address).status_code == 405
    assert strict.post(address, {"act": f"like:{startup.pk}"}).status_code == 403
    assert not UserInteraction.objects.exists()


def test_nothing_but_a_like_or_a_dislike_of_a_startup_there_is_can_be_done(
    operator: Client, make_user: Make, make_startup: Make
) -> None:
    user, other, startup = make_user(), make_user(), make_startup()
    theirs = UserInteraction.objects.create(user=other, startup=startup, type="like")
    act, back = (
        reverse(f"dashboard:{name}", args=[user.pk]) for name in ("explorer_act", "explorer_take_back")
    )

    for text in ("", "like", f"apply:{startup.pk}", f"like:{uuid4()}", "like:acme", "like:\x00"):
        assert operator.post(act, {"act": text}).status_code == 404
    for event_id in ("", "x", str(uuid4()), str(theirs.event_id)):
        assert operator.post(back, {"event_id": event_id}).status_code == 404
    assert UserInteraction.objects.get().retracted_at is None


# --- One startup ---


def test_a_startup_shows_what_is_like_it_by_each_model_and_its_audience(
    viewer: Client, demo: dict[str, User]
) -> None:
    startup = UserInteraction.objects.order_by("startup_id").first().startup

    response = viewer.get(reverse("dashboard:explorer_startup", args=[startup.pk]))

    lists = lists_of(response)
    assert tuple(lists) == ("blend", "als", "two_tower", "content")
    for key, shown in lists.items():
        asked = inference_client().similar(str(startup.pk), {"method": key})["startups"]
        assert [place.id for place in shown.places] == [one["id"] for one in asked]
    users = inference_client().audience(str(startup.pk), {})["users"]
    names = [User.objects.get(pk=user["user_id"]).username for user in users]
    assert [user["name"] for user in response.context["users"]] == names
    assert all(re.search(rf">{name}</a>", response.content.decode()) for name in names)


def test_a_startup_the_release_does_not_know_says_so_in_each_list(
    viewer: Client, world: None, make_startup: Make
) -> None:
    response = viewer.get(reverse("dashboard:explorer_startup", args=[make_startup().pk]))

    assert response.status_code == 200
    assert "is not known here" in response.content.decode()


def test_what_is_not_there_is_not_found(viewer: Client) -> None:
    for name in ("explorer_user", "explorer_startup"):
        assert viewer.get(reverse(f"dashboard:{name}", args=[uuid4()])).status_code == 404
