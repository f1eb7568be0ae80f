"""What goes wrong behind /recommend: an answer that says so, never a 500, never somebody else's list."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import redis
from apiflask import APIFlask
from flask.testing import FlaskClient

from recsys.serving import served
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveCell, LiveProfile, LiveProfileStore
from recsys.serving.live_state import MAY_BE_BEHIND

FINTECH = [f"s{n:02}" for n in range(0, 12, 2)]
ROBOTICS = [f"s{n:02}" for n in range(1, 13, 2)]
EVERY_STARTUP = [f"s{n:02}" for n in range(44)]
UNREADABLE = "this user's live profile cannot be read; run sync_live_profiles"
NO_CATALOGUE = "live catalogue unavailable"
AWAY = "live profile store unavailable"
NOT_TEXT = b"\xff\xfe\x00"


def profile_of(user_id: str, likes: list[str]) -> LiveProfile:
    cells = tuple(LiveCell(startup_id, 2.0, 1.7e9, 4) for startup_id in likes)
    return LiveProfile(user_id, 1, len(cells), cells, (), False, 1)


ANNA, BEN = profile_of("anna", FINTECH), profile_of("ben", ROBOTICS)


def sync(client: redis.Redis) -> None:
    """What sync_live_profiles does, and the mend of everything below."""
    profiles = LiveProfileStore(client)
    profiles.store([ANNA, BEN])
    profiles.mark_ready()
    LiveCatalogueStore(client).replace([], existing=EVERY_STARTUP, inactive=["s36"], owners={"s02": "u00"})


def ask(client: FlaskClient, user_id: str, **query: Any) -> Any:
    response = client.get("/recommend", query_string={"user_id": user_id, **query})
    assert response.status_code == 200, response.text
    return response.json


def ids(answer: Any) -> list[str]:
    return [startup["id"] for startup in answer["startups"]]


# --- Garbage under the keys ---


def put_text(client: redis.Redis, key: str) -> None:
    client.set(key, "garbage")


def put_bytes(client: redis.Redis, key: str) -> None:
    client.set(key, NOT_TEXT)


def put_list(client: redis.Redis, key: str) -> None:
    client.rpush(key, "a", "list")


def put_hash(client: redis.Redis, key: str) -> None:
    client.hset(key, mapping={"s04": "{}", "made-up": NOT_TEXT})


def put_set(client: redis.Redis, key: str) -> None:
    client.sadd(key, "garbage", NOT_TEXT)


@pytest.mark.parametrize("put", [put_text, put_bytes, put_list, put_hash, put_set])
@pytest.mark.parametrize(
    ("key", "user_id", "told"),
    [
        ("recs:profile:anna", "anna", {UNREADABLE}),
        ("recs:profiles:ready", "anna", {None, UNREADABLE}),
        ("recs:profiles:ready", "nobody", {None, UNREADABLE, "live profiles not synced"}),
        ("recs:catalogue:version", "anna", {NO_CATALOGUE}),
        ("recs:catalogue:ready", "anna", {None, NO_CATALOGUE}),  # any text is a mark
        ("recs:catalogue:startups", "anna", {None, NO_CATALOGUE}),
        ("recs:catalogue:owners", "anna", {None, NO_CATALOGUE}),
        ("recs:catalogue:inactive", "anna", {None, NO_CATALOGUE}),
        ("recs:catalogue:existing", "anna", {None, NO_CATALOGUE}),
        ("recs:catalogue:removed", "anna", {None, NO_CATALOGUE}),
    ],
)
def test_garbage_under_a_key_is_answered_and_healed_by_a_sync(
    make_app: Callable[..., APIFlask],
    redis_client: redis.Redis,
    key: str,
    user_id: str,
    told: set[str | None],
    put: Callable[[redis.Redis, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served, "RETRY_FETCH_S", 0.0)
    sync(redis_client)
    plain = make_app().test_client()
    sound = {user: ids(ask(plain, user)) for user in ("anna", "ben", "nobody")}
    redis_client.delete(key)
    put(redis_client, key)

    for client in (make_app().test_client(), plain):
        answer = ask(client, user_id)
        assert answer["startups"] or key == "recs:catalogue:existing"  # what does not exist is not offered
        said = answer["degraded"]
        assert any(said == label or (label and (said or "").startswith(label)) for label in told), said
        if key.startswith("recs:profile:"):
            assert ids(ask(client, "ben")) == sound["ben"]
        sync(redis_client)
        healed = {user: ask(client, user) for user in sound}
        assert {user: ids(answer) for user, answer in healed.items()} == sound
        assert {answer["degraded"] for answer in healed.values()} == {None}
        redis_client.delete(key)
        put(redis_client, key)


CELL = ["s00", 2.0, 1.7e9, 4]
SOUND = {
    "schema": 1,
    "version": 1,
    "user_id": "anna",
    "interaction_count": 1,
    "cells": [CELL],
    "interests": ["fintech"],
    "opted_out": False,
    "last_event_id": 1,
}
WRONG: list[dict[str, Any]] = [
    {"schema": 2},
    {"schema": None},
    {"user_id": "ben"},
    {"user_id": None},
    {"version": "1"},
    {"interaction_count": "7"},
    {"interaction_count": None},
    {"interaction_count": 7.5},
    {"last_event_id": []},
    {"interests": "fintech"},
    {"interests": [1, 2]},
    {"interests": None},
    {"opted_out": "false"},
    {"opted_out": None},
    {"older": "s01"},
    {"older": [["s01"]]},
    {"cells": None},
    {"cells": {}},
    {"cells": "s00"},
    {"cells": [CELL, CELL]},
    {"cells": [CELL[:3]]},
    {"cells": [[*CELL, 1]]},
    {"cells": [[["s00"], 2.0, 1.7e9, 4]]},
    {"cells": [[7, 2.0, 1.7e9, 4]]},
    {"cells": [["s00", "2.0", 1.7e9, 4]]},
    {"cells": [["s00", float("nan"), 1.7e9, 4]]},
    {"cells": [["s00", float("inf"), 1.7e9, 4]]},
    {"cells": [["s00", 1e39, 1.7e9, 4]]},
    {"cells": [["s00", 2.0, None, 4]]},
    {"cells": [["s00", 2.0, float("nan"), 4]]},
    {"cells": [["s00", 2.0, 1.7e9, 256]]},
    {"cells": [["s00", 2.0, 1.7e9, -1]]},
    {"cells": [["s00", 2.0, 1.7e9, 4.5]]},
    {"cells": [["s00", 2.0, 1.7e9, "like"]]},
]


@pytest.mark.parametrize("changed", WRONG, ids=lambda changed: json.dumps(changed)[:60])
def test_a_profile_with_a_wrong_field_counts_as_none_and_is_told(
    client: FlaskClient, redis_client: redis.Redis, changed: dict[str, Any]
) -> None:
    unknown = f"{UNREADABLE}: nothing known of this user"
    if changed == {"cells": {}}:  # no cell at all, which is a way to write none
        unknown = None
    redis_client.set("recs:profile:anna", json.dumps({**SOUND, **changed}))
    for query in ({}, {"seen": "view:0,like:0"}, {"limit": 100, "diversity": 0.5}):
        answer = ask(client, "anna", **query)
        assert answer["startups"]
        assert answer["degraded"] == unknown
        assert (
            not any("fintech" in startup["reason"].lower() for startup in answer["startups"]) or not unknown
        )


@pytest.mark.parametrize("field", SOUND)
def test_a_profile_without_a_field_counts_as_none_and_is_told(
    client: FlaskClient, redis_client: redis.Redis, field: str
) -> None:
    redis_client.set("recs:profile:anna", json.dumps({k: v for k, v in SOUND.items() if k != field}))
    expected = None if field == "user_id" else f"{UNREADABLE}: nothing known of this user"
    assert ask(client, "anna")["degraded"] == expected  # profiles did not always name their user


@pytest.mark.parametrize("text", ["", "null", "[]", "7", '"anna"', "[" * 100_000, '{"schema": 1', "1" * 5000])
def test_what_is_no_profile_counts_as_none_and_is_told(
    client: FlaskClient, redis_client: redis.Redis, text: str
) -> None:
    redis_client.set("recs:profile:anna", text)
    assert (ask(client, "anna")["degraded"] or "").startswith(UNREADABLE)


def test_the_profile_of_somebody_else_is_not_ones_own(client: FlaskClient, redis_client: redis.Redis) -> None:
    sync(redis_client)
    of_ben = ids(ask(client, "ben"))
    redis_client.copy("recs:profile:ben", "recs:profile:anna", replace=True)
    answer = ask(client, "anna")
    assert (answer["degraded"] or "").startswith(UNREADABLE)
    assert answer["user_id"] == "anna"
    assert ids(answer) != of_ben


# --- Redis slow, gone, or something else ---


def test_while_redis_is_slow_answers_are_labelled_and_nobody_gets_a_late_reply_of_another(
    make_app: Callable[..., APIFlask], stoppable_valkey, connect_to: Callable[..., redis.Redis]
) -> None:
    patient = connect_to(stoppable_valkey.url, 30)
    sync(patient)
    app = make_app(redis_url=stoppable_valkey.url)

    def asked(user_id: str) -> tuple[str, Any]:
        return user_id, ask(app.test_client(), user_id)

    sound = {user: ids(answer) for user, answer in map(asked, ("anna", "ben"))}
    patient.execute_command("CLIENT", "PAUSE", "1500", "ALL")
    with ThreadPoolExecutor(4) as threads:
        slow = list(threads.map(asked, ["anna", "ben"] * 4))
        patient.ping()  # answered once the server goes on
        after = list(threads.map(asked, ["ben", "anna"] * 20))
    assert any((answer["degraded"] or "").startswith(AWAY) for _, answer in slow)
    for user, answer in (*slow, *after):
        assert answer["startups"]
        assert answer["user_id"] == user
        assert (answer["degraded"] or "").startswith(AWAY) or ids(answer) == sound[user]
    assert all(answer["degraded"] == MAY_BE_BEHIND for _, answer in after[-4:])
    sync(patient)
    assert {answer["degraded"] for _, answer in map(asked, ("anna", "ben"))} == {None}


def test_while_redis_is_gone_answers_are_labelled_and_steered_all_the_same(
    make_app: Callable[..., APIFlask], stoppable_valkey, connect_to: Callable[..., redis.Redis]
) -> None:
    sync(connect_to(stoppable_valkey.url))
    client = make_app(redis_url=stoppable_valkey.url).test_client()
    assert ask(client, "anna")["degraded"] is None
    stoppable_valkey.stop()
    options: list[dict[str, Any]] = [
        {},
        {"industry": "robotics", "limit": 100},
        {"seen": "view:0", "diversity": 0.5},
        {"exclude": "s01,s03"},
    ]
    for query in options:
        answer = ask(client, "u04", **query)
        assert answer["startups"]
        assert answer["degraded"].startswith("live profile store unavailable: acts as of release")
    assert all(int(startup_id[1:]) % 2 for startup_id in ids(ask(client, "u04", industry="robotics")))


class Nonsense(socketserver.StreamRequestHandler):
    """Answers every command with what is no reply of Redis."""

    def handle(self) -> None:
        with suppress(ConnectionError):  # who has heard enough hangs up
            while self.rfile.readline():
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")


@pytest.fixture
def nonsense_url() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Nonsense) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        server.shutdown()
        thread.join()


def test_a_server_that_is_no_redis_is_as_good_as_none(
    make_app: Callable[..., APIFlask], nonsense_url: str
) -> None:
    client = make_app(redis_url=nonsense_url).test_client()
    answer = ask(client, "u04")
    assert answer["startups"]
    assert answer["degraded"].startswith("live profile store unavailable")


# --- People who are gone, or did very much ---


def test_a_user_deleted_meanwhile_is_somebody_who_did_nothing(
    client: FlaskClient, redis_client: redis.Redis
) -> None:
    """Even one whom the release was trained on: nothing of their acts is in the answer."""
    profiles = LiveProfileStore(redis_client)
    profiles.store([replace(profile_of("u04", ROBOTICS), version=2)])
    assert ask(client, "u04")["interaction_count"] == 6
    profiles.delete(["u04"])
    answer, of_nobody = ask(client, "u04", limit=100), ask(client, "nobody", limit=100)
    assert (answer["interaction_count"], answer["degraded"]) == (0, None)
    assert answer["startups"] == of_nobody["startups"]


def test_a_profile_far_above_500_startups_hides_every_one_of_them(
    client: FlaskClient, redis_client: redis.Redis
) -> None:
    """The known ones are the oldest; the 2,990 before them were deleted since, or never known here."""
    known = [*FINTECH, *ROBOTICS[:4]]
    cells = [LiveCell(f"gone{n}", 2.0, 1.7e9 - n, 4) for n in range(2990)]
    cells += [LiveCell(startup_id, 2.0, 1.6e9, 4) for startup_id in known]
    LiveProfileStore(redis_client).store([LiveProfile("anna", 9, 3000, tuple(cells), (), False, 9)])
    answer = ask(client, "anna", limit=100)
    assert answer["interaction_count"] == 3000
    assert set(ids(answer)) == set(EVERY_STARTUP) - {"s36", *known}
    assert set(ids(ask(client, "anna", limit=100, seen="like:0"))).isdisjoint(known)


def test_excludes_and_users_nobody_knows_are_no_error(client: FlaskClient) -> None:
    excluded = ",".join(f"{n:08}-0000-4000-8000-000000000000" for n in range(1000))
    answer = client.post("/recommend", json={"user_id": "never-seen", "exclude": excluded.split(",")})
    assert answer.status_code == 200
    assert len(answer.json["startups"]) == 10
    assert answer.json["degraded"] is None


def test_excluding_everything_gives_an_empty_list_that_says_why(client: FlaskClient) -> None:
    answer = client.post("/recommend", json={"user_id": "anna", "exclude": EVERY_STARTUP})
    assert answer.status_code == 200
    assert answer.json["startups"] == []
    assert answer.json["degraded"] == (
        "nothing is left to offer: 43 startups are active, all of them acted on, excluded or the user's own"
    )
