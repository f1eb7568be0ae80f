"""PUT and GET /api/v1/users."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from accounts.models import User
from interactions.models import UserInteraction
from testing import Api, Make, error_of


def test_putting_a_new_user_creates_them_without_a_usable_password(api: Api) -> None:
    user_id = uuid4()

    response = api.put(f"/users/{user_id}", {"email": "ada@example.org", "interests": ["AI"]})

    assert response.status_code == 201
    shown = response.json()
    assert (shown["id"], shown["username"], shown["email"]) == (str(user_id), str(user_id), "ada@example.org")
    assert (shown["interests"], shown["opted_out"], shown["interaction_count"]) == (["AI"], False, 0)
    assert not User.objects.get(pk=user_id).has_usable_password()


def test_fields_left_out_stay_as_they_are(api: Api, make_user: Make) -> None:
    user = make_user(username="ada", email="ada@example.org", interests=["AI"])
    user.set_password("kept")
    user.save()

    response = api.put(f"/users/{user.pk}", {"opted_out": True})

    assert response.status_code == 200
    user.refresh_from_db()
    assert (user.username, user.email, user.interests, user.opted_out) == (
        "ada",
        "ada@example.org",
        ["AI"],
        True,
    )
    assert user.check_password("kept")


def test_a_service_cannot_make_somebody_staff(api: Api) -> None:
    response = api.put(f"/users/{uuid4()}", {"is_staff": True})

    assert error_of(response) == (422, "invalid_request")
    assert not User.objects.filter(is_staff=True).exists()


@pytest.mark.parametrize(
    ("fields", "mend"),
    [
        ({"email": "not an address"}, "email"),
        ({"username": "two words"}, "username"),
        ({"interests": ["a" * 101]}, "interests"),
        ({"interests": [str(n) for n in range(51)]}, "interests"),
        ({"interests": "AI"}, "interests"),
        ({"interests": ["a\x00b"]}, "U+0000"),
        ([], "body"),
    ],
)
def test_what_is_wrong_is_named(api: Api, fields: Any, mend: str) -> None:
    response = api.put(f"/users/{uuid4()}", fields)

    assert error_of(response) == (422, "invalid_request")
    assert mend in response.json()["message"]
    assert not User.objects.exists()


def test_a_username_that_is_taken_is_refused(api: Api, make_user: Make) -> None:
    make_user(username="ada")

    assert error_of(api.put(f"/users/{uuid4()}", {"username": "ada"})) == (422, "username_taken")


def test_in_a_batch_a_bad_user_spoils_no_other(api: Api, make_user: Make) -> None:
    known, taken, new = make_user(username="ada"), make_user(username="bob"), uuid4()
    batch = [
        {"id": str(known.pk), "interests": ["AI"]},
        {"id": str(new), "username": "bob"},
        {"id": str(new), "username": "eve"},
        {"id": str(uuid4()), "username": "eve"},
        {"username": "no id"},
        {"id": str(new), "interests": ["Space"]},
    ]

    body = api.put("/users", {"users": batch}).json()

    assert [(each["status"], each["error"]) for each in body["results"]] == [
        ("updated", None),
        ("rejected", "username_taken"),
        ("created", None),
        ("rejected", "username_taken"),
        ("rejected", "invalid_request"),
        ("updated", None),
    ]
    assert (body["created"], body["updated"], body["rejected"]) == (1, 2, 3)
    known.refresh_from_db()
    assert (known.username, known.interests) == ("ada", ["AI"])
    assert User.objects.get(pk=new).interests == ["Space"]
    assert User.objects.get(username="bob") == taken


def test_a_batch_of_a_thousand_users_is_a_handful_of_queries(
    api: Api, django_assert_max_num_queries: Make
) -> None:
    batch = [{"id": str(uuid4()), "username": f"user{n}"} for n in range(1000)]

    with django_assert_max_num_queries(8):
        assert api.put("/users", batch).json()["created"] == 1000
    assert error_of(api.put("/users", [*batch, batch[0]])) == (422, "batch_too_large")


def test_a_user_is_shown_with_the_startups_they_acted_on(
    api: Api, make_user: Make, make_startup: Make
) -> None:
    user, startups = make_user(), [make_startup() for _ in range(3)]
    for startup, signal in [(0, "view"), (0, "like"), (1, "view"), (2, "view")]:
        UserInteraction.objects.create(user=user, startup=startups[startup], type=signal)
    taken_back = UserInteraction.objects.get(startup=startups[2])
    api.delete(f"/interactions/{taken_back.event_id}")

    assert api.get(f"/users/{user.pk}").json()["interaction_count"] == 2


def test_an_unknown_user_is_not_found(api: Api) -> None:
    assert error_of(api.get(f"/users/{uuid4()}")) == (404, "not_found")
    assert error_of(api.put(f"/users/{uuid4()}/interests", {"interests": []})) == (404, "not_found")
    assert error_of(api.get("/users/ada")) == (422, "invalid_request")


def test_interests_are_replaced_and_tidied(api: Api, make_user: Make) -> None:
    user = make_user(interests=["Old"])

    response = api.put(f"/users/{user.pk}/interests", {"interests": [" AI ", "Space", "ai", ""]})

    assert response.json()["interests"] == ["AI", "Space"]


def test_a_person_reads_and_changes_only_themselves(person: tuple[User, Api], make_user: Make) -> None:
    user, api = person
    other = make_user(interests=["Theirs"])

    assert api.get(f"/users/{user.pk}").status_code == 200
    assert api.put(f"/users/{user.pk}/interests", {"interests": ["AI"]}).json()["interests"] == ["AI"]
    assert error_of(api.get(f"/users/{other.pk}")) == (403, "forbidden")
    assert error_of(api.put(f"/users/{other.pk}/interests", {"interests": []})) == (403, "forbidden")
    assert error_of(api.put(f"/users/{user.pk}", {"username": "root"})) == (403, "services_only")
    assert error_of(api.put("/users", [{"id": str(user.pk)}])) == (403, "services_only")
    other.refresh_from_db()
    assert other.interests == ["Theirs"]


def test_an_id_that_is_anothers_username_spoils_no_other(api: Api, make_user: Make) -> None:
    taken, good = uuid4(), uuid4()
    make_user(username=str(taken))

    body = api.put("/users", {"users": [{"id": str(good)}, {"id": str(taken)}]}).json()

    assert [(each["status"], each["error"]) for each in body["results"]] == [
        ("created", None),
        ("rejected", "username_taken"),
    ]
    assert User.objects.filter(pk=good).exists()
