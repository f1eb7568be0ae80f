"""The schedule: what is missing from it is put there, what is there is never changed."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from celery import current_app
from celery.schedules import ParseException
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

NAME = "Weekly training"
TASK = "recommendations.tasks.retrain"
HEALING_NAME = "Healing of the live state"
GROWTH_NAME = "Training when the acts have grown"
RECONCILING_NAME = "Reconciliation of training runs"
NIGHTLY_NAME = "Nightly sync of the live state"
CLEANING_NAME = "Clean-up of what trainings leave"

EVERY_MINUTE_S = 60
EVERY_TEN_MINUTES_S = 600
UNREADABLE = (ValueError, ParseException)  # what celery says to a crontab's field
LONGEST_INTERVAL = timedelta(days=3660)  # beat ends for good at a time past the calendar's


@dataclass(frozen=True)
class Entry:
    """A row of the schedule: at an hour (UTC), of one day of the week or of each, or every so often.

    A message of what is sent every so often is dropped when a busy worker did not come to it in time.
    """

    name: str
    task: str
    description: str
    hour: int | None = None
    day_of_week: str = "*"
    every_s: int | None = None
    args: tuple[str, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    queue: str | None = None


ENTRIES = (
    Entry(
        NAME,
        TASK,
        "Exports the event log, trains, evaluates and publishes a release that is not worse.",
        hour=3,
        day_of_week="0",
    ),
    Entry(
        GROWTH_NAME,
        "recommendations.tasks.retrain_on_growth",
        "Trains when the acts have grown by this many percent since the last export; 0 is off.",
        every_s=EVERY_TEN_MINUTES_S,
        kwargs={"percent": 0},
    ),
    Entry(
        HEALING_NAME,
        "interactions.tasks.heal_live_state",
        "Writes to Redis again what could not be written while Redis was away.",
        every_s=EVERY_MINUTE_S,
    ),
    Entry(
        RECONCILING_NAME,
        "recommendations.tasks.reconcile_runs",
        "Ends runs whose worker is gone, and sends again those whose message was lost.",
        every_s=EVERY_MINUTE_S,
    ),
    Entry(
        NIGHTLY_NAME,
        "recommendations.tasks.sync_live_state",
        "Writes every live profile and the live catalogue to Redis again.",
        hour=1,
    ),
    Entry(
        CLEANING_NAME,
        "recommendations.tasks.clean_up",
        "Removes what killed trainings left, and logs past the last ten of each kind.",
        hour=2,
    ),
)


def create_missing_schedule(**_: Any) -> None:
    """Those of trainings and of the live state."""
    create_missing(ENTRIES)


def create_missing(entries: Iterable[Entry]) -> None:
    """An operator's edits stay; to stop a task, disable it."""
    there = set(PeriodicTask.objects.values_list("name", flat=True))
    for entry in entries:
        if entry.name not in there:
            _create(entry)


def _create(entry: Entry) -> None:
    when = {"interval": _interval(entry.every_s)} if entry.every_s else {"crontab": _crontab(entry)}
    PeriodicTask.objects.create(
        name=entry.name,
        task=entry.task,
        description=entry.description,
        args=json.dumps(entry.args),
        kwargs=json.dumps(entry.kwargs),
        queue=entry.queue,
        expire_seconds=entry.every_s,
        **when,
    )


def _interval(every_s: int) -> IntervalSchedule:
    interval, _ = IntervalSchedule.objects.get_or_create(every=every_s, period=IntervalSchedule.SECONDS)
    return interval


def _crontab(entry: Entry) -> CrontabSchedule:
    """An own one for each: who edits a shared one would move another task too."""
    return CrontabSchedule.objects.create(
        minute="0",
        hour=str(entry.hour),
        day_of_week=entry.day_of_week,
        day_of_month="*",
        month_of_year="*",
        timezone="UTC",
    )


def comes_round(crontab: CrontabSchedule) -> bool:
    """Whether there is a next time at all."""
    try:
        crontab.schedule.remaining_estimate(timezone.now())
    except (*UNREADABLE, RuntimeError):  # celery 5.7 refuses to make it, earlier ones search for ever
        return False
    return True


def is_reachable(interval: IntervalSchedule) -> bool:
    """Whether its next time is one that a calendar has."""
    try:
        return interval.schedule.run_every <= LONGEST_INTERVAL
    except OverflowError:
        return False


def faults_of_task(task_name: str, args: str, kwargs: str, headers: str) -> dict[str, str]:
    """Field -> what is wrong with it: a task nobody knows, or arguments that it does not take."""
    current_app.loader.import_default_modules()
    task = current_app.tasks.get(task_name)
    if task is None:
        return {"task": f"There is no task {task_name}; choose a registered one."}
    given, named = json.loads(args or "[]"), json.loads(kwargs or "{}")
    try:
        is_object = isinstance(json.loads(headers or "{}"), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        return {"headers": "Give an object, such as {}."}  # beat drops the task, or ends
    if not isinstance(given, list):
        return {"args": "Give a list, such as []."}
    if not isinstance(named, dict):
        return {"kwargs": 'Give an object, such as {"percent": 20}.'}
    try:
        inspect.signature(task.run).bind(*given, **named)
    except TypeError as error:
        return {"kwargs": f"{task_name} does not take these arguments: {error}."}
    percent = named.get("percent", 0)
    if isinstance(percent, bool) or not isinstance(percent, int | float) or percent < 0:
        return {"kwargs": f"percent is {percent!r}; give a number from 0 (off), such as 20."}
    return {}
