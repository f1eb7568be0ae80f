"""The addresses beside a user's list: for a visit, startups like one, an audience, and why."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, current_app

from inference_api.question_schemas import (
    AudienceQuery,
    Explained,
    ExplainQuery,
    SessionBody,
    SessionList,
    SimilarQuery,
    UserList,
)
from inference_api.schemas import StartupList
from inference_api.views import ASKS_FOR_KEY, counted, steering_of_body, steering_of_query
from recsys.serving.questions import Questions
from recsys.serving.session import Session

questions = APIBlueprint("questions", __name__, tag="Questions")


@questions.post("/recommend/session")
@questions.input(SessionBody)
@questions.output(SessionList)
@questions.doc(
    summary="A list for a visitor nobody knows", responses=[400, 401, 413, 503], security=ASKS_FOR_KEY
)
def recommend_session(json_data: SessionBody) -> Response:
    """From the startups of one visit, routed by their number as a user's acts are; nothing is stored."""
    session = Session(json_data.startup_ids, json_data.types, json_data.weights, json_data.interests)
    answer = _questions().recommend_session(session, steering_of_body(json_data))
    return counted("session", answer)


@questions.get("/similar")
@questions.input(SimilarQuery, location="query")
@questions.output(StartupList)
@questions.doc(summary="The startups most like one", responses=[401, 404, 503], security=ASKS_FOR_KEY)
def similar(query_data: SimilarQuery) -> Response:
    """By who chose them and by their texts, each counting alike; by texts alone where few acted on it."""
    answer = _questions().similar(query_data.startup_id, limit=query_data.limit, method=query_data.method)
    return counted("similar", answer)


@questions.get("/audience")
@questions.input(AudienceQuery, location="query")
@questions.output(UserList)
@questions.doc(
    summary="The users most likely to act on a startup", responses=[401, 404, 503], security=ASKS_FOR_KEY
)
def audience(query_data: AudienceQuery) -> Response:
    """Without those who acted on it, its owner, and who opted out."""
    return counted("audience", _questions().audience(query_data.startup_id, limit=query_data.limit))


@questions.get("/explain")
@questions.input(ExplainQuery, location="query")
@questions.output(Explained)
@questions.doc(
    summary="Where a startup stands for a user, and why", responses=[401, 404, 503], security=ASKS_FOR_KEY
)
def explain(query_data: ExplainQuery) -> Response:
    """The score taken apart, and the rules that keep the startup out of the list, if any."""
    answer = _questions().explain(query_data.user_id, query_data.startup_id, steering_of_query(query_data))
    return counted("explain", answer)


def _questions() -> Questions:
    asked: Questions = current_app.extensions["questions"]
    return asked
