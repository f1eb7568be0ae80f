"""The overview as one would write it first: every figure counted from the event log while somebody waits.

`overview_page.py` serves this application and times the page beside ours.
"""

from __future__ import annotations

from datetime import timedelta

from config.wsgi import application as application  # sets Django up: first of all

# isort: split
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone

from config.urls import urlpatterns as own
from dashboard.overview_charts import DAYS
from dashboard.overview_page import overview
from dashboard.pages import for_staff

QUERIES = (
    """
    SELECT (occurred_at AT TIME ZONE 'UTC')::date, type, count(*)
    FROM interactions_userinteraction
    WHERE retracted_at IS NULL AND occurred_at >= %(since)s GROUP BY 1, 2
    """,
    """
    SELECT (occurred_at AT TIME ZONE 'UTC')::date, count(DISTINCT user_id)
    FROM interactions_userinteraction
    WHERE retracted_at IS NULL AND occurred_at >= %(since)s GROUP BY 1
    """,
    """
    SELECT n < %(cold)s, n >= %(hot)s, count(*)
    FROM (
        SELECT count(DISTINCT startup_id) AS n FROM interactions_userinteraction
        WHERE retracted_at IS NULL GROUP BY user_id
    ) of_user
    GROUP BY 1, 2
    """,
)


def scanning_overview(request: HttpRequest) -> HttpResponse:
    """Count the three figures, then render the same page."""
    since = timezone.now() - timedelta(days=DAYS)
    with connection.cursor() as cursor:
        for query in QUERIES:
            cursor.execute(query, {"since": since, "cold": settings.COLD_BELOW, "hot": settings.HOT_FROM})
            cursor.fetchall()
    return overview(request)


urlpatterns = [path("scanning/", for_staff(scanning_overview)), *own]
settings.ROOT_URLCONF = __name__
