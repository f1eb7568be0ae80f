"""The dashboard's own tasks in the schedule: what is missing is put there, what is there is never changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask

QUEUES = (settings.CELERY_TASK_DEFAULT_QUEUE, "train")
HEARTBEAT_S = 60


@dataclass(frozen=True, slots=True)
class Planned:
    """A task, how often it is sent, and what for."""

    name: str
    task: str
    every_s: int
    description: str
    queue: str | None = None
    args: tuple[str, ...] = ()


TASKS = (
    Planned(
        "Dashboard: events a day",
        "dashboard.tasks.count_activity",
        60,
        "Counts the days anew in which acts arrived, were taken back or were deleted.",
    ),
    Planned(
        "Dashboard: answers and latencies",
        "dashboard.tasks.read_counters",
        60,
        "Reads the counters of the inference service and keeps their history.",
    ),
    Planned(
        "Dashboard: shape of the data",
        "dashboard.tasks.summarize_data",
        60,
        "Reads the event log for tiers, density, long tail, cold startups; rests a hundred times as long.",
    ),
    *(
        Planned(
            f"Dashboard: heartbeat of queue {queue}",
            "dashboard.tasks.heartbeat",
            HEARTBEAT_S,
            f"Proves that a worker takes the queue {queue}.",
            queue,
            (queue,),
        )
        for queue in QUEUES
    ),
)


def create_missing_schedule(**_: Any) -> None:
    """An operator's edits stay; to stop a task, disable it."""
    for planned in TASKS:
        if PeriodicTask.objects.filter(name=planned.name).exists():
            continue
        every, _ = IntervalSchedule.objects.get_or_create(
            every=planned.every_s, period=IntervalSchedule.SECONDS
        )
        PeriodicTask.objects.create(
            name=planned.name,
            task=planned.task,
            interval=every,
            queue=planned.queue,
            args=json.dumps(planned.args),
            # What a busy worker did not come to before the next one is sent is dropped.
            expire_seconds=planned.every_s,
            description=planned.description,
        )
