"""History of the inference service's counters: answers by method, degraded ones, latencies, errors.

The counters only tell how much there was since the service started. A task reads them every minute and
adds the increase since the last reading to the row of the minute and of the hour. As Prometheus'
`increase()`, a counter that fell was reset by a restart, so all of it is new; what was counted between
the last reading and the restart is lost.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from dashboard.models import AnsweredPeriod, CountersRead
from recommendations.inference import inference_client
from recsys.errors import RecsysError, UnavailableError

logger = logging.getLogger(__name__)

Minutes = AnsweredPeriod.Minutes
KEPT = {Minutes.MINUTE: timedelta(days=1), Minutes.HOUR: timedelta(days=90)}
ENDPOINTS = ("lists.recommend", "lists.recommend_by_body")  # both ways to ask for a user's list

# (kind, method or upper bound in seconds)
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Answered:
    """What happened in a while; latencies as Prometheus counts them: answers not slower than a bound."""

    answers: Mapping[str, int] = field(default_factory=dict)
    degraded: Mapping[str, int] = field(default_factory=dict)
    latency: Mapping[str, int] = field(default_factory=dict)
    errors: int = 0

    def percentile_s(self, share: float) -> float | None:
        """As histogram_quantile: linear within a bucket; beyond the last bound, that bound."""
        buckets = sorted((float(bound), count) for bound, count in self.latency.items())
        total = buckets[-1][1] if buckets else 0
        if not total:
            return None
        lower, below = 0.0, 0
        for bound, count in buckets:
            if count >= share * total:
                if bound == float("inf"):
                    return lower
                return lower + (bound - lower) * (share * total - below) / (count - below)
            lower, below = bound, count
        return lower


def read_counters(*, now: datetime | None = None) -> int | None:
    """Add what the service counted since the last reading; returns the answers, None when it was away."""
    now = now or timezone.now()
    before, _ = CountersRead.objects.get_or_create(pk=CountersRead.SINGLETON_ID)
    try:
        counters = parse_counters(inference_client().metrics())
    except RecsysError as error:
        CountersRead.objects.update(failed_at=now, failure=str(error))
        logger.info("counters not read reason=%s", error)
        return None
    return store_counters(counters, now, since=before.read_at)


def parse_counters(text: str) -> dict[str, float]:
    """The counters of interest from the text format of Prometheus, by a name made of kind and label.

    Raises:
        UnavailableError: the text is not that format.
    """
    try:
        found = Counter[str]()
        for kind, label, value in _samples(text):
            found[f"{kind} {label}"] += value
    except ValueError as error:
        raise UnavailableError(
            f"/metrics of the inference service cannot be read ({error}); check what INFERENCE_URL points at."
        ) from error
    return dict(found)


@transaction.atomic
def store_counters(counters: Mapping[str, float], now: datetime, *, since: datetime | None) -> int:
    """Add the increase to the rows of the minute and the hour; returns the number of answers.

    `since` is when the last reading was as these counters were asked for. Another one by now may be
    the newer of the two, beside which this one would look like a restart: it is dropped.
    """
    last = CountersRead.objects.select_for_update().get(pk=CountersRead.SINGLETON_ID)
    if last.read_at != since:
        return 0
    increase = _increase(counters, last) if last.read_at else {}
    if any(increase.values()):
        for minutes in Minutes:
            _add(minutes, now, increase)
    last.counters, last.read_at, last.failure = dict(counters), now, ""
    last.save()
    for minutes, kept in KEPT.items():
        AnsweredPeriod.objects.filter(minutes=minutes, starts_at__lt=now - kept).delete()
    return sum(n for key, n in increase.items() if key.startswith("answers "))


def answered_since(minutes: Minutes, since: datetime) -> dict[datetime, Answered]:
    """The periods with anything in them, by their start."""
    rows = AnsweredPeriod.objects.filter(minutes=minutes, starts_at__gte=since)
    return {row.starts_at: Answered(row.answers, row.degraded, row.latency, row.errors) for row in rows}


def together(periods: Iterable[Answered]) -> Answered:
    """Several periods as one."""
    answers, degraded, latency = Counter[str](), Counter[str](), Counter[str]()
    errors = 0
    for each in periods:
        for total, part in ((answers, each.answers), (degraded, each.degraded), (latency, each.latency)):
            for name, n in part.items():
                total[name] += n
        errors += each.errors
    return Answered(dict(answers), dict(degraded), dict(latency), errors)


def _samples(text: str) -> Iterator[tuple[str, str, float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == "recs_answers_total" and labels["endpoint"] == "recommend":
                yield "answers", labels["method_used"], sample.value
                if labels["degraded"] == "yes":
                    yield "degraded", labels["method_used"], sample.value
            elif sample.name == "recs_request_seconds_bucket" and labels["endpoint"] in ENDPOINTS:
                yield "latency", labels["le"], sample.value
            elif sample.name == "recs_requests_total" and labels["status"].startswith("5"):
                yield "errors", "", sample.value


def _increase(counters: Mapping[str, float], last: CountersRead) -> dict[str, int]:
    increase = {}
    for key, value in counters.items():
        before = last.counters.get(key, 0.0)
        increase[key] = round(value - before if value >= before else value)
    return increase


def _add(minutes: Minutes, now: datetime, increase: Mapping[str, int]) -> None:
    starts_at = now.replace(second=0, microsecond=0)
    if minutes == Minutes.HOUR:
        starts_at = starts_at.replace(minute=0)
    period, _ = AnsweredPeriod.objects.get_or_create(minutes=minutes, starts_at=starts_at)
    for key, n in increase.items():
        kind, _, label = key.partition(" ")
        if kind == "errors":
            period.errors += n
        else:
            counts = getattr(period, kind)
            counts[label] = counts.get(label, 0) + n
    period.save()
