"""The addresses: parse, ask, answer."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app, request

from inference_api.metrics import count_answer, render_metrics
from inference_api.schemas import (
    Alive,
    ListQuery,
    Ready,
    Recommendations,
    RecommendBody,
    RecommendQuery,
    SimilarQuery,
    StartupList,
)
from recsys.errors import UnavailableError
from recsys.serving.answers import RankedList
from recsys.serving.live_profile import LiveProfileStore
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.router import NO_RELEASE, Router
from recsys.serving.served import CODED_FIELDS

lists = APIBlueprint("lists", __name__, tag="Lists")
health = APIBlueprint("health", __name__, url_prefix="/health", tag="Health")
operations = APIBlueprint("operations", __name__, tag="Operations")

ASKS_FOR_KEY: list[str | dict[str, list[Any]]] = [{"ServiceKey": []}, {"ServiceKeyHeader": []}]


@lists.get("/recommend")
@lists.input(RecommendQuery, location="query")
@lists.output(Recommendations)
@lists.doc(summary="The startups to show a user next", responses=[401, 503], security=ASKS_FOR_KEY)
def recommend(query_data: RecommendQuery) -> dict[str, Any]:
    """Chosen by what the user did up to now: `method_used` names who answered."""
    steering = query_data.steering(
        exclude=[startup_id for startup_id in ",".join(_given("exclude")).split(",") if startup_id],
        **{field: _given(field) for field in CODED_FIELDS},
    )
    return _counted("recommend", _router().recommend(query_data.user_id, steering))


@lists.post("/recommend")
@lists.input(RecommendBody)
@lists.output(Recommendations)
@lists.doc(
    summary="The same, asked in a body: for lists no address can hold",
    responses=[400, 401, 413, 503],
    security=ASKS_FOR_KEY,
)
def recommend_by_body(json_data: RecommendBody) -> dict[str, Any]:
    """As GET /recommend."""
    steering = json_data.steering(
        exclude=json_data.exclude,
        **{field: getattr(json_data, field) for field in CODED_FIELDS},
    )
    return _counted("recommend", _router().recommend(json_data.user_id, steering))


@lists.get("/similar")
@lists.input(SimilarQuery, location="query")
@lists.output(StartupList)
@lists.doc(summary="The startups most like one", responses=[401, 404, 503], security=ASKS_FOR_KEY)
def similar(query_data: SimilarQuery) -> dict[str, Any]:
    """By who acted on them; by their texts where few did."""
    return _counted("similar", _router().similar(query_data.startup_id, limit=query_data.limit))


@lists.get("/popular")
@lists.input(ListQuery, location="query")
@lists.output(StartupList)
@lists.doc(summary="The startups most people liked lately", responses=[401, 503], security=ASKS_FOR_KEY)
def popular(query_data: ListQuery) -> dict[str, Any]:
    """The same for everybody."""
    return _counted("popular", _router().popular(limit=query_data.limit))


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
    }


@operations.get("/metrics")
@operations.doc(summary="Metrics for Prometheus", responses=[401], security=ASKS_FOR_KEY)
def metrics() -> Response:
    """Of all workers together."""
    return render_metrics()


def _router() -> Router:
    router: Router = current_app.extensions["router"]
    return router


def _given(parameter: str) -> list[str]:
    """Every value of a parameter that may be repeated; the schema sees the first only."""
    return request.args.getlist(parameter)


def _counted(endpoint: str, answer: RankedList) -> dict[str, Any]:
    count_answer(endpoint, answer)
    return answer.to_json()


def _live_store() -> str:
    profiles: LiveProfileStore = current_app.extensions["live_profiles"]
    try:
        return "synced" if profiles.is_ready() else "not synced"
    except UnavailableError:
        return "unavailable"
