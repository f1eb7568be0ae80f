"""Who answers follows what the user has done up to now, however the rows were made."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from running_site import Site

TYPES = ("view", "click", "like", "dislike", "favorite", "apply", "interest")
Record = Callable[[Site, str, list[tuple[str, str]], Path], None]


def record_over_the_api(site: Site, user_id: str, acts: list[tuple[str, str]], folder: Path) -> None:
    """One POST of a batch."""
    events = [
        {"event_id": str(uuid4()), "user_id": user_id, "startup_id": startup_id, "type": kind}
        for startup_id, kind in acts
    ]
    response = site.call("POST", "/interactions", {"events": events})
    assert response.status_code == 200, response.text
    assert {result["status"] for result in response.json()["results"]} == {"created"}


def record_through_the_orm(site: Site, user_id: str, acts: list[tuple[str, str]], folder: Path) -> None:
    """Model.objects.create(), as code of the site's own would."""
    site.manage(
        "shell",
        "--verbosity",
        "0",
        "--command",
        "from interactions.models import UserInteraction\n"
        f"for startup_id, kind in {acts!r}:\n"
        f"    UserInteraction.objects.create(user_id={user_id!r}, startup_id=startup_id, type=kind)\n",
    )


def record_in_the_admin(site: Site, user_id: str, acts: list[tuple[str, str]], folder: Path) -> None:
    """The form a person fills in."""
    add = f"{site.backend_url}/admin/interactions/userinteraction/add/"
    with httpx.Client(follow_redirects=True, timeout=30) as browser:
        login = f"{site.backend_url}/admin/login/?next=/admin/"
        browser.post(
            login,
            data={"username": "root", "password": site.admin_password, **csrf_field(browser.get(login).text)},
            headers={"Referer": login},
        )
        for startup_id, kind in acts:
            now = datetime.now(UTC)
            form = {
                **csrf_field(browser.get(add).text),
                "event_id": str(uuid4()),
                "user": user_id,
                "startup": startup_id,
                "type": kind,
                "occurred_at_0": f"{now:%Y-%m-%d}",
                "occurred_at_1": f"{now:%H:%M:%S}",
                "context": "{}",
            }
            saved = browser.post(add, data=form, headers={"Referer": add})
            assert "was added successfully" in saved.text, re.findall(
                r"errorlist.*?</ul>", saved.text, re.DOTALL
            )


def record_by_the_importer(site: Site, user_id: str, acts: list[tuple[str, str]], folder: Path) -> None:
    """A CSV file of acts."""
    path = folder / f"{uuid4().hex}.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "type", "occurred_at"])
        writer.writerows(
            [user_id, startup_id, kind, datetime.now(UTC).isoformat()] for startup_id, kind in acts
        )
    site.manage("import_interactions", "--format", "csv", str(path))


def csrf_field(page: str) -> dict[str, str]:
    """The hidden field of a Django form."""
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found is not None
    return {"csrfmiddlewaretoken": found.group(1)}


@pytest.mark.parametrize(
    "record", [record_over_the_api, record_through_the_orm, record_in_the_admin, record_by_the_importer]
)
def test_the_count_of_startups_acted_on_chooses_who_answers(
    site: Site, tmp_path: Path, record: Record
) -> None:
    user_id = site.new_user()
    kinds = cycle(TYPES)
    acts = [(startup_id, next(kinds)) for startup_id in site.startup_ids(20)]
    answers = {}
    done = 0
    for count in (4, 5, 19, 20):
        record(site, user_id, acts[done:count], tmp_path)
        done = count
        answers[count] = site.recommend(user_id)

    assert {count: answer["interaction_count"] for count, answer in answers.items()} == {
        4: 4,
        5: 5,
        19: 19,
        20: 20,
    }
    assert {count: answer["method_used"] for count, answer in answers.items()} == {
        4: "content",
        5: "als",
        19: "als",
        20: "ensemble",
    }
    assert {answer["degraded"] for answer in answers.values()} == {None}
    acted_on = {startup_id for startup_id, _ in acts}
    assert not acted_on & {startup["id"] for startup in answers[20]["startups"]}


def test_a_like_changes_the_very_next_answer(site: Site, tmp_path: Path) -> None:
    user_id = site.new_user()
    known = site.startup_ids(6)
    record_over_the_api(site, user_id, [(startup_id, "like") for startup_id in known[:5]], tmp_path)
    before = site.recommend(user_id, limit=20)["startups"]

    record_over_the_api(site, user_id, [(before[0]["id"], "like")], tmp_path)

    after = site.recommend(user_id, limit=20)["startups"]
    assert before[0]["id"] not in {startup["id"] for startup in after}
    assert [startup["id"] for startup in after] != [startup["id"] for startup in before[1:]]


def test_an_act_taken_back_counts_no_more(site: Site) -> None:
    user_id, event_id = site.new_user(), str(uuid4())
    startup_id = site.startup_ids(1)[0]
    event = {"event_id": event_id, "user_id": user_id, "startup_id": startup_id, "type": "dislike"}
    assert site.call("POST", "/interactions", event).status_code == 201
    assert site.recommend(user_id)["interaction_count"] == 1

    assert site.call("DELETE", f"/interactions/{event_id}").status_code == 200

    assert site.recommend(user_id)["interaction_count"] == 0


def test_a_startup_created_after_the_training_is_offered_and_one_taken_down_is_not(site: Site) -> None:
    user_id, startup_id = site.new_user(), str(uuid4())
    fields = {"name": "Latecomer", "short_description": "quantum beekeeping", "tags": ["beekeeping"]}
    assert site.call("PUT", f"/users/{user_id}/interests", {"interests": ["beekeeping"]}).status_code == 200

    assert site.call("PUT", f"/startups/{startup_id}", fields).status_code in (200, 201)
    offered = site.recommend(user_id)["startups"]
    assert startup_id in {startup["id"] for startup in offered}

    down = {**fields, "is_active": False}
    assert site.call("PUT", f"/startups/{startup_id}", down).status_code == 200
    assert startup_id not in {startup["id"] for startup in site.recommend(user_id, limit=100)["startups"]}


def test_options_go_through_the_backend_and_a_misspelt_value_comes_back_with_the_mend(site: Site) -> None:
    user_id = site.new_user()
    plain = site.recommend(user_id, limit=100)["startups"]
    industry = site.call("GET", f"/startups/{plain[0]['id']}").json()["industry"]
    place = f"/users/{user_id}/recommendations"

    steered = site.call("GET", f"{place}?industry={quote(industry)}&limit=5&diversity=0.5").json()
    assert {startup["startup"]["industry"] for startup in steered["startups"]} == {industry}

    excluded = "&".join(f"exclude={startup['id']}" for startup in plain[:80])
    left = site.call("GET", f"{place}?limit=100&{excluded}").json()["startups"]
    assert not {startup["id"] for startup in left} & {startup["id"] for startup in plain[:80]}

    refused = site.call("GET", f"{place}?industry={quote(industry[:-1] + 'x')}")
    assert refused.status_code == 422
    assert industry.lower() in refused.json()["detail"]["nearest"]


def test_the_backend_gives_the_same_list_with_the_startups_details(site: Site) -> None:
    user_id = site.new_user()

    details = site.call("GET", f"/users/{user_id}/recommendations").json()

    plain = site.recommend(user_id)
    assert [startup["id"] for startup in details["startups"]] == [s["id"] for s in plain["startups"]]
    assert all(startup["startup"]["name"] for startup in details["startups"])
