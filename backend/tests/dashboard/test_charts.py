"""A chart as HTML: its words, its data, its table, and its emptiness."""

from __future__ import annotations

import json
import re
from typing import Any

from django.template.loader import render_to_string

from dashboard.charts import Chart, Series, Stat


def chart(**fields: Any) -> Chart:
    given = {
        "id": "answers",
        "title": "Answers",
        "unit": "answers an hour",
        "definition": "What was answered.",
        "labels": ["10:00", "11:00"],
        "series": [Series("als", [1234, 0]), Series("content", [None, 5])],
        **fields,
    }
    return Chart(**given)


def rendered(one: Chart) -> str:
    return render_to_string("dashboard/_chart.html", {"chart": one})


def test_it_has_title_unit_definition_data_and_table() -> None:
    html = rendered(chart(x_title="hour", summary="Many answers."))

    assert 'aria-label="Answers, answers an hour. Many answers. The numbers are in the table below."' in html
    assert 'aria-describedby="answers-definition"' in html
    assert 'role="tooltip" id="answers-definition">What was answered.' in html
    data = re.search(r'<script id="answers-data" type="application/json">(.*?)</script>', html)
    assert data
    assert json.loads(data[1])["series"][1] == {"name": "content", "values": [None, 5]}
    cells = re.findall(r'<td class="dash-number">([^<]*)</td>', html)
    assert cells == ["1,234", "-", "0", "5"]  # what was not measured is no zero


def test_a_unit_the_title_begins_with_does_not_stand_twice() -> None:
    html = rendered(chart(title="NDCG@10 by release", unit="NDCG@10", summary="Three releases."))

    assert "dash-unit" not in html
    assert 'aria-label="NDCG@10 by release. Three releases.' in html
    assert '"yTitle": "NDCG@10"' in html
    assert '<span class="dash-unit">answers an hour</span>' in rendered(chart(title="answers"))


def test_names_from_outside_cannot_end_the_script() -> None:
    html = rendered(chart(series=[Series("</script><b>", [1, 2])]))

    assert "</script><b>" not in html


def test_nothing_but_gaps_and_zeros_is_empty_and_says_why() -> None:
    for series in ([], [Series("als", [0, None])]):
        html = rendered(chart(series=series, empty="Nobody asked yet."))
        assert "Nobody asked yet." in html
        assert "<canvas" not in html


def test_zeros_can_be_a_finding() -> None:
    assert not chart(series=[Series("degraded", [0.0, None])], may_be_zero=True).is_empty
    assert chart(series=[Series("degraded", [None, None])], may_be_zero=True).is_empty


def test_values_have_the_decimals_asked_for() -> None:
    rows = list(chart(series=[Series("p50", [1.2345, None])], precision=2).rows)

    assert rows == [("10:00", ["1.23"]), ("11:00", ["-"])]


def test_a_stat_shows_its_state_and_leads_on() -> None:
    stat = Stat("Last run", "Failed", "The last training.", "yesterday", "bad", "/admin/runs/1/")

    html = render_to_string("dashboard/_stat.html", {"stat": stat})

    assert "dash-bad" in html
    assert '<a href="/admin/runs/1/">Failed</a>' in html
    assert 'id="last-run-definition"' in html


def test_intervals_stand_in_the_data_and_beside_the_values() -> None:
    series = Series("als", [0.25, None], [0.2, None], [0.3, None])
    chart = Chart("c", "NDCG", "ndcg", "How good.", ["one", "two"], [series], precision=2)

    assert chart.data["series"] == [
        {"name": "als", "values": [0.25, None], "low": [0.2, None], "high": [0.3, None]}
    ]
    assert list(chart.rows) == [("one", ["0.25 (0.20 to 0.30)"]), ("two", ["-"])]
