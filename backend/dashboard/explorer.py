"""What the system knows of one user or one startup, what it would answer, and acting as the user."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts.models import User
from config.big_tables import as_uuid
from dashboard.explorer_lists import (
    LIST_LENGTHS,
    METHODS,
    Order,
    ask_lists,
    ask_similar,
    ask_together,
    order_of,
    show_audience,
    show_lists,
)
from dashboard.explorer_people import TIERS, history, search, somebody, tier_of
from dashboard.pages import OPERATE, page
from interactions.selectors import interaction_count, user_of_event
from interactions.services import EventStatus, NewEvent, record_events, retract_event
from recommendations.inference import inference_client
from recsys.errors import InvalidRequestError, UnavailableError
from startups.models import Startup

SURFACE = "explorer"  # in the context of what is done here
ACTS = {"like": "liked", "dislike": "disliked"}
BEFORE = "explorer_before"  # in the session: the lists as they were before the last act
SIMILAR_SHOWN = 10
SMALLEST_SHOWN = 5e-5  # with four decimals less is nothing


@require_GET
def explorer(request: HttpRequest) -> HttpResponse:
    """Find a user or a startup, or be taken to somebody of a tier."""
    if (tier := request.GET.get("tier")) in TIERS:
        user_id = somebody(tier)
        if user_id is not None:
            return redirect("dashboard:explorer_user", user_id)
        messages.info(request, f"Nobody among those who acted or came last is {tier}.")
    context = _search(request)
    found = context["matches"].only_one
    if found is not None and "HX-Request" not in request.headers:
        kind = "user" if isinstance(found, User) else "startup"
        return redirect(f"dashboard:explorer_{kind}", found.pk)
    return page(request, "dashboard/explorer.html", context, "Explorer")


@require_GET
def explorer_user(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One user: what they did, what every method would show them, and what moved since the last act here."""
    user = get_object_or_404(User, pk=pk)
    n_startups = interaction_count(pk)
    shown, acts = history(pk, request.GET.get("page"))
    last_act = _last_act(request, pk)
    context = {
        **_search(request),
        "person": user,
        "n_startups": n_startups,
        "tier": tier_of(n_startups),
        "limit": _limit(request),
        "lengths": LIST_LENGTHS,
        "keep": f"limit={_limit(request)}&",
        "history": acts,
        "page_of_history": shown,
        "last_act": last_act,
        "may_operate": request.user.has_perm(OPERATE),
        **_lists(pk, _limit(request), last_act.get("lists")),
    }
    return page(request, "dashboard/explorer_user.html", context, f"Explorer: {user.get_username()}")


@require_GET
def explorer_explain(request: HttpRequest, pk: UUID, startup: UUID) -> HttpResponse:
    """Why a startup is where it is in a user's list."""
    user, about = get_object_or_404(User, pk=pk), get_object_or_404(Startup, pk=startup)
    method = request.GET.get("method")
    options = {"method": method} if method in METHODS else {}
    context: dict[str, Any] = {**_search(request), "person": user, "about": about, "method": method}
    try:
        context["why"] = why = inference_client().explain(str(pk), str(startup), options)
        context["show_other"] = abs(why["other"]) >= SMALLEST_SHOWN
    except InvalidRequestError as refusal:
        context["refusal"] = str(refusal)
    except UnavailableError as error:
        context["fault"] = str(error)
    title = f"Explorer: {about.name} for {user.get_username()}"
    return page(request, "dashboard/explorer_explain.html", context, title)


@require_GET
def explorer_startup(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One startup: what is like it by each model, and who would act on it."""
    startup = get_object_or_404(Startup.objects.select_related("owner"), pk=pk)
    context = {**_search(request), "about": startup, **_relatives(pk)}
    return page(request, "dashboard/explorer_startup.html", context, f"Explorer: {startup.name}")


@require_POST
def explorer_act(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Like or dislike as the user; the act says that it came from here and by whom."""
    user = get_object_or_404(User, pk=pk)
    kind, _, about = request.POST.get("act", "").partition(":")
    startup = get_object_or_404(Startup, pk=as_uuid(about))
    if kind not in ACTS:
        raise Http404(f"{kind!r:.40} is no act of the explorer; there are {', '.join(ACTS)}.")
    before = _order_now(pk, _limit(request))
    context = {"surface": SURFACE, "by": request.user.get_username()}
    (result,) = record_events([NewEvent(user.pk, startup.pk, kind, context=context)])
    if result.status is not EventStatus.CREATED:
        messages.error(request, result.message)
        return redirect("dashboard:explorer_user", pk)
    words = f"{user.get_username()} {ACTS[kind]} {startup.name}"
    return _back_to_lists(request, pk, str(result.event_id), words, before)


@require_POST
def explorer_take_back(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take one of the user's acts back."""
    event_id = as_uuid(request.POST.get("event_id", ""))
    if event_id is None or user_of_event(event_id) != pk:
        raise Http404("This user has no such act.")
    before = _order_now(pk, _limit(request))
    retract_event(event_id)
    return _back_to_lists(request, pk, f"-{event_id}", "an act was taken back", before)


def _search(request: HttpRequest) -> dict[str, Any]:
    return {"matches": search(request.GET.get("q", "")), "tiers": TIERS}


def _limit(request: HttpRequest) -> int:
    asked = request.POST.get("limit") or request.GET.get("limit") or ""
    return int(asked) if asked in map(str, LIST_LENGTHS) else LIST_LENGTHS[0]


def _lists(user_id: UUID, limit: int, before: Order | None) -> dict[str, Any]:
    try:
        return {"lists": show_lists(ask_lists(user_id, limit), before)}
    except UnavailableError as error:
        return {"fault": str(error)}


def _relatives(startup_id: UUID) -> dict[str, Any]:
    """Startups like one and its audience; or why there are none."""
    client, asked = inference_client(), str(startup_id)
    try:
        lists = show_lists(ask_similar(startup_id, SIMILAR_SHOWN))
        audience = ask_together({"audience": lambda: client.audience(asked, {"limit": SIMILAR_SHOWN})})[
            "audience"
        ]
    except UnavailableError as error:
        return {"fault": str(error)}
    if isinstance(audience, InvalidRequestError):
        return {"lists": lists, "no_audience": str(audience)}
    return {"lists": lists, "audience": audience, "users": show_audience(audience)}


def _order_now(user_id: UUID, limit: int) -> dict[str, list[str]] | None:
    """The lists as they are before an act; None when nobody answers, which stops no act."""
    try:
        return order_of(ask_lists(user_id, limit))
    except UnavailableError:
        return None


def _back_to_lists(
    request: HttpRequest, user_id: UUID, since: str, words: str, before: Order | None
) -> HttpResponse:
    """To the user's page, whose address names the act: only there is it compared with `before`."""
    request.session[BEFORE] = {"user": str(user_id), "since": since, "words": words, "lists": before}
    query = urlencode({"limit": _limit(request), "since": since})
    return redirect(f"{reverse('dashboard:explorer_user', args=[user_id])}?{query}#lists")


def _last_act(request: HttpRequest, user_id: UUID) -> dict[str, Any]:
    kept = request.session.get(BEFORE) or {}
    is_asked = kept.get("user") == str(user_id) and kept.get("since") == request.GET.get("since")
    return kept if is_asked else {}
