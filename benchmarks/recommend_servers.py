"""The applications `recommend_cpu.py` compares, for a WSGI server: ours, plain() and constant().

All three are the service's own application with its authentication, request ids and metrics; they
differ in what /recommend does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from apiflask import APIFlask
from flask import Response, jsonify, request

from inference_api.wsgi import app as service
from recsys.recommenders.base import VectorRecommender
from recsys.serving.live_catalogue import VERSION_KEY
from recsys.serving.live_profile import PROFILE_PREFIX, READY_KEY
from recsys.types import BoolArray, History, Int32Array, Recommendation

K = 10


def ours() -> APIFlask:
    """The service as it is."""
    return service


def plain() -> APIFlask:
    """The service with the ranking most would write: all products, a mask, argpartition, a sort."""
    VectorRecommender.recommend = _plain_recommend  # type: ignore[method-assign]
    return service


def constant() -> APIFlask:
    """The same stack, with an answer that is made once: the profile is fetched and not looked at."""
    client = service.extensions["redis"]
    router = service.extensions["router"]
    made: dict[str, Any] = {}

    def answer() -> Response:
        user_id = request.args["user_id"]
        client.mget(f"{PROFILE_PREFIX}{user_id}", READY_KEY, VERSION_KEY)
        if not made:
            made.update(router.recommend(user_id).to_json())
        return jsonify(made)

    service.view_functions["lists.recommend"] = answer
    return service


def _plain_recommend(
    self: VectorRecommender,
    history: History,
    limit: int,
    *,
    exclude: Int32Array | None = None,
    candidates: BoolArray | None = None,
) -> Recommendation:
    scores = self.item_vectors() @ self.user_vector(history)
    if candidates is not None:
        scores[~candidates[: len(scores)]] = -np.inf
    best = np.argpartition(-scores, limit)[:limit]
    best = best[np.argsort(-scores[best])]
    return Recommendation(best.astype(np.int32), scores[best])
