"""The dashboard's own tasks in the schedule: what is missing is put there, what is there is never changed."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from recommendations.schedule import Entry, create_missing

QUEUES = (settings.CELERY_TASK_DEFAULT_QUEUE, "train")
HEARTBEAT_S = 60

TASKS = (
    Entry(
        "Dashboard: events a day",
        "dashboard.tasks.count_activity",
        "Counts the days anew in which acts arrived, were taken back or were deleted.",
        every_s=60,
    ),
    Entry(
        "Dashboard: answers and latencies",
        "dashboard.tasks.read_counters",
        "Reads the counters of the inference service and keeps their history.",
        every_s=60,
    ),
    Entry(
        "Dashboard: shape of the data",
        "dashboard.tasks.summarize_data",
        "Reads the event log for tiers, density, long tail, cold startups; rests a hundred times as long.",
        every_s=60,
    ),
    *(
        Entry(
            f"Dashboard: heartbeat of queue {queue}",
            "dashboard.tasks.heartbeat",
            f"Proves that a worker takes the queue {queue}.",
            every_s=HEARTBEAT_S,
            args=(queue,),
            queue=queue,
        )
        for queue in QUEUES
    ),
)


def create_missing_schedule(**_: Any) -> None:
    """Those of the dashboard."""
    create_missing(TASKS)
