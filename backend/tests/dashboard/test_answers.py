"""The history of what the inference service counts, over HTTP and through its restarts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from pytest_django import DjangoAssertNumQueries, Settings

from dashboard.answers import (
    KEPT,
    Answered,
    Minutes,
    answered_since,
    parse_counters,
    read_counters,
    store_counters,
    together,
)
from dashboard.models import AnsweredPeriod, CountersRead
from recommendations.inference import inference_client

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 12, 34, 56, tzinfo=UTC)
BUCKETS_S = (0.001, 0.002, 0.005, 0.01)


class Service:
    """Serves /metrics as the inference service does; `restart` begins its counters anew."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.registry = CollectorRegistry()
        self._answers = Counter(
            "recs_answers_total", "-", ["endpoint", "method_used", "degraded"], registry=self.registry
        )
        self._requests = Counter("recs_requests_total", "-", ["endpoint", "status"], registry=self.registry)
        self._seconds = Histogram(
            "recs_request_seconds", "-", ["endpoint"], buckets=BUCKETS_S, registry=self.registry
        )

    def recommend(
        self, method: str, times: int = 1, *, degraded: str = "no", seconds: float = 0.0015
    ) -> None:
        self._answers.labels("recommend", method, degraded).inc(times)
        self._requests.labels("lists.recommend", 200).inc(times)
        for _ in range(times):
            self._seconds.labels("lists.recommend").observe(seconds)

    def others(self) -> None:
        """What is no answer to a person: health, metrics, likeness."""
        self._seconds.labels("health.ready").observe(1.0)
        self._answers.labels("similar", "content", "no").inc(100)

    def fail(self, times: int) -> None:
        self._requests.labels("lists.recommend", 503).inc(times)


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    """Its /metrics over HTTP."""
    told = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = generate_latest(told.registry)
            self.send_response(200 if self.path == "/metrics" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    settings.INFERENCE_URL = f"http://127.0.0.1:{server.server_port}"
    inference_client.cache_clear()
    yield told
    inference_client().close()
    inference_client.cache_clear()
    server.shutdown()
    thread.join()
    server.server_close()


def minute(offset: int) -> datetime:
    return NOW + timedelta(minutes=offset)


def of_the_hour() -> Answered:
    return answered_since(Minutes.HOUR, NOW - timedelta(hours=2))[NOW.replace(minute=0, second=0)]


def test_what_was_counted_before_anybody_read_belongs_to_no_period(service: Service) -> None:
    service.recommend("als", 1000)

    assert read_counters(now=NOW) == 0

    assert not AnsweredPeriod.objects.exists()


def test_the_increase_is_kept_by_minute_and_by_hour(service: Service) -> None:
    service.recommend("als", 10)
    read_counters(now=NOW)
    service.recommend("als", 3)
    service.recommend("content", 2, degraded="yes")
    service.others()
    assert read_counters(now=minute(1)) == 5
    service.recommend("als", 1, seconds=0.5)
    service.fail(4)
    assert read_counters(now=minute(2)) == 1

    minutes = answered_since(Minutes.MINUTE, NOW - timedelta(hours=1))
    assert [period.minute for period in sorted(minutes)] == [35, 36]
    assert minutes[minute(1).replace(second=0)].answers["als"] == 3
    hour = of_the_hour()
    assert (hour.answers["als"], hour.answers["content"]) == (4, 2)
    assert {name: n for name, n in hour.degraded.items() if n} == {"content": 2}
    assert hour.errors == 4
    assert (hour.latency["0.002"], hour.latency["0.01"], hour.latency["+Inf"]) == (5, 5, 6)


def test_a_restart_of_the_service_is_no_fall_and_no_leap(service: Service) -> None:
    service.recommend("als", 100)
    service.recommend("ensemble", 7)
    read_counters(now=NOW)
    service.restart()
    service.recommend("als", 4)

    assert read_counters(now=minute(1)) == 4
    service.recommend("ensemble", 2)
    assert read_counters(now=minute(2)) == 2

    assert of_the_hour().answers == {"als": 4, "ensemble": 2}


def test_read_twice_at_once_nothing_counts_double(service: Service) -> None:
    read_counters(now=NOW)
    service.recommend("als", 3)

    assert [read_counters(now=minute(1)), read_counters(now=minute(1))] == [3, 0]

    assert of_the_hour().answers == {"als": 3}


def test_a_reading_that_another_overtook_is_dropped(service: Service) -> None:
    service.recommend("als", 100)
    read_counters(now=NOW)
    slow = parse_counters(inference_client().metrics())
    service.recommend("als", 3)
    assert read_counters(now=minute(1)) == 3

    assert store_counters(slow, minute(1), since=NOW) == 0

    assert of_the_hour().answers == {"als": 3}
    assert read_counters(now=minute(2)) == 0


def test_a_service_that_is_away_is_noted_and_nothing_is_lost(service: Service, settings: Settings) -> None:
    read_counters(now=NOW)
    service.recommend("als", 3)
    here = settings.INFERENCE_URL
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.INFERENCE_URL = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        inference_client.cache_clear()
        assert read_counters(now=minute(1)) is None
        inference_client().close()
    last = CountersRead.objects.get()
    assert (last.read_at, last.failed_at) == (NOW, minute(1))
    assert "does not answer" in last.failure

    settings.INFERENCE_URL = here
    inference_client.cache_clear()
    assert read_counters(now=minute(2)) == 3
    assert CountersRead.objects.get().failure == ""


def test_the_history_is_bounded(service: Service) -> None:
    for minutes, kept in KEPT.items():
        AnsweredPeriod.objects.create(minutes=minutes, starts_at=NOW - kept - timedelta(hours=1))
        AnsweredPeriod.objects.create(minutes=minutes, starts_at=NOW - kept + timedelta(hours=1))

    read_counters(now=NOW)

    assert AnsweredPeriod.objects.count() == 2


def test_the_number_of_queries_does_not_grow_with_the_counters(
    service: Service, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    read_counters(now=NOW)
    for n in range(50):
        service.recommend(f"method{n}")
    read_counters(now=NOW)
    service.recommend("als")
    with django_assert_num_queries(11):
        read_counters(now=NOW)


LATENCY = {"0.001": 0, "0.002": 50, "0.005": 90, "0.01": 100, "+Inf": 100}


@pytest.mark.parametrize(
    ("share", "seconds"),
    [(0.5, 0.002), (0.25, 0.0015), (0.9, 0.005), (0.95, 0.0075), (0.99, 0.0095)],
)
def test_percentiles_are_linear_within_a_bucket(share: float, seconds: float) -> None:
    assert Answered(latency=LATENCY).percentile_s(share) == pytest.approx(seconds)


def test_beyond_the_last_bound_that_bound_is_all_that_is_known() -> None:
    assert Answered(latency={"0.001": 0, "2.5": 1, "+Inf": 100}).percentile_s(0.99) == 2.5


def test_without_answers_there_is_no_percentile() -> None:
    assert Answered().percentile_s(0.5) is None
    assert Answered(latency={"0.1": 0, "+Inf": 0}).percentile_s(0.5) is None


def test_periods_add_up() -> None:
    periods = [
        Answered({"als": 1}, {}, LATENCY, 1),
        Answered({"als": 2, "content": 1}, {"als": 1}, LATENCY, 2),
    ]

    whole = together(periods)

    assert (whole.answers, whole.degraded, whole.errors) == ({"als": 3, "content": 1}, {"als": 1}, 3)
    assert whole.latency["0.002"] == 100
    assert together([]) == Answered()
