"""GET /api/v1/users/{id}/recommendations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router

from accounts.auth import Caller, services_and_people
from accounts.models import ApiKey
from config.api_query import refuse_unknown_parameters
from config.schemas import ErrorOut
from recommendations.schemas import RecommendationQuery, RecommendationsOut
from recommendations.selectors import recommendations_for

router = Router(tags=["recommendations"])


@router.get(
    "/{user_id}/recommendations",
    auth=services_and_people(ApiKey.Scope.READ),
    response={200: RecommendationsOut, (401, 403, 404, 422, 503): ErrorOut},
)
def get_recommendations(
    request: HttpRequest, user_id: UUID, query: Query[RecommendationQuery]
) -> Mapping[str, Any]:
    """Which startups next, for this user: the inference service's answer with each startup's details."""
    caller: Caller = request.auth
    caller.check_may_act_for(user_id)
    refuse_unknown_parameters(request, RecommendationQuery)
    return recommendations_for(
        user_id, query.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    )
