"""What is read from the catalogue."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from recsys.errors import InvalidRequestError, NotFoundError
from startups.models import Startup


def get_startup(startup_id: UUID) -> Startup:
    """One startup.

    Raises:
        NotFoundError: there is none with this id.
    """
    startup = Startup.objects.filter(pk=startup_id).first()
    if startup is None:
        raise NotFoundError(f"No startup has id {startup_id}; create it with PUT /startups/{startup_id}.")
    return startup


def page_of_startups(
    startups: QuerySet[Startup], *, after: str, limit: int
) -> tuple[Sequence[Startup], str | None]:
    """The newest `limit` startups after a place, and the place of the last one if more follow.

    A place is a row's own key, so pages neither repeat nor skip what others add meanwhile, and the
    thousandth costs what the first does.
    """
    if after:
        created_at, startup_id = _read_place(after)
        startups = startups.filter(created_at__lte=created_at).filter(
            Q(created_at__lt=created_at) | Q(pk__lt=startup_id)
        )
    rows = list(startups.order_by("-created_at", "-pk")[: limit + 1])
    shown = rows[:limit]
    return shown, (_write_place(shown[-1]) if len(rows) > limit else None)


def _write_place(startup: Startup) -> str:
    text = f"{startup.created_at.isoformat()}|{startup.pk}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_place(place: str) -> tuple[datetime, UUID]:
    try:
        created_at, _, startup_id = base64.urlsafe_b64decode(place.encode()).decode().partition("|")
        return datetime.fromisoformat(created_at).astimezone(UTC), UUID(startup_id)
    except (ValueError, OverflowError) as error:
        raise InvalidRequestError(
            f"after={place!r} is not a place; take it from `next` of the page before, or leave it out."
        ) from error
