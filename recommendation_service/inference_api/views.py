"""The addresses: parse, ask, answer."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app, jsonify, request

from inference_api.metrics import Countable, count_answer, render_metrics
from inference_api.schemas import (
    Alive,
    ListQuery,
    Ready,
    Recommendations,
    RecommendBody,
    RecommendQuery,
    StartupList,
    SteeredBody,
    SteeredQuery,
)
from recsys.artifacts.stored_catalogue import CODED_FIELDS
from recsys.errors import UnavailableError
from recsys.serving.live_profile import LiveProfileStore
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.router import NO_RELEASE, Router
from recsys.serving.steering import Steering

lists = APIBlueprint("lists", __name__, tag="Lists")
health = APIBlueprint("health", __name__, url_prefix="/health", tag="Health")
operations = APIBlueprint("operations", __name__, tag="Operations")

ASKS_FOR_KEY: list[str | dict[str, list[Any]]] = [{"ServiceKey": []}, {"ServiceKeyHeader": []}]


@lists.get("/recommend")
@lists.input(RecommendQuery, location="query")
@lists.output(Recommendations)
@lists.doc(summary="The startups to show a user next", responses=[401, 503], security=ASKS_FOR_KEY)
def recommend(query_data: RecommendQuery) -> Response:
    """Chosen by what the user did up to now: `method_used` names who answered."""
    return counted("recommend", _router().recommend(query_data.user_id, steering_of_query(query_data)))


@lists.post("/recommend")
@lists.input(RecommendBody)
@lists.output(Recommendations)
@lists.doc(
    summary="The same, asked in a body: for lists no address can hold",
    responses=[400, 401, 413, 503],
    security=ASKS_FOR_KEY,
)
def recommend_by_body(json_data: RecommendBody) -> Response:
    """As GET /recommend."""
    return counted("recommend", _router().recommend(json_data.user_id, steering_of_body(json_data)))


@lists.get("/popular")
@lists.input(ListQuery, location="query")
@lists.output(StartupList)
@lists.doc(summary="The startups most people liked lately", responses=[401, 503], security=ASKS_FOR_KEY)
def popular(query_data: ListQuery) -> Response:
    """The same for everybody."""
    return counted("popular", _router().popular(limit=query_data.limit))


@health.get("/live")
@health.output(Alive)
@health.doc(summary="Whether the process answers", security=[])
def live() -> dict[str, Any]:
    """Restart the process if it does not."""
    return {"status": "alive"}


@health.get("/ready")
@health.output(Ready)
@health.doc(summary="Whether requests can be answered, and from what", responses=[503], security=[])
def ready() -> dict[str, Any]:
    """503 until a release is loaded. Redis being away degrades answers and stops none."""
    watcher: ReleaseWatcher = current_app.extensions["release_watcher"]
    release = watcher.release
    live_store = _live_store()
    if release is None:
        raise UnavailableError(watcher.failure or NO_RELEASE, live_store=live_store)
    return {
        "status": "ready",
        "model_version": release.version,
        "recommenders": sorted(release.recommenders),
        "release_failure": watcher.failure,
        "live_store": live_store,
        "cold_below": (thresholds := _router().rules.thresholds).cold_below,
        "hot_from": thresholds.hot_from,
    }


@operations.get("/metrics")
@operations.doc(summary="Metrics for Prometheus", responses=[401], security=ASKS_FOR_KEY)
def metrics() -> Response:
    """Of all workers together."""
    return render_metrics()


def _router() -> Router:
    router: Router = current_app.extensions["router"]
    return router


def steering_of_query(query: SteeredQuery) -> Steering:
    """What the address asks of a list."""
    return query.steering(
        exclude=[startup_id for startup_id in ",".join(_given("exclude")).split(",") if startup_id],
        **{field: _given(field) for field in CODED_FIELDS},
    )


def steering_of_body(body: SteeredBody) -> Steering:
    """What a body asks of a list."""
    return body.steering(exclude=body.exclude, **{field: getattr(body, field) for field in CODED_FIELDS})


def counted(endpoint: str, answer: Countable) -> Response:
    """The answer as JSON, told to the metrics.

    A response and not a dictionary: apiflask would check with every answer what we made ourselves.
    """
    count_answer(endpoint, answer)
    return jsonify(answer.to_json())


def _given(parameter: str) -> list[str]:
    """Every value of a parameter that may be repeated; the schema sees the first only."""
    return request.args.getlist(parameter)


def _live_store() -> str:
    profiles: LiveProfileStore = current_app.extensions["live_profiles"]
    try:
        return "synced" if profiles.is_ready() else "not synced"
    except UnavailableError:
        return "unavailable"
