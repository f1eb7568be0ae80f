"""Whom and what to look at: search, somebody of a tier, and what one person did."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.core.paginator import Page
from django.db.models import Count

from accounts.models import User
from config.big_tables import EstimatingPaginator, as_uuid
from interactions.live_profiles import build_live_profiles
from interactions.models import UserInteraction
from recsys.datasets.weights import DISLIKE, EXPLICIT_POSITIVE, SIGNALS
from recsys.serving.live_profile import MAX_LIVE_CELLS
from startups.models import Startup

TIERS = ("cold", "warm", "hot")
MATCHES_SHOWN = 10
ACTS_A_PAGE = 20
# Whom the shortcuts choose from: no count goes over the whole log.
RECENT_ACTS = 2_000
CANDIDATES = 200


@dataclass(frozen=True, slots=True)
class Matches:
    """What a searched text stands for; at most MATCHES_SHOWN of each."""

    text: str
    users: Sequence[User] = ()
    startups: Sequence[Startup] = ()

    @property
    def only_one(self) -> User | Startup | None:
        """The single match, if it is one."""
        found = [*self.users, *self.startups]
        return found[0] if len(found) == 1 else None


def search(text: str) -> Matches:
    """Users by id or the start of their username, startups by id or the start of their name."""
    text = text.strip().replace("\x00", "")
    if not text:
        return Matches("")
    searched = as_uuid(text)
    if searched is not None:
        users, startups = User.objects.filter(pk=searched), Startup.objects.filter(pk=searched)
    else:
        users = User.objects.filter(username__startswith=text)
        startups = Startup.objects.filter(name__istartswith=text)
    return Matches(
        text, list(users.order_by("username")[:MATCHES_SHOWN]), list(startups.order_by()[:MATCHES_SHOWN])
    )


def tier_of(n_startups: int) -> str:
    """What somebody who acted on so many startups is called: one of TIERS."""
    if n_startups < settings.COLD_BELOW:
        return "cold"
    return "warm" if n_startups < settings.HOT_FROM else "hot"


def somebody(tier: str) -> UUID | None:
    """Anybody of a tier among those who acted or came last; None when none of them is of it."""
    acted = UserInteraction.objects.order_by("-occurred_at").values_list("user_id", flat=True)
    newest = User.objects.order_by("-pk").values_list("pk", flat=True)[:CANDIDATES]
    candidates = [*dict.fromkeys(acted[:RECENT_ACTS])][:CANDIDATES] + list(newest)
    acts = UserInteraction.objects.filter(user_id__in=candidates, retracted_at=None)
    counted = acts.order_by().values_list("user_id").annotate(n=Count("startup_id", distinct=True))
    n_startups = dict.fromkeys(candidates, 0) | dict(counted)
    of_tier = [user_id for user_id, n in n_startups.items() if tier_of(n) == tier]
    return secrets.choice(of_tier) if of_tier else None


@dataclass(frozen=True, slots=True)
class PastAct:
    """One act and what it comes to: `weight` is that of the whole cell, None where it is not resolved."""

    act: UserInteraction
    weight: float | None
    note: str


def history(user_id: UUID, page: str | None) -> tuple[Page, list[PastAct]]:
    """A page of what a user did, the newest first, with the cells that the models see."""
    acts = UserInteraction.objects.filter(user_id=user_id).select_related("startup")
    paginator = EstimatingPaginator(acts.order_by("-occurred_at", "-pk"), ACTS_A_PAGE)
    shown = paginator.get_page(page)
    weights = cell_weights(user_id)
    return shown, list(_past_acts(shown.object_list, weights))


def cell_weights(user_id: UUID) -> Mapping[str, float]:
    """Startup id -> the resolved weight, of the latest startups: what the live profile holds."""
    return {
        cell.startup_id: cell.weight for profile in build_live_profiles([user_id]) for cell in profile.cells
    }


def _past_acts(acts: Sequence[UserInteraction], weights: Mapping[str, float]) -> Iterator[PastAct]:
    for act in acts:
        weight = None if act.retracted_at else weights.get(str(act.startup_id))
        yield PastAct(act, weight, _note(act, weight))


def _note(act: UserInteraction, weight: float | None) -> str:
    if act.retracted_at:
        return "taken back"
    if weight is None:
        return f"not among the latest {MAX_LIVE_CELLS} startups"
    if act.type == SIGNALS[DISLIKE]:
        return "counts" if weight < 0 else "undone by a later act"
    if weight < 0:
        explicit = act.type in [SIGNALS[code] for code in EXPLICIT_POSITIVE]
        return "undone by a later dislike" if explicit else "overruled by the dislike"
    return "counts"
