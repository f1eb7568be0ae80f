"""DELETE /api/v1/interactions/{event_id}."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from interactions.models import UserInteraction
from testing import Api, Make, error_of


def test_an_act_taken_back_stays_in_the_log(api: Api, make_user: Make, make_startup: Make) -> None:
    row = UserInteraction.objects.create(user=make_user(), startup=make_startup(), type="like")

    response = api.delete(f"/interactions/{row.event_id}")

    assert response.status_code == 200
    assert response.json() == {"event_id": str(row.event_id), "retracted_now": True}
    row.refresh_from_db()
    assert row.retracted_at is not None


def test_taking_back_twice_changes_nothing_more(api: Api, make_user: Make, make_startup: Make) -> None:
    row = UserInteraction.objects.create(user=make_user(), startup=make_startup(), type="like")
    api.delete(f"/interactions/{row.event_id}")
    row.refresh_from_db()
    first = row.retracted_at

    response = api.delete(f"/interactions/{row.event_id}")

    row.refresh_from_db()
    assert response.json()["retracted_now"] is False
    assert row.retracted_at == first


def test_an_act_taken_back_and_sent_again_stays_taken_back(
    api: Api, make_user: Make, make_startup: Make
) -> None:
    act = {
        "event_id": str(uuid4()),
        "user_id": str(make_user().pk),
        "startup_id": str(make_startup().pk),
        "type": "like",
    }
    api.post("/interactions", act)
    api.delete(f"/interactions/{act['event_id']}")

    assert api.post("/interactions", act).json()["status"] == "duplicate"
    assert UserInteraction.objects.get().retracted_at is not None


def test_an_unknown_act_is_not_found(api: Api) -> None:
    assert error_of(api.delete(f"/interactions/{uuid4()}")) == (404, "not_found")
    assert error_of(api.delete("/interactions/first")) == (422, "invalid_request")


def test_a_person_takes_back_only_their_own(
    person: tuple[Any, Api], make_user: Make, make_startup: Make
) -> None:
    user, api = person
    own = UserInteraction.objects.create(user=user, startup=make_startup(), type="like")
    other = UserInteraction.objects.create(user=make_user(), startup=make_startup(), type="like")

    assert api.delete(f"/interactions/{own.event_id}").status_code == 200
    assert error_of(api.delete(f"/interactions/{other.event_id}")) == (404, "not_found")
    other.refresh_from_db()
    assert other.retracted_at is None
