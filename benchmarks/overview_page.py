"""How long the overview takes with millions of events in the log, over HTTP; limit: 300 ms.

python benchmarks/overview_page.py                        (some minutes on 2 cores, 2 GB of disk)
python benchmarks/overview_page.py --events 1000000 --requests 50

Fills a throw-away PostgreSQL, builds the summary rows, and asks gunicorn for the page, logged in, one
request after the other. The peer is the page that counts from the log itself (`scanning_page.py`). Also
told: how long the tasks take that keep the rows, at first and after a thousand new events.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
from machine import describe_machine
from one_worker import serve

from embedded_services import throw_away_services

ROOT = Path(__file__).resolve().parents[1]
LIMIT_MS = 300.0
START_TIMEOUT_S = 120.0
EVENTS_A_STATEMENT = 500_000
DAYS = 90

ROWS_SQL = """
INSERT INTO accounts_user (id, username, password, first_name, last_name, email, is_staff, is_superuser,
                           is_active, date_joined, interests, opted_out, profile_version)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'user' || n, '!', '', '', '', false,
       false, true, now(), '{{}}', false, 0
FROM generate_series(0, {users} - 1) n;
INSERT INTO startups_startup (id, name, short_description, long_description, tags, industry, country, city,
                              stage, team_size, website, created_at, updated_at, is_active)
SELECT ('00000000-0000-4000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Startup ' || n, '', '', '{{}}', '',
       '', '', '', NULL, '', now(), now(), true
FROM generate_series(0, {startups} - 1) n;
"""
# Users and startups are drawn unevenly, days lean to the present, and rows come in the order of time.
EVENTS_SQL = """
INSERT INTO interactions_userinteraction
    (event_id, user_id, startup_id, type, occurred_at, received_at, context)
SELECT gen_random_uuid(),
       ('00000000-0000-4000-8000-' || lpad(to_hex((%(users)s * u ^ 2)::int %% %(users)s), 12, '0'))::uuid,
       ('00000000-0000-4000-9000-' || lpad(to_hex((%(startups)s * s ^ 3)::int %% %(startups)s), 12, '0'))
           ::uuid,
       (ARRAY['view', 'view', 'view', 'view', 'click', 'click', 'like', 'dislike', 'favorite', 'interest'])
           [1 + (10 * random())::int %% 10],
       at, at, '{}'
FROM (
    SELECT now() - %(days)s * interval '1 day' * (1 - ((%(first)s + n) / %(events)s::float8) ^ 0.7) AS at,
           random() AS u, random() AS s
    FROM generate_series(1, %(rows)s) n
) drawn
"""
PERIODS_SQL = """
INSERT INTO dashboard_answeredperiod (minutes, starts_at, answers, degraded, latency, errors)
SELECT minutes, date_trunc(unit, now()) - n * step, '{"content": 210, "als": 340, "ensemble": 450}',
       '{"als": 3}', '{"0.001": 100, "0.002": 600, "0.005": 900, "0.01": 950, "0.02": 980, "0.05": 1000,
         "0.1": 1000, "0.25": 1000, "0.5": 1000, "1.0": 1000, "2.5": 1000, "+Inf": 1000}', 0
FROM (VALUES (1, 'minute', interval '1 minute', 1439), (60, 'hour', interval '1 hour', 2159))
         kinds (minutes, unit, step, last),
     generate_series(0, last) n
"""
# Run by manage.py shell: the tasks, timed, and a session of somebody who may view the dashboard.
TASKS = """
import json, time
from dashboard.activity import count_activity
from dashboard.data_summary import summarize_data
taken = {}
for name, task in (("count", count_activity), ("summary", summarize_data)):
    started = time.perf_counter()
    task()
    taken[name] = time.perf_counter() - started
print(json.dumps(taken))
"""
SESSION = """
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from accounts.models import User
user = User.objects.create_superuser("viewer")
session = SessionStore()
session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session.save()
print(session.session_key)
"""


def main() -> int:
    """Fill, build, measure; prints the figures and one line of JSON."""
    options = _parse_options()
    with tempfile.TemporaryDirectory(prefix="recs-benchmark-") as folder, throw_away_services() as services:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                str(ROOT / name) for name in (".", "recommendation_service", "backend")
            ),
            "DATABASE_URL": services.database_url,
            "REDIS_URL": services.redis_url,
            "INFERENCE_URL": "http://127.0.0.1:9",  # nobody: the page says so at once
            "RECSYS_MODELS_DIR": folder,
        }
        _manage(environment, "migrate", "--verbosity", "0")
        filled_s = _fill(services.database_url, options)
        first = json.loads(_shell(environment, TASKS))
        _insert_events(services.database_url, options, first=options.events - 1_000, rows=1_000)
        again = json.loads(_shell(environment, TASKS))
        for _ in range(2):  # until the ids of the fill have settled
            later = json.loads(_shell(environment, TASKS))
        print(f"tasks: first {first}, after the fill {again}, in passing {later}", file=sys.stderr)
        session = _shell(environment, SESSION).strip()
        with _serve(environment, Path(folder) / "gunicorn.log") as url:
            cookies = {"sessionid": session}
            with httpx.Client(base_url=url, cookies=cookies, timeout=300.0) as client:
                ours = {
                    span: _median_ms(client, f"/admin/overview/?span={span}", options.requests)
                    for span in ("3h", "48h", "90d")
                }
                data = _median_ms(client, "/admin/data/", options.requests)
                scanning = _median_ms(client, "/scanning/", options.scans)
    result: dict[str, Any] = {
        "events": options.events,
        "fill_s": round(filled_s, 1),
        "overview_ms": ours,
        "data_ms": data,
        "scanning_ms": scanning,
        "ratio": round(scanning["p50"] / ours["48h"]["p50"], 1),
        "tasks_first_s": _rounded(first),
        "tasks_after_fill_s": _rounded(again),
        "tasks_in_passing_s": _rounded(later),
    }
    worst = max(each["p50"] for each in ours.values())
    print(
        f"{options.events:,} events, {options.users:,} users, {options.startups:,} startups\n"
        f"overview: p50 {ours['48h']['p50']:.0f} ms, p99 {ours['48h']['p99']:.0f} ms (slowest span "
        f"{worst:.0f} ms; limit {LIMIT_MS:.0f}); data page: p50 {data['p50']:.0f} ms\n"
        f"the page that scans: p50 {scanning['p50']:.0f} ms, {result['ratio']:.0f} times as long\n"
        f"tasks, first: events a day {first['count']:.1f} s, shape of the data {first['summary']:.1f} s; "
        f"in passing: {later['count']:.2f} s and {later['summary']:.1f} s"
    )
    print(describe_machine("django", "gunicorn", "psycopg"))
    print(json.dumps(result))
    return 0 if worst <= LIMIT_MS else 1


def _fill(database_url: str, options: argparse.Namespace) -> float:
    started_s = time.perf_counter()
    with psycopg.connect(database_url, autocommit=True) as db:
        for statement in ROWS_SQL.format(users=options.users, startups=options.startups).split(";")[:-1]:
            db.execute(statement)
        db.execute(PERIODS_SQL)
    for first in range(0, options.events, EVENTS_A_STATEMENT):
        rows = min(EVENTS_A_STATEMENT, options.events - first)
        _insert_events(database_url, options, first=first, rows=rows)
        print(f"{first + rows:,} events", file=sys.stderr)
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute("VACUUM ANALYZE")
    return time.perf_counter() - started_s


def _insert_events(database_url: str, options: argparse.Namespace, *, first: int, rows: int) -> None:
    with psycopg.connect(database_url, autocommit=True) as db:
        # The ids are ours: looking every one up again would take most of the time.
        db.execute("SET session_replication_role = replica")
        db.execute(EVENTS_SQL, {**vars(options), "days": DAYS, "first": first, "rows": rows})


def _median_ms(client: httpx.Client, address: str, n: int) -> dict[str, float]:
    taken = []
    for number in range(n + 1):
        started_s = time.perf_counter()
        response = client.get(address)
        taken.append((time.perf_counter() - started_s) * 1e3)
        if response.status_code != 200 or "data-chart" not in response.text:
            raise SystemExit(f"{address} answered {response.status_code} on request {number}")
    return {f"p{p}": round(float(np.percentile(taken[1:], p)), 1) for p in (50, 99)}


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in seconds.items()}


def _manage(environment: Mapping[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(
        command, cwd=ROOT / "backend", env=dict(environment), stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _shell(environment: Mapping[str, str], code: str) -> str:
    return _manage(environment, "shell", "--no-imports", "--command", code)


@contextmanager
def _serve(environment: Mapping[str, str], log: Path) -> Iterator[str]:
    with (
        serve("scanning_page", ROOT / "benchmarks", environment, log, timeout_s=300) as url,
        httpx.Client(transport=httpx.HTTPTransport(retries=10), timeout=START_TIMEOUT_S) as client,
    ):
        client.get(f"{url}/health/live").raise_for_status()
        yield url


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--startups", type=int, default=5_000)
    parser.add_argument("--requests", type=int, default=100, help="of our pages")
    parser.add_argument("--scans", type=int, default=5, help="requests of the page that scans")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
