"""The overview of a running site: what Flask counted, what the log holds, and what is served."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
from running_site import ANSWER_TIMEOUT_S, Site

# What the worker does every minute, without waiting for it: all answers stored so far. The worker may
# read amid the test, so an increase of its own says nothing.
READ_COUNTERS = (
    "from dashboard.answers import read_counters; from dashboard.models import AnsweredPeriod; "
    "read_counters(); periods = AnsweredPeriod.objects.filter(minutes=60); "
    "print(sum(sum(period.answers.values()) for period in periods))"
)
COUNT = (
    "from dashboard.activity import count_activity; from dashboard.data_summary import summarize_data; "
    "count_activity(); summarize_data()"
)


def overview(site: Site) -> str:
    """Log in as the operator and open the first page."""
    with httpx.Client(base_url=site.backend_url, follow_redirects=True, timeout=ANSWER_TIMEOUT_S) as browser:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get("/admin/").text)
        assert token
        form = {"username": "root", "password": site.admin_password, "csrfmiddlewaretoken": token[1]}
        page = browser.post("/admin/login/", data={**form, "next": "/admin/"})
        assert page.status_code == 200
        assert page.url.path == "/admin/overview/"
        return page.text


def series(html: str, chart: str) -> dict[str, list[Any]]:
    """What a chart draws, by name."""
    found = re.search(rf'<script id="{chart}-data" type="application/json">(.*?)</script>', html)
    assert found, f"{chart} is empty"
    return {each["name"]: each["values"] for each in json.loads(found[1])["series"]}


def test_answers_latencies_events_and_the_release_reach_the_overview(site: Site) -> None:
    user = site.new_user()
    before = int(site.manage("shell", "--no-imports", "--command", READ_COUNTERS))
    for _ in range(7):
        site.recommend(user)
    counted = int(site.manage("shell", "--no-imports", "--command", READ_COUNTERS)) - before
    site.manage("shell", "--no-imports", "--command", COUNT)

    html = overview(site)

    assert counted == 7
    answers, latency = series(html, "answers"), series(html, "latency")
    assert answers["content"][-1] >= 7
    assert 0 < latency["p50"][-1] <= latency["p95"][-1] <= latency["p99"][-1]
    assert sum(series(html, "events")["view"]) > 100
    served = Path(site.environment["RECSYS_MODELS_DIR"], "current").resolve().name
    assert f"serves {served}" in html
    assert "Redis" in html
    assert "is at training run" not in html
