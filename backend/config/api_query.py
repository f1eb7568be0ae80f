"""Query strings, as strict as bodies."""

from __future__ import annotations

import pydantic
from django.http import HttpRequest

from config.api_errors import ApiError


def refuse_unknown_parameters(request: HttpRequest, known: type[pydantic.BaseModel]) -> None:
    """A misspelt filter that is ignored gives a plausible wrong answer.

    Raises:
        ApiError: a parameter is none of the schema's.
    """
    unknown = sorted(set(request.GET) - set(known.model_fields))
    if unknown:
        raise ApiError(
            422,
            "invalid_request",
            f"{', '.join(unknown)}: no such parameter; there are {', '.join(known.model_fields)}.",
        )
