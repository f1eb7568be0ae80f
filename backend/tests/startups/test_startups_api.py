"""PUT and GET /api/v1/startups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from startups.models import Startup
from testing import Api, Make, error_of

FIELDS = {
    "name": "Acme",
    "short_description": "Anvils on demand",
    "long_description": "Heavy things, delivered.",
    "tags": ["logistics", "b2b"],
    "industry": "Logistics",
    "country": "US",
    "city": "Tucson",
    "stage": "seed",
    "team_size": 12,
    "website": "https://acme.example",
    "is_active": True,
    "created_at": "2026-01-02T03:04:05Z",
}


def test_putting_a_new_startup_creates_it_and_it_can_be_read(api: Api, make_user: Make) -> None:
    startup_id, owner = uuid4(), make_user()
    fields = {**FIELDS, "owner_id": str(owner.pk)}

    response = api.put(f"/startups/{startup_id}", fields)

    assert response.status_code == 201
    shown = api.get(f"/startups/{startup_id}").json()
    assert shown == response.json()
    assert {name: shown[name] for name in fields} == fields


def test_fields_left_out_stay_as_they_are(api: Api) -> None:
    startup_id = uuid4()
    api.put(f"/startups/{startup_id}", FIELDS)

    response = api.put(f"/startups/{startup_id}", {"is_active": False})

    assert response.status_code == 200
    assert {name: response.json()[name] for name in FIELDS} == {**FIELDS, "is_active": False}


def test_a_new_startup_is_created_now_and_needs_a_name(api: Api) -> None:
    response = api.put(f"/startups/{uuid4()}", {"name": "Acme"})
    created_at = datetime.fromisoformat(response.json()["created_at"])
    assert abs(datetime.now(UTC) - created_at) < timedelta(minutes=1)

    assert error_of(api.put(f"/startups/{uuid4()}", {"city": "Tucson"})) == (422, "name_missing")


@pytest.mark.parametrize(
    ("fields", "code", "mend"),
    [
        ({"owner_id": str(uuid4())}, "unknown_owner", "PUT /users/"),
        ({"name": ""}, "invalid_request", "name"),
        ({"team_size": -1}, "invalid_request", "team_size"),
        ({"team_size": 3_000_000_000}, "invalid_request", "team_size"),
        ({"website": "javascript:alert(1)"}, "invalid_request", "https://"),
        ({"created_at": "2026-01-01"}, "invalid_request", "created_at"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "invalid_request", "created_at"),
        ({"tags": ["t"] * 51}, "invalid_request", "tags"),
        ({"nickname": "A"}, "invalid_request", "nickname"),
    ],
)
def test_what_is_wrong_is_named_with_its_mend(api: Api, fields: dict[str, Any], code: str, mend: str) -> None:
    response = api.put(f"/startups/{uuid4()}", {**FIELDS, **fields})

    assert error_of(response) == (422, code)
    assert mend in response.json()["message"]
    assert not Startup.objects.exists()


def test_in_a_batch_a_bad_startup_spoils_no_other(api: Api, make_startup: Make) -> None:
    known = make_startup(name="Old")
    batch = [
        {"id": str(known.pk), "name": "New"},
        {"id": str(uuid4()), "city": "Nowhere"},
        {"id": str(uuid4()), "name": "Fresh"},
        {"id": "acme", "name": "Acme"},
    ]

    body = api.put("/startups", {"startups": batch}).json()

    assert [(each["status"], each["error"]) for each in body["results"]] == [
        ("updated", None),
        ("rejected", "name_missing"),
        ("created", None),
        ("rejected", "invalid_request"),
    ]
    assert set(Startup.objects.values_list("name", flat=True)) == {"New", "Fresh"}


def test_a_batch_of_a_thousand_startups_is_a_handful_of_queries(
    api: Api, django_assert_max_num_queries: Make
) -> None:
    batch = [{**FIELDS, "id": str(uuid4())} for _ in range(1000)]

    with django_assert_max_num_queries(8):
        assert api.put("/startups", batch).json()["created"] == 1000


def test_pages_show_every_startup_once_newest_first(api: Api, make_startup: Make) -> None:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    made = [make_startup(created_at=day + timedelta(days=n // 3)) for n in range(10)]  # three share a time
    expected = [str(s.pk) for s in sorted(made, key=lambda s: (s.created_at, s.pk), reverse=True)]

    shown, place = [], ""
    while place is not None:
        page = api.get("/startups", limit=4, after=place).json()
        assert len(page["startups"]) <= 4
        shown += [each["id"] for each in page["startups"]]
        place = page["next"]
        make_startup(created_at=day + timedelta(days=99))  # newer: must not shift the pages

    assert shown == expected


@pytest.mark.parametrize("place", ["x", "AAAA", "MjAyNnx4", "é"])
def test_a_place_that_was_never_given_is_refused(api: Api, place: str) -> None:
    assert error_of(api.get("/startups", after=place)) == (422, "invalid_request")


@pytest.mark.parametrize("limit", [0, 101, "many"])
def test_a_limit_out_of_range_is_refused(api: Api, limit: object) -> None:
    assert error_of(api.get("/startups", limit=limit)) == (422, "invalid_request")


def test_a_misspelt_filter_is_refused(api: Api) -> None:
    response = api.get("/startups", industri="Robots")

    assert error_of(response) == (422, "invalid_request")
    assert "industry" in response.json()["message"]


def test_filters_choose(api: Api, make_startup: Make, make_user: Make) -> None:
    owner = make_user()
    acme = make_startup(name="Acme", industry="Robots", country="US", stage="seed", tags=["ai"], owner=owner)
    make_startup(name="Other", created_at=datetime(2020, 1, 1, tzinfo=UTC))
    inactive = make_startup(name="Gone", is_active=False)

    def found(**filters: object) -> list[str]:
        return [each["id"] for each in api.get("/startups", **filters).json()["startups"]]

    for filters in (
        {"industry": "Robots"},
        {"country": "US"},
        {"stage": "seed"},
        {"tag": "ai"},
        {"name": "acm"},
        {"owner_id": str(owner.pk)},
        {"created_after": "2021-01-01T00:00:00Z"},
    ):
        assert found(**filters) == [str(acme.pk)], filters
    assert found(is_active="false") == [str(inactive.pk)]
    assert found(industry="None such") == []


def test_an_unknown_startup_is_not_found(api: Api) -> None:
    assert error_of(api.get(f"/startups/{uuid4()}")) == (404, "not_found")


def test_a_person_reads_the_catalogue_and_changes_nothing(
    person: tuple[Any, Api], make_startup: Make
) -> None:
    _, api = person
    startup = make_startup()

    assert api.get(f"/startups/{startup.pk}").status_code == 200
    assert api.get("/startups").status_code == 200
    assert error_of(api.put(f"/startups/{startup.pk}", {"name": "Mine"})) == (403, "services_only")
