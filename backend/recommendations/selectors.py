"""Recommendations, read from the inference service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from accounts.models import User
from recommendations.inference import inference_client
from recsys.errors import NotFoundError
from startups.models import Startup


def recommendations_for(user_id: UUID, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The inference service's answer, each startup with its details.

    A startup that was deleted or made inactive a moment ago is left out.

    Raises:
        NotFoundError: there is no such user.
        UnavailableError: the inference service does not answer.
    """
    if not User.objects.filter(pk=user_id).exists():
        raise NotFoundError(f"No user has id {user_id}; create them with PUT /users/{user_id}.")
    answer = inference_client().recommend(str(user_id), options)
    ids = [recommended["id"] for recommended in answer["startups"]]
    details = {str(row.pk): row for row in Startup.objects.filter(pk__in=ids, is_active=True)}
    shown = [{**each, "startup": details[each["id"]]} for each in answer["startups"] if each["id"] in details]
    return {**answer, "startups": shown}
